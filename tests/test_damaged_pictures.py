"""A damaged picture is an error that names it, never half a picture; intact ones are read."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_picture


@pytest.fixture(scope="module")
def pixels(astronaut: np.ndarray) -> np.ndarray:
    return astronaut[40:168, 100:292]


def _jpeg(pixels: np.ndarray, **options: object) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=95, **options)
    return data.getvalue()


def _scan(content: bytes) -> int:
    """Where the data of the first scan starts."""
    at = content.index(b"\xff\xda")
    return at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")


def _cut_then_end(content: bytes) -> bytes:
    return content[: len(content) // 2] + b"\xff\xd9"


def _zeroed(content: bytes) -> bytes:
    start, quarter = len(content) // 2, len(content) // 4
    return content[:start] + bytes(quarter) + content[start + quarter :]


def _zeroed_tail(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


def _second_file(content: bytes) -> bytes:
    return content[: len(content) // 2] + content[: len(content) // 3]


def _is_damaged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(HyperguideError, match=r"truncated|damaged") as error:
        read_picture(path)
    assert path.name in str(error.value)


@pytest.mark.parametrize("damage", [_cut_then_end, _zeroed, _zeroed_tail, _second_file])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}], ids=str
)
def test_half_a_jpeg_is_no_picture(
    damage: object, options: dict[str, object], pixels: np.ndarray, tmp_path: Path
) -> None:
    for picture in (pixels, pixels[..., 0]):
        whole = _jpeg(picture, **options)
        (tmp_path / "a.jpg").write_bytes(whole)
        expected = np.asarray(Image.open(tmp_path / "a.jpg")).astype(int)
        assert np.abs(read_picture(tmp_path / "a.jpg") - expected).max() <= 1
        _is_damaged(tmp_path / "a.jpg", damage(whole))


def test_a_damaged_picture_is_named_and_counts_as_failed(
    quick_cli: Cli, photo: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    photo.rename(source / "good.png")
    (source / "half.jpg").write_bytes(_cut_then_end(_jpeg(pixels)))
    result = quick_cli("enhance", "-i", source, "-o", tmp_path / "out", "-t", "denoise")
    fails(result, "1 of 2 pictures failed")
    assert "half.jpg is damaged (Corrupt JPEG data: premature end" in result.err + result.out
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["good.png"]


@pytest.mark.parametrize("junk", [b"junk", b"\0", b"\xff\xff\xff", b"ab\xff\0cd"])
def test_junk_between_the_segments_of_a_jpeg_is_passed_over(
    junk: bytes, pixels: np.ndarray, tmp_path: Path
) -> None:
    whole, at, pieces = _jpeg(pixels), 2, [b"\xff\xd8"]
    scan = _scan(whole)
    while at < scan:
        stop = at + 2 + int.from_bytes(whole[at + 2 : at + 4], "big")
        pieces.append(whole[at:stop])
        at = stop
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "junk.jpg").write_bytes(junk.join(pieces) + whole[scan:-2] + junk[:1] + whole[-2:])
    expected = read_picture(tmp_path / "whole.jpg")
    np.testing.assert_array_equal(read_picture(tmp_path / "junk.jpg"), expected)
    (tmp_path / "tail.jpg").write_bytes(whole + 9 * junk)
    np.testing.assert_array_equal(read_picture(tmp_path / "tail.jpg"), expected)


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}], ids=str)
def test_odd_markers_of_a_whole_jpeg_are_no_damage(
    options: dict[str, object], pixels: np.ndarray, tmp_path: Path
) -> None:
    whole = _jpeg(pixels, **options)
    (tmp_path / "whole.jpg").write_bytes(whole)
    expected = read_picture(tmp_path / "whole.jpg")
    version = whole.replace(b"JFIF\0\1", b"JFIF\0\7")
    adobe = whole[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\5" + whole[2:]
    scan = bytearray(whole)
    if not options.get("progressive"):
        scan[_scan(whole) - 3 : _scan(whole)] = bytes(3)  # as some phones write it
    for content in (version, adobe, bytes(scan)):
        (tmp_path / "odd.jpg").write_bytes(content)
        np.testing.assert_array_equal(read_picture(tmp_path / "odd.jpg"), expected)


def test_flipped_bits_of_a_jpeg_that_leave_data_over_are_noticed(
    pixels: np.ndarray, tmp_path: Path
) -> None:
    whole = _jpeg(pixels)
    (tmp_path / "a.jpg").write_bytes(whole)
    rng, noticed = np.random.default_rng(0), 0
    for at in rng.integers(_scan(whole), len(whole) - 2, 60):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        (tmp_path / "a.jpg").write_bytes(damaged)
        try:
            read_picture(tmp_path / "a.jpg")
        except HyperguideError:
            noticed += 1
    assert noticed > 5  # JPEG has no checksums: most bit flips decode to something else


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
def test_half_a_tiff_is_no_picture(
    compression: str | None, pixels: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    names = {"zlib": "tiff_adobe_deflate", "lzw": "tiff_lzw"}
    Image.fromarray(pixels).save(path, compression=names.get(compression or "", compression))
    np.testing.assert_array_equal(read_picture(path), pixels)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        offsets, sizes = page.dataoffsets, page.databytecounts
        lengths = page.tags[279].valueoffset
    whole = path.read_bytes()
    short = bytearray(whole)
    struct.pack_into("<H" if len(sizes) == 1 else "<I", short, lengths, sizes[0] // 2)
    if len(sizes) > 1:
        _is_damaged(path, bytes(short))
    if compression is not None and compression != "packbits":
        middle = bytearray(whole)
        at, size = offsets[len(offsets) // 2], sizes[len(offsets) // 2]
        middle[at + size // 2 : at + size] = bytes(size - size // 2)
        _is_damaged(path, bytes(middle))


def test_every_flipped_bit_of_deflate_is_noticed(pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(pixels).save(path, compression="tiff_adobe_deflate")
    with tifffile.TiffFile(path) as file:
        start, size = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(start, start + size, 40):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        _is_damaged(path, bytes(damaged))


def test_tiff_whose_next_page_is_cut_away_is_damaged(pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(pixels, photometric="rgb")
        writer.write(pixels, photometric="rgb")
    with tifffile.TiffFile(path) as file:
        second = file.pages[1].offset
    _is_damaged(path, path.read_bytes()[: second + 1])


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_png_whose_checksums_do_not_fit_is_damaged(pixels: np.ndarray, tmp_path: Path) -> None:
    height, width, _ = pixels.shape
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    head = b"\x89PNG\r\n\x1a\n" + _chunk(
        b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    )
    end = _chunk(b"IEND", b"")
    path = tmp_path / "a.png"
    path.write_bytes(head + _chunk(b"IDAT", rows) + end)
    np.testing.assert_array_equal(read_picture(path), pixels)
    flipped = bytearray(head + _chunk(b"IDAT", rows) + end)
    flipped[len(flipped) // 2] ^= 4
    _is_damaged(path, bytes(flipped))
    other = bytearray(rows)
    other[-1] ^= 1  # damages Deflate's own checksum; the chunk's is correct
    _is_damaged(path, head + _chunk(b"IDAT", bytes(other)) + end)
    _is_damaged(path, head + _chunk(b"IDAT", rows[: len(rows) // 2]) + end)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_damaged_transparency_of_png_is_not_dropped(
    mode: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    picture, path = Image.fromarray(pixels).convert(mode), tmp_path / "a.png"
    picture.save(path, transparency=bytes(9) if mode == "P" else picture.getpixel((0, 0)))
    assert read_picture(path).shape[2] == 4
    whole = path.read_bytes()
    at = whole.index(b"tRNS")
    length = int.from_bytes(whole[at - 4 : at], "big")
    _is_damaged(path, whole[: at + 4] + b"\7" + whole[at + 5 :])
    if mode != "P":
        short = _chunk(b"tRNS", whole[at + 4 : at + 3 + length])
        _is_damaged(path, whole[: at - 4] + short + whole[at + 8 + length :])


@pytest.mark.parametrize("lossless", [True, False])
def test_half_a_webp_is_no_picture(lossless: bool, pixels: np.ndarray, tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "WEBP", lossless=lossless)
    half = data.getvalue()[: len(data.getvalue()) // 2]
    _is_damaged(tmp_path / "a.webp", half)
    # As if the lengths of file and chunk had been corrected after cutting.
    mended = half[:4] + struct.pack("<I", len(half) - 8) + half[8:16]
    _is_damaged(tmp_path / "a.webp", mended + struct.pack("<I", len(half) - 20) + half[20:])


@pytest.mark.parametrize(
    ("marker", "precision", "words"),
    [
        (0xC1, 12, "a JPEG of 12 bits"),
        (0xC3, 8, "a lossless JPEG"),
        (0xC5, 8, "a hierarchical JPEG"),
        (0xC9, 8, "a JPEG of arithmetic coding"),
    ],
)
def test_jpegs_of_other_kinds_are_refused_by_name(
    marker: int, precision: int, words: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    content = bytearray(_jpeg(pixels))
    frame = content.index(b"\xff\xc0")
    content[frame + 1], content[frame + 4] = marker, precision
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(HyperguideError, match=rf"a\.jpg is {words}, which is not supported"):
        read_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize("sampling", [0x31, 0x42, 0x41, 0x14])
def test_chroma_samplings_are_read_or_refused_by_name(sampling: int, tmp_path: Path) -> None:
    content = bytearray(_jpeg(np.full((64, 64, 3), 128, np.uint8), subsampling=0))
    frame = content.index(b"\xff\xc0")
    content[frame + 11] = sampling
    (tmp_path / "a.jpg").write_bytes(content)
    name = f"{sampling >> 4}x{sampling & 15}, 1x1, 1x1"
    with pytest.raises(HyperguideError, match=rf"unusual chroma sampling \({name}\)|is damaged"):
        read_picture(tmp_path / "a.jpg")


def _cases() -> Path:
    cases = Path(os.environ.get("HYPERGUIDE_DATA", "")).parent / "cases" / "damaged"
    if "HYPERGUIDE_DATA" not in os.environ or not cases.is_dir():
        pytest.skip("HYPERGUIDE_DATA has no folder cases beside it")
    return cases


def test_pictures_damaged_in_use_are_refused() -> None:
    # Damage in these files cannot be detected: they decode to a different picture.
    unseen = {"jpeg-bitflip.jpg", "tiff-None-zeroed.tif", "whole.png"}
    unseen |= {"webp-lossy-zeroed.webp", "webp-zeroed-middle.webp"}
    for path in sorted(_cases().iterdir()):
        if path.name not in unseen:
            with pytest.raises(HyperguideError, match=r"truncated|damaged"):
                read_picture(path)
    assert read_picture(_cases() / "whole.png").shape == (240, 320, 3)
