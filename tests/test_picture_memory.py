"""A small file can promise any number of pixels; how many are decoded depends on memory."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from conftest import Cli, fails
from hyperguide import memory
from hyperguide.errors import HyperguideError, OutOfMemoryError
from hyperguide.picture_files import pictures, read_picture
from hyperguide.picture_files.multi_picture import count_pictures
from hyperguide.picture_files.tiff import read_directories

_MIB = 1 << 20


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _flat_png(side: int) -> bytes:
    """A complete PNG with 1 bit per pixel."""
    packer = zlib.compressobj()
    rows = b"".join(packer.compress(bytes(side // 8 + 2)) for _ in range(side)) + packer.flush()
    header = struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header), _chunk(b"IDAT", rows), _chunk(b"IEND", b"")]
    )


def _flat(suffix: str, side: int, path: Path) -> Path:
    """A complete flat picture whose file is much smaller than its pixels."""
    if suffix == ".png":
        path.write_bytes(_flat_png(side))
    elif suffix == ".tif":
        tifffile.imwrite(path, np.zeros((side, side), np.uint8), compression="zlib")
    else:
        Image.new("RGB", (side, side)).save(path)
    return path


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any decoding fail."""

    def refuse(*_: object) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(pictures, "decode", refuse)


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".bmp"])
def test_a_picture_beyond_the_memory_allowed_is_not_decoded(suffix: str, tmp_path: Path) -> None:
    path = _flat(suffix, 4000, tmp_path / f"flat{suffix}")
    with pytest.raises(OutOfMemoryError, match=r"flat.* has 4000x4000 pixels, which take \d+ MiB"):
        read_picture(path, max_memory=(memory.used_bytes() or 0) + 20 * _MIB)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".bmp"])
def test_decoding_takes_no_more_memory_than_was_checked(suffix: str, tmp_path: Path) -> None:
    """The smallest allowance for which a picture is read covers the peak memory of reading."""
    path = _flat(suffix, 3000, tmp_path / f"flat{suffix}")
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from hyperguide.memory import PeakMemory, used_bytes\n"
        "from hyperguide.picture_files import read_picture\n"
        "path = Path(sys.argv[1])\n"
        "picture = read_picture(path, 1 << 40)\n"  # initial loading does not count
        "planes = 4 if sys.argv[1].endswith('.webp') else 1 if picture.ndim == 2 else 3\n"
        "del picture\n"
        "peak = PeakMemory()\n"
        "room = 4 * 3000 * 3000 * planes + path.stat().st_size + (1 << 20)\n"
        "read_picture(path, used_bytes() + room)\n"
        "print(peak.taken() or 0, room)\n"
    )
    words = [sys.executable, "-c", script, str(path)]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    taken, allowed = map(int, result.stdout.split())
    assert taken <= allowed + 8 * _MIB


@pytest.mark.usefixtures("undecoded")
def test_without_a_limit_half_of_what_is_free_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _flat(".png", 4000, tmp_path / "flat.png")  # 16 MB of pixels
    monkeypatch.setattr(memory, "free_bytes", lambda: 80 * _MIB)
    with pytest.raises(OutOfMemoryError, match="more than the 40 MiB that may be used"):
        read_picture(path)


@pytest.mark.parametrize("option", ["--input", "--mask", "--guidance"])
def test_max_memory_holds_for_every_picture_read(
    option: str, quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "giant.png").write_bytes(_flat_png(30000))
    source = tmp_path / "giant.png" if option == "--input" else photo
    more = () if option == "--input" else (option, tmp_path / "giant.png")
    result = quick_cli(
        *("enhance", "-i", source, "-o", tmp_path / "out.png", "-t", "denoise"),
        *("--max-memory", "1G", *more),
    )
    fails(result, "giant.png has 30000x30000 pixels", "allow more memory")


