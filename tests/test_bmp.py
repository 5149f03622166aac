"""All kinds of Windows and OS/2 BMP pictures, compared with Pillow or known pixels."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_picture

_RGB, _RLE8, _RLE4, _BIT_FIELDS = 0, 1, 2, 3
_FOUR = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)


@pytest.fixture(scope="module")
def pixels(astronaut: np.ndarray) -> np.ndarray:
    """RGB of odd size, so that rows are padded."""
    return astronaut[100:131, 120:157]


def _bmp(
    path: Path,
    data: bytes,
    size: tuple[int, int],
    bits: int,
    compression: int = _RGB,
    masks: tuple[int, ...] = (),
    palette: np.ndarray | None = None,
    length: int = 40,
) -> Path:
    """A Windows BMP with a header of 40 to 124 bytes and the rows as given, bottom row first."""
    colors = b"" if palette is None else np.insert(palette[:, ::-1], 3, 0, 1).tobytes()
    count = 0 if palette is None else len(palette)
    header = struct.pack("<I2i2H6I", length, *size, 1, bits, compression, len(data), 0, 0, count, 0)
    header = (header + struct.pack(f"<{len(masks)}I", *masks)).ljust(length, b"\0") + colors
    start = 14 + len(header)
    path.write_bytes(struct.pack("<2sI4xI", b"BM", start + len(data), start) + header + data)
    return path


def _rows(pixels: np.ndarray) -> bytes:
    """Rows from the bottom up, each padded to a multiple of four bytes."""
    rows = [row.tobytes() for row in pixels[::-1]]
    return b"".join(row + bytes(-len(row) % 4) for row in rows)


@pytest.mark.parametrize("length", [40, 52, 56, 108, 124])
@pytest.mark.parametrize("shifts", [(16, 8, 0), (0, 8, 16), (24, 16, 8)])
def test_bmp_channels_are_where_the_masks_say(
    length: int, shifts: tuple[int, int, int], tmp_path: Path
) -> None:
    picture = np.tile(_FOUR, (3, 2, 1))
    packed = sum(picture[..., i].astype("<u4") << shift for i, shift in enumerate(shifts))
    masks = tuple(0xFF << shift for shift in shifts)
    path = _bmp(tmp_path / "a.bmp", _rows(packed), (8, 3), 32, _BIT_FIELDS, masks, length=length)
    np.testing.assert_array_equal(read_picture(path), picture)


@pytest.mark.parametrize("length", [56, 108, 124])
def test_a_mask_for_alpha_gives_an_alpha_plane(
    length: int, pixels: np.ndarray, tmp_path: Path
) -> None:
    rgba = np.dstack([pixels, pixels[..., 0]])
    masks = 0xFF0000, 0xFF00, 0xFF, 0xFF000000
    data = _rows(rgba[..., [2, 1, 0, 3]])
    path = _bmp(tmp_path / "a.bmp", data, (37, 31), 32, _BIT_FIELDS, masks, length=length)
    np.testing.assert_array_equal(read_picture(path), rgba)


def test_the_fourth_byte_without_a_mask_is_no_alpha(pixels: np.ndarray, tmp_path: Path) -> None:
    data = _rows(np.dstack([pixels[..., ::-1], 0 * pixels[..., 0]]))
    path = _bmp(tmp_path / "a.bmp", data, (37, 31), 32)
    np.testing.assert_array_equal(read_picture(path), pixels)
    np.testing.assert_array_equal(read_picture(path), Image.open(path).convert("RGB"))


@pytest.mark.parametrize(
    ("bits", "compression", "masks"),
    [
        (16, _RGB, ()),
        (16, _BIT_FIELDS, (0xF800, 0x7E0, 0x1F)),
        (16, _BIT_FIELDS, (0xF00, 0xF0, 0xF)),
        (32, _BIT_FIELDS, (0x3FF00000, 0xFFC00, 0x3FF)),
    ],
    ids=["555", "565", "444", "10 bits"],
)
def test_bmp_samples_of_few_bits_are_spread_to_full_white(
    bits: int, compression: int, masks: tuple[int, ...], pixels: np.ndarray, tmp_path: Path
) -> None:
    fields = masks or (0x7C00, 0x3E0, 0x1F)
    picture = pixels.copy()
    picture[0], picture[1] = 255, 0
    packed = np.zeros(picture.shape[:2], np.uint32)
    expected = np.zeros(picture.shape)
    for plane, mask in enumerate(fields):
        low = (mask & -mask).bit_length() - 1
        levels = np.rint(picture[..., plane] / 255 * (mask >> low)).astype(np.uint32)
        packed |= levels << low
        expected[..., plane] = levels * 255 / (mask >> low)
    data = _rows(packed.astype(f"<u{bits // 8}"))
    path = _bmp(tmp_path / "a.bmp", data, (37, 31), bits, compression, masks, length=52)
    read = read_picture(path)
    assert (read[0] == 255).all()
    assert (read[1] == 0).all()
    assert np.abs(read - expected).max() <= (1 if bits == 32 else 0.5)


@pytest.mark.parametrize("entry", [3, 4])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_palettes_of_os2_are_colours(bits: int, entry: int, tmp_path: Path) -> None:
    colors = _FOUR[: 2 if bits == 1 else 4]
    levels = np.tile(np.arange(len(colors), dtype=np.uint8), (3, 2))[:, :3]
    rows = {
        8: levels,
        4: np.stack([levels[:, 0] << 4 | levels[:, 1], levels[:, 2] << 4], 1),
        1: np.packbits(levels, axis=1),
    }[bits]
    # Version 2 has four bytes per colour, like Windows, and a header of 64 bytes.
    palette = colors[:, ::-1] if entry == 3 else np.insert(colors[:, ::-1], 3, 0, 1)
    if entry == 3:
        header = struct.pack("<I4H", 12, 3, 3, 1, bits)
    else:
        header = struct.pack("<I2i2H6I", 64, 3, 3, 1, bits, 0, 0, 0, 0, len(colors), 0)
        header = header.ljust(64, b"\0")
    start = 14 + len(header) + palette.nbytes
    path = tmp_path / "a.bmp"
    path.write_bytes(
        struct.pack("<2sI4xI", b"BM", 0, start) + header + palette.tobytes() + _rows(rows)
    )
    np.testing.assert_array_equal(read_picture(path), colors[levels])


def test_bmp_rows_may_start_at_the_top(pixels: np.ndarray, tmp_path: Path) -> None:
    path = _bmp(tmp_path / "a.bmp", _rows(pixels[::-1, :, ::-1]), (37, -31), 24)
    np.testing.assert_array_equal(read_picture(path), pixels)


def _runs(levels: np.ndarray, halves: bool) -> bytes:
    """Run-length encoding: runs of equal pixels, and literal groups of three."""
    data = bytearray()
    for row in levels[::-1].tolist():
        x = 0
        while x < len(row):
            same = next((i for i, v in enumerate(row[x:]) if v != row[x]), len(row) - x)
            few = row[x : x + 3]
            if same > 1 or len(few) < 3:
                data += bytes([same, row[x] * (17 if halves else 1)])
                x += same
            elif halves:
                data += bytes([0, 3, few[0] << 4 | few[1], few[2] << 4])
                x += 3
            else:
                data += bytes([0, 3, *few, 0])
                x += 3
        data += b"\0\0"
    return bytes(data) + b"\0\1"


@pytest.mark.parametrize(("bits", "compression"), [(8, _RLE8), (4, _RLE4)])
def test_bmp_of_run_lengths_is_read_and_its_cuts_are_noticed(
    bits: int, compression: int, pixels: np.ndarray, tmp_path: Path
) -> None:
    picture = Image.fromarray(pixels).quantize(1 << bits)
    palette = np.array(picture.getpalette(), np.uint8).reshape(-1, 3)
    levels = np.asarray(picture).copy()
    levels[5] = 7
    data = _runs(levels, bits == 4)
    path = _bmp(tmp_path / "a.bmp", data, (37, 31), bits, compression, palette=palette)
    np.testing.assert_array_equal(read_picture(path), palette[levels])
    np.testing.assert_array_equal(read_picture(path), Image.open(path).convert("RGB"))
    for cut in (len(data) // 2, len(data) - 20):
        _bmp(path, data[:cut], (37, 31), bits, compression, palette=palette)
        with pytest.raises(HyperguideError, match="is damaged"):
            read_picture(path)
    _bmp(path, data, (30, 31), bits, compression, palette=palette)
    with pytest.raises(HyperguideError, match="leave the picture"):
        read_picture(path)


@pytest.mark.parametrize(
    ("bits", "compression", "masks", "words"),
    [
        (24, 4, (), "compressed by JPEG"),
        (24, 5, (), "compressed by PNG"),
        (24, 77, (), "compression 77"),
        (2, _RGB, (), "of 2 bits"),
        (32, _BIT_FIELDS, (0xFF, 0xFF00, 0xFF00), "overlap"),
        (32, _BIT_FIELDS, (0xFF, 0xFF00, 0), "missing"),
        (32, _BIT_FIELDS, (0xFF, 0xFF00, 0xA0000), "gaps"),
        (16, _BIT_FIELDS, (0xFF, 0xFF00, 0xFF0000), "wider"),
    ],
)
def test_bmp_kinds_that_are_not_supported_are_refused_by_name(
    bits: int, compression: int, masks: tuple[int, ...], words: str, tmp_path: Path
) -> None:
    path = _bmp(tmp_path / "a.bmp", bytes(400), (8, 8), bits, compression, masks, length=52)
    with pytest.raises(HyperguideError, match=f"is a BMP .*{words}.* save it as PNG"):
        read_picture(path)


def test_every_truncation_of_a_bmp_is_noticed(pixels: np.ndarray, tmp_path: Path) -> None:
    path = _bmp(tmp_path / "a.bmp", _rows(pixels[:5, :5, ::-1]), (5, 5), 24)
    whole = path.read_bytes()
    for size in range(2, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(HyperguideError, match=r"truncated|damaged"):
            read_picture(path)


def test_a_colour_outside_of_the_palette_is_damage(tmp_path: Path) -> None:
    path = _bmp(tmp_path / "a.bmp", bytes([0, 1, 4, 0] * 4), (4, 4), 8, palette=_FOUR)
    with pytest.raises(HyperguideError, match="not in its palette"):
        read_picture(path)
