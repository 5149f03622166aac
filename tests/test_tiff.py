"""All kinds of TIFF files are read as by Pillow and tifffile, or refused with the reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, features

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_picture
from hyperguide.picture_files.lzw import decode_lzw

SHORT, LONG = 3, 4


@pytest.fixture(scope="module")
def rgba(astronaut: np.ndarray) -> np.ndarray:
    alpha = np.linspace(0, 255, 31 * 45).reshape(31, 45).astype(np.uint8)
    return np.dstack([astronaut[100:131, 120:165], alpha])


def _tiff(path: Path, fields: dict[int, tuple[int, ...]], *strips: bytes) -> Path:
    """Write a TIFF whose fields are all LONG, except the colour map."""
    offsets, data = [], b""
    for strip in strips:
        offsets.append(8 + len(data))
        data += strip
    fields = {
        258: (8,),
        259: (1,),
        262: (1,),
        273: tuple(offsets),
        277: (1,),
        279: tuple(map(len, strips)),
        **fields,
    }
    start, entries, tail = 8 + len(data), b"", b""
    after = start + 2 + 12 * len(fields) + 4
    for number, values in sorted(fields.items()):
        code, kind = ("H", SHORT) if number == 320 else ("I", LONG)
        packed = struct.pack(f"<{len(values)}{code}", *values)
        place = packed.ljust(4, b"\0")
        if len(packed) > 4:
            place, tail = struct.pack("<I", after + len(tail)), tail + packed
        entries += struct.pack("<HHI", number, kind, len(values)) + place
    directory = struct.pack("<H", len(fields)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + data + directory + tail)
    return path


def _gray(width: int, height: int, **more: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    numbers = {"compression": 259, "photometric": 262, "bits": 258, "predictor": 317, "fill": 266}
    return {256: (width,), 257: (height,), **{numbers[name]: more[name] for name in more}}


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_tiff_compression_is_exact(
    compression: str, mode: str, rgba: np.ndarray, tmp_path: Path
) -> None:
    path, deep = tmp_path / "a.tif", mode in ("I;16", "F")
    picture = Image.fromarray(rgba)
    if deep:
        gray = rgba[..., 0].astype(np.uint16) * 251 + 7
        picture = Image.fromarray(gray if mode == "I;16" else gray.astype(np.float32) / 65535)
    else:
        picture = (picture.convert("RGB") if mode == "P" else picture).convert(mode)
    try:
        picture.save(path, compression=compression)
    except OSError:
        pytest.skip(f"Pillow is built without {compression}")
    seen = {"1": "L", "P": "RGB", "CMYK": "RGB", "LA": "RGBA"}.get(mode, mode)
    with Image.open(path) as expected:
        np.testing.assert_array_equal(
            read_picture(path), expected if deep else expected.convert(seen)
        )


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
def test_jpeg_within_tiff(mode: str, rgba: np.ndarray, tmp_path: Path) -> None:
    if not features.check("libtiff"):
        pytest.skip("Pillow is built without libtiff")
    Image.fromarray(rgba).convert("RGB").convert(mode).save(tmp_path / "a.tif", compression="jpeg")
    with Image.open(tmp_path / "a.tif") as picture:
        expected = np.asarray(picture.convert("L" if mode == "L" else "RGB")).astype(int)
    read = read_picture(tmp_path / "a.tif")
    assert read.shape == expected.shape
    assert np.abs(read - expected).max() <= 1


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 16), (16, 32), (64, 64)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_of_strips_tiles_and_planes(
    planes: str,
    tile: tuple[int, int] | None,
    order: str,
    dtype: type,
    rgba: np.ndarray,
    tmp_path: Path,
) -> None:
    pixels = (rgba / 255).astype(dtype) if dtype is np.float32 else rgba.astype(dtype) * dtype(255)
    stored = np.moveaxis(pixels, -1, 0) if planes == "separate" else pixels
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored,
        photometric="rgb",
        extrasamples=["unassalpha"],
        planarconfig=planes,
        tile=tile,
        rowsperstrip=None if tile else 7,
        byteorder=order,
        compression="zlib",
        bigtiff=tile is None,
    )
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 15])
def test_tiff_samples_of_any_bits_are_spread_over_8_or_16(
    bits: int, planes: int, tmp_path: Path
) -> None:
    steps = (1 << bits) - 1
    rng = np.random.default_rng(bits)
    levels = rng.integers(0, steps + 1, (6, 7, planes))
    levels[0, 0], levels[0, 1] = 0, steps
    single = (levels[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    rows = np.packbits(single.reshape(6, -1), axis=1).tobytes()
    fields = _gray(7, 6, bits=(bits,) * planes, photometric=(1 if planes == 1 else 2,))
    path = _tiff(tmp_path / "a.tif", {**fields, 277: (planes,)}, rows)
    full = 255 if bits < 8 else 65535
    read = read_picture(path)
    assert read.dtype == (np.uint8 if bits < 8 else np.uint16)
    expected = levels * full / steps
    assert np.abs(read.reshape(expected.shape) - expected).max() <= 0.5
    assert read.max() == full


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("scale", [1, 257])
def test_tiff_palettes_of_any_bits_become_colour(bits: int, scale: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (1 << bits, 3))
    levels = rng.integers(0, 1 << bits, (4, 9), np.uint8)
    single = (levels[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    rows = np.packbits(single.reshape(4, -1), axis=1).tobytes()
    fields = _gray(9, 4, bits=(bits,), photometric=(3,))
    color_map = tuple((scale * colors.T).ravel().tolist())
    path = _tiff(tmp_path / "a.tif", {**fields, 320: color_map}, rows)
    np.testing.assert_array_equal(read_picture(path), colors[levels])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_where_white_is_0_is_inverted(dtype: type, rgba: np.ndarray, tmp_path: Path) -> None:
    pixels = rgba[..., 0].astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif"), np.iinfo(dtype).max - pixels)


def test_tiff_of_gray_with_alpha(rgba: np.ndarray, tmp_path: Path) -> None:
    pixels = rgba[..., 2:].astype(np.uint16) * 257
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        photometric="minisblack",
        extrasamples=["unassalpha"],
        planarconfig="contig",
    )
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif"), pixels[..., [0, 0, 0, 1]])


def test_tiff_of_bytes_whose_bits_are_reversed(rgba: np.ndarray, tmp_path: Path) -> None:
    rows = np.packbits(rgba[..., 0] > 99, axis=1)
    turned = np.packbits(np.unpackbits(rows, axis=1).reshape(31, -1, 8)[..., ::-1], axis=-1)
    fields = _gray(45, 31, bits=(1,), fill=(2,))
    path = _tiff(tmp_path / "a.tif", fields, turned.tobytes())
    np.testing.assert_array_equal(read_picture(path), (rgba[..., 0] > 99) * np.uint8(255))


@pytest.mark.parametrize("compression", [5, 8])
@pytest.mark.parametrize("dtype", ["<u1", "<u2"])
def test_tiff_predictor_of_differences_to_the_pixel_before(
    dtype: str, compression: int, rgba: np.ndarray, tmp_path: Path
) -> None:
    pixels = rgba[..., :3].astype(dtype) * (255 if dtype == "<u2" else 1)
    stored = np.diff(pixels, axis=1, prepend=np.zeros((31, 1, 3), dtype)).astype(dtype).tobytes()
    packed = _lzw(stored) if compression == 5 else zlib.compress(stored)
    fields = _gray(45, 31, bits=(8 * pixels.itemsize,) * 3, photometric=(2,), predictor=(2,))
    path = _tiff(tmp_path / "a.tif", {**fields, 259: (compression,), 277: (3,)}, packed)
    np.testing.assert_array_equal(read_picture(path), pixels)


def test_tiff_predictor_of_the_bytes_of_floats(rgba: np.ndarray, tmp_path: Path) -> None:
    pixels = (rgba[..., :3] / 255).astype(np.float32)
    by_weight = pixels.astype(">f4").view(np.uint8).reshape(31, 45 * 3, 4).swapaxes(1, 2)
    rows = by_weight.reshape(31, -1, 3)
    stored = np.diff(rows, axis=1, prepend=np.zeros((31, 1, 3), np.uint8)).tobytes()
    fields = _gray(45, 31, bits=(32,) * 3, photometric=(2,), predictor=(3,), compression=(8,))
    fields |= {277: (3,), 339: (3, 3, 3)}
    path = _tiff(tmp_path / "a.tif", fields, zlib.compress(stored))
    np.testing.assert_array_equal(read_picture(path), pixels)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({259: (2,)}, "compressed by the fax's code"),
        ({259: (6,)}, "compressed by JPEG of the old kind"),
        ({259: (34712,)}, "compressed by JPEG 2000"),
        ({259: (34887,)}, "compressed by LERC"),
        ({259: (50000,)}, "compressed by Zstandard"),
        ({259: (50001,)}, "compressed by WebP"),
        ({259: (50002,)}, "compressed by JPEG XL"),
        ({259: (12345,)}, "compressed by method 12345"),
        ({262: (6,), 277: (3,)}, "colour space YCbCr"),
        ({262: (8,), 277: (3,)}, "colour space CIE Lab"),
        ({262: (5,), 277: (4,), 332: (2,)}, "inks other than CMYK"),
        ({262: (2,), 277: (5,)}, "of 5 planes"),
        ({262: (2,), 277: (3,), 258: (5, 6, 5)}, "differ in depth"),
        ({258: (32,)}, "type uint32"),
        ({339: (2,)}, "type int8"),
        ({258: (16,), 339: (3,)}, "type float16"),
        ({258: (4,), 259: (5,), 317: (2,)}, "4 bits with predictor 2"),
    ],
)
def test_tiff_kinds_that_are_not_supported_are_refused_with_the_reason(
    fields: dict[int, tuple[int, ...]], words: str, tmp_path: Path
) -> None:
    path = _tiff(tmp_path / "a.tif", {**_gray(8, 8), **fields}, bytes(2000))
    with pytest.raises(HyperguideError, match=words):
        read_picture(path)


@pytest.mark.parametrize(
    "write",
    [
        lambda path, stack: tifffile.imwrite(path, stack, imagej=True),
        lambda path, stack: tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, truncate=True),
        lambda path, stack: tifffile.imwrite(path, stack, photometric="minisblack"),
    ],
    ids=["ImageJ", "one directory", "pages"],
)
def test_tiff_stacks_are_refused_as_pages_are(write: object, tmp_path: Path) -> None:
    stack = np.zeros((5, 8, 9), np.uint8)
    write(tmp_path / "stack.tif", stack)
    with pytest.raises(HyperguideError, match=r"stack\.tif holds 5 pages"):
        read_picture(tmp_path / "stack.tif")


@pytest.mark.parametrize("color_map", [(), (0,) * 5, (0,) * 7])
def test_a_palette_of_another_length_is_damage(color_map: tuple[int, ...], tmp_path: Path) -> None:
    fields = _gray(8, 8, bits=(1,), photometric=(3,))
    path = _tiff(tmp_path / "a.tif", {**fields, 320: color_map} if color_map else fields, bytes(8))
    with pytest.raises(HyperguideError, match="palette"):
        read_picture(path)


def _lzw(data: bytes) -> bytes:
    """TIFF's LZW encoder, as in section 13 of the specification."""
    codes: list[tuple[int, int]] = [(256, 9)]
    table = {bytes([i]): i for i in range(256)}
    place, bits, text = 258, 9, b""
    for byte in data:
        longer = text + bytes([byte])
        if longer in table:
            text = longer
            continue
        codes.append((table[text], bits))
        table[longer] = place
        place += 1
        bits = 9 + (place > 511) + (place > 1023) + (place > 2047)
        if place == 4095:
            codes.append((256, 12))
            table = {bytes([i]): i for i in range(256)}
            place, bits = 258, 9
        text = bytes([byte])
    if text:
        codes.append((table[text], bits))
        place += 1
        bits = 9 + (place > 511) + (place > 1023) + (place > 2047)
    codes.append((257, bits))
    digits = "".join(f"{code:0{width}b}" for code, width in codes)
    digits += "0" * (-len(digits) % 8)
    return int(digits, 2).to_bytes(len(digits) // 8, "big")


@pytest.mark.parametrize(
    "data",
    [b"", b"a", b"a" * 5000, bytes(range(256)) * 40, b"ab" * 3000, b"abc" * 2],
    ids=["empty", "byte", "run", "ramp", "pair", "few"],
)
def test_lzw_gives_back_what_was_packed(data: bytes) -> None:
    assert decode_lzw(_lzw(data), len(data) + 1) == data


def test_lzw_of_noise_clears_its_table() -> None:
    data = np.random.default_rng(0).integers(0, 256, 20000, np.uint8).tobytes()
    assert decode_lzw(_lzw(data), len(data)) == data


def test_lzw_codes_that_stand_for_nothing_are_an_error() -> None:
    for code in (258, 300):
        packed = ((256 << 27 | ord("a") << 18 | code << 9 | 257) << 4).to_bytes(5, "big")
        if code == 258:  # the previous text plus its own first byte
            assert decode_lzw(packed, 9) == b"aaa"
        else:
            with pytest.raises(ValueError, match="stands for nothing"):
                decode_lzw(packed, 9)


def test_lzw_that_clears_at_once_is_no_work_without_end() -> None:
    with pytest.raises(ValueError, match="too often"):
        decode_lzw((int("100000000" * 8000, 2)).to_bytes(9000, "big"), 100)