def _header(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(HyperguideError, match=r"truncated|damaged"):
        read_picture(path, max_memory=1 << 50)


@pytest.mark.usefixtures("undecoded")
def test_files_too_short_for_their_pixels_are_truncated(tmp_path: Path) -> None:
    jpeg = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(jpeg)
    content = bytearray(jpeg.read_bytes())
    frame = content.index(b"\xff\xc0")
    struct.pack_into(">2H", content, frame + 5, 30000, 30000)
    _header(jpeg, bytes(content))
    runs = struct.pack("<I2i2H6I", 40, 30000, 30000, 1, 8, 1, 0, 0, 0, 256, 0) + bytes(1024)
    _header(tmp_path / "a.bmp", struct.pack("<2sI4xI", b"BM", 0, 1078) + runs + b"\0\1")
    png = bytearray(_flat_png(8))
    struct.pack_into(">2I", png, 16, 30000, 30000)
    _header(tmp_path / "a.png", bytes(png))


def test_picture_headers_without_a_size_are_damage(tmp_path: Path) -> None:
    jpeg = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(jpeg)
    content = bytearray(jpeg.read_bytes())
    struct.pack_into(">H", content, content.index(b"\xff\xc0") + 5, 0)
    _header(jpeg, bytes(content))
    webp = tmp_path / "a.webp"
    Image.new("RGB", (8, 8)).save(webp)
    _header(webp, webp.read_bytes().replace(b"VP8 ", b"VPX "))
    _header(tmp_path / "a.png", b"\x89PNG\r\n\x1a\n" + _chunk(b"IEND", b""))


def test_progressive_scans_without_end_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("L", (6000, 6000)).save(path, progressive=True)
    content = path.read_bytes()
    last = content.rindex(b"\xff\xda")
    path.write_bytes(content[:-2] + content[last:-2] * 40 + content[-2:])
    with pytest.raises(HyperguideError, match="scans of 6000x6000 pixels"):
        read_picture(path)


def _chain(length: int, big: bool) -> bytes:
    """Overlapping directories of 4000 entries, each starting one entry after the previous one."""
    entry, layout, link = (20, "<2sHQ", "<Q") if big else (12, "<2sHI", "<I")
    start = 16 if big else 8
    head = (b"II+\0\x08\0\0\0" if big else b"II*\0") + struct.pack(link, start)
    content = bytearray(head + struct.pack("<Q" if big else "<H", 4000))
    content += bytes(entry * (4000 + length))
    for i in range(length):
        at = start + entry * i
        struct.pack_into("<Q" if big else "<H", content, at, 4000)
        end = at + (8 if big else 2) + entry * 4000
        struct.pack_into(link, content, end, start + entry * (i + 1))
    assert struct.calcsize(layout) <= entry
    return bytes(content)


@pytest.mark.parametrize("big", [False, True])
def test_directories_that_overlap_take_no_more_work_than_the_file_has_bytes(
    big: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, unpacked = _chain(300, big), 0
    original = struct.unpack_from

    def count(*arguments: object) -> tuple[int, ...]:
        nonlocal unpacked
        unpacked += 1
        return original(*arguments)

    monkeypatch.setattr(struct, "unpack_from", count)
    read_directories(content)
    assert 0 < unpacked < len(content)
    (tmp_path / "chain.tif").write_bytes(content)
    with pytest.raises(HyperguideError, match="is damaged"):
        read_picture(tmp_path / "chain.tif")


def test_parts_of_a_tiff_that_overlap_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    tifffile.imwrite(path, noise, compression="zlib", rowsperstrip=8)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offsets, lengths = (file.pages[0].tags[number].valueoffset for number in (273, 279))
        first = file.pages[0].dataoffsets[0]
        size = {3: "H", 4: "I"}[file.pages[0].tags[279].dtype]
    struct.pack_into("<8I", content, offsets, *[first] * 8)
    struct.pack_into(f"<8{size}", content, lengths, *[len(content) // 2] * 8)
    path.write_bytes(content)
    with pytest.raises(HyperguideError, match="overlap"):
        read_picture(path)


def test_endless_lists_of_pictures_in_a_jpeg_are_not_followed() -> None:
    entries = struct.pack("<4I", 0, 0, 2, 0) * 4000
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0xB002, 7, len(entries), 26, 0) + entries
    head = b"MPF\0" + tiff
    segment = b"\xff\xe2" + struct.pack(">H", len(head) + 2) + head
    assert count_pictures(b"\xff\xd8" + segment + b"\xff\xd9") == 1
