"""Pictures: decoding, metadata, writing and reading back; maps and masks."""

from __future__ import annotations

import io
import struct
import zlib
from functools import partial
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms

from hyperguide.cli.choices import read_mask
from hyperguide.memory import used_bytes
from hyperguide.picture_files import (
    Metadata,
    decode_map,
    encode_map,
    read_picture,
    read_with_metadata,
    write_picture,
)
from hyperguide.picture_files.metadata.exif import sized
from hyperguide.pixels import full_scale
from hyperguide.tasks import TASKS

from ..mutation.pictures import any_picture, bmp, jpeg, png, tiff, webp
from ..rule import BYTES, TIMES
from ..target import Target, as_file, scratch

_SUFFIXES = (".png", ".tif", ".webp", ".jpg", ".bmp")
_LOSSLESS = {".png": ("uint8", "uint16"), ".tif": ("uint8", "uint16", "float32")}
_EXIF = (".png", ".webp", ".jpg")
# Pictures with more values than this are written in only one format, or not at all.
_FEW, _MANY = 1 << 10, 1 << 16


def _read(data: bytes, name: str) -> None:
    picture, metadata = read_with_metadata(as_file(data, name), _room(data))
    assert picture.dtype.name in ("uint8", "uint16", "float32")
    assert picture.shape[2:] in ((), (3,), (4,)), f"a picture of shape {picture.shape}"
    assert picture.size
    assert picture.flags.c_contiguous
    assert metadata.orientation in range(1, 9)
    if picture.size > _MANY or (picture.dtype.kind == "f" and not np.isfinite(picture).all()):
        return
    for suffix in _SUFFIXES if picture.size < _FEW else (_SUFFIXES[zlib.crc32(data) % 5],):
        _write(picture, metadata, suffix)


def _room(data: bytes) -> int:
    """Memory that the process may use without breaking the rule: flat pictures compress well."""
    return (used_bytes() or 0) + BYTES + TIMES * len(data)


def _write(picture: np.ndarray, metadata: Metadata, suffix: str) -> None:
    """Write a picture, read it back and compare."""
    path = scratch() / f"again{suffix}"
    lost = write_picture(path, picture, metadata)
    for sentence in lost:
        assert sentence.isprintable(), f"a note that is not printable: {sentence!r}"
    again, kept = read_with_metadata(path)
    if picture.dtype.name in _LOSSLESS.get(suffix, ()):
        np.testing.assert_array_equal(again, picture)
    if suffix in _EXIF and metadata.exif is not None and not any("EXIF" in one for one in lost):
        told = sized(metadata.exif, picture.shape[1], picture.shape[0])
        assert kept.exif == told, f"EXIF does not come back from {suffix}"
    if suffix != ".bmp" and not any("profile" in sentence for sentence in lost):
        assert kept.profile == metadata.profile, f"the profile does not come back from {suffix}"
    assert kept.orientation == 1, "turned again"


def _read_map(data: bytes) -> None:
    picture = read_picture(as_file(data, "map.png"))
    for task in TASKS.values():
        values = decode_map(picture, task.guidance, "map.png")
        assert values.dtype == np.float32
        assert values.shape == picture.shape[:2]
        if picture.dtype.kind == "u":
            plane = picture if picture.ndim == 2 else _drawn(picture)
            levels = plane * np.float32(65535 / full_scale(plane.dtype))
            levels -= encode_map(values, task.guidance)
            assert (np.abs(levels, out=levels) <= 7).all(), "the map is not that of the picture"
    mask = read_mask(scratch() / "map.png", None)
    assert (mask >= 0).all()


def _drawn(picture: np.ndarray) -> np.ndarray:
    """The plane that holds the map: the alpha plane if only it varies, otherwise any other."""
    colours, alpha = picture[..., 0], picture[..., -1]
    return alpha if picture.shape[2] in (2, 4) and np.ptp(alpha) > np.ptp(colours) == 0 else colours


def _levels(*shape: int, kind: type = np.uint8) -> np.ndarray:
    top = 65536 if kind == np.uint16 else 256
    return np.random.default_rng(0).integers(0, top, shape, kind)


def _encoded(suffix: str, picture: np.ndarray, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, picture, options)
    assert done
    return data.tobytes()


def _saved(picture: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_, **options)
    return file.getvalue()


def _exif(orientation: int = 6) -> bytes:
    """EXIF with an orientation, a resolution, a text, a sub-directory and a thumbnail."""
    exif = Image.Exif()
    exif[274], exif[282], exif[283], exif[296] = orientation, 300.0, 300.0, 2
    exif[271] = "maker"
    exif.get_ifd(34665)[33434] = 0.01
    return exif.tobytes()


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _modes() -> dict[str, Image.Image]:
    color = Image.fromarray(_levels(9, 12, 3))
    return {
        "gray": Image.fromarray(_levels(9, 12)),
        "color": color,
        "alpha": Image.fromarray(_levels(9, 12, 4)),
        "palette": color.quantize(16),
        "bits": Image.fromarray(_levels(9, 12)).convert("1"),
    }


def _pngs() -> dict[str, bytes]:
    extra = {"exif": _exif(), "dpi": (300, 300), "icc_profile": _profile()}
    found = {f"{name}.png": _saved(mode, "PNG") for name, mode in _modes().items()}
    modes = _modes()
    found["deep.png"] = _encoded(".png", _levels(9, 12, 3, kind=np.uint16))
    found["carries.png"] = _saved(modes["color"], "PNG", **extra)
    found["transparent.png"] = _saved(modes["palette"], "PNG", transparency=3)
    found["level.png"] = _saved(modes["gray"], "PNG", transparency=7)
    return found


def _jpegs() -> dict[str, bytes]:
    modes = _modes()
    extra = {"exif": _exif(), "dpi": (300, 300), "icc_profile": _profile()}
    return {
        "gray.jpg": _saved(modes["gray"], "JPEG"),
        "color.jpg": _saved(modes["color"], "JPEG", quality=60),
        "progressive.jpg": _saved(modes["color"], "JPEG", progressive=True),
        "cmyk.jpg": _saved(modes["color"].convert("CMYK"), "JPEG"),
        "carries.jpg": _saved(modes["color"], "JPEG", **extra),
        "turned.jpg": _saved(modes["color"], "JPEG", exif=_exif(3)),
        "restarts.jpg": _encoded(".jpg", _levels(24, 24, 3), cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    }


def _tiffs() -> dict[str, bytes]:
    modes = _modes()
    found = {f"{name}.tif": _saved(mode, "TIFF") for name, mode in modes.items()}
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_deflate"):
        found[f"{packing}.tif"] = _saved(modes["color"], "TIFF", compression=packing)
    found["jpeg.tif"] = _saved(modes["color"], "TIFF", compression="jpeg")
    found["fax.tif"] = _saved(modes["bits"], "TIFF", compression="group4")
    found["cmyk.tif"] = _saved(modes["color"].convert("CMYK"), "TIFF")
    found["carries.tif"] = _saved(
        modes["color"], "TIFF", dpi=(300, 300), icc_profile=_profile(), tiffinfo={274: 6}
    )
    found["pages.tif"] = _saved(modes["gray"], "TIFF", save_all=True, append_images=[modes["gray"]])
    found["deep.tif"] = _encoded(".tif", _levels(9, 12, kind=np.uint16))
    found["float.tif"] = _encoded(".tif", _levels(9, 12, 3).astype(np.float32) / 255)
    found["big-endian.tif"] = _big_endian()
    return found


def _big_endian() -> bytes:
    """An uncompressed gray picture of 2x2 pixels in big-endian byte order."""
    entries = {256: 2, 257: 2, 258: 8, 259: 1, 262: 1, 273: 122, 277: 1, 278: 2, 279: 4}
    body = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in entries.items())
    head = b"MM\0*" + struct.pack(">IH", 8, len(entries)) + body + bytes(4)
    return head + bytes(122 - len(head)) + bytes([0, 90, 180, 255])


def _webps() -> dict[str, bytes]:
    modes = _modes()
    extra = {"exif": _exif(), "icc_profile": _profile()}
    return {
        "color.webp": _saved(modes["color"], "WEBP"),
        "lossless.webp": _saved(modes["color"], "WEBP", lossless=True),
        "alpha.webp": _saved(modes["alpha"], "WEBP"),
        "carries.webp": _saved(modes["color"], "WEBP", **extra),
        "animated.webp": _saved(
            modes["color"], "WEBP", save_all=True, append_images=[modes["alpha"]]
        ),
    }


def _bmps() -> dict[str, bytes]:
    found = {
        f"{name}.bmp": _saved(mode, "BMP", dpi=(300, 300))
        for name, mode in _modes().items()
        if name != "alpha"
    }
    found["alpha.bmp"] = _encoded(".bmp", _levels(9, 12, 4))
    pixels = bytes(range(32))
    found["masks.bmp"] = (
        b"BM" + struct.pack("<IHHI", 66 + 32, 0, 0, 66)
        + struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 16, 3, 32, 2835, 2835, 0, 0)
        + struct.pack("<3I", 0xF800, 0x07E0, 0x001F) + pixels
    )  # fmt: skip
    found["runs.bmp"] = (
        b"BM" + struct.pack("<IHHI", 54 + 8 + 8, 0, 0, 62)
        + struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 8, 1, 8, 2835, 2835, 2, 0)
        + bytes([0, 0, 0, 0, 255, 255, 255, 0, 4, 1, 0, 0, 4, 0, 0, 1])
    )  # fmt: skip
    return found


def _others() -> dict[str, bytes]:
    """Formats that OpenCV may decode but we do not support: refused, or read correctly."""
    found = {}
    for suffix in (".jp2", ".pgm", ".ppm", ".pbm", ".pam", ".sr", ".ras", ".hdr", ".pfm", ".avif"):
        picture = _levels(9, 12, 3)
        if suffix in (".hdr", ".pfm"):
            picture = picture.astype(np.float32)
        if suffix in (".pgm", ".pbm"):
            picture = picture[..., 0]
        try:
            found[f"picture{suffix}"] = _encoded(suffix, picture)
        except (cv2.error, AssertionError):  # this build of OpenCV lacks the format
            continue
    color = _modes()["color"]
    found["picture.gif"] = _saved(color, "GIF")
    found["deep.pgm"] = b"P5 3 2 1023\n" + struct.pack(">6H", 0, 1, 511, 512, 1000, 1023)
    return found


def _maps() -> dict[str, bytes]:
    modes = _modes()
    return {
        "gray.png": _saved(modes["gray"], "PNG"),
        "deep.png": _encoded(".png", _levels(9, 12, kind=np.uint16)),
        "equal.png": _encoded(".png", np.dstack([_levels(9, 12)] * 3)),
        "bits.png": _saved(modes["bits"], "PNG"),
        "level.png": _saved(modes["gray"], "PNG", transparency=7),
        "gray.jpg": _saved(modes["gray"], "JPEG"),
        "float.tif": _encoded(".tif", _levels(9, 12).astype(np.float32) / 255),
    }


PNG = Target("PNG pictures", _pngs, partial(_read, name="in.png"), png)
JPEG = Target("JPEG pictures", _jpegs, partial(_read, name="in.jpg"), jpeg, 1 << 16)
TIFF = Target("TIFF pictures", _tiffs, partial(_read, name="in.tif"), tiff, 1 << 16)
WEBP = Target("WebP pictures", _webps, partial(_read, name="in.webp"), webp)
BMP = Target("BMP pictures", _bmps, partial(_read, name="in.bmp"), bmp)
OTHER = Target("pictures of other formats", _others, partial(_read, name="in.png"))
MAPS = Target("guidance maps and masks", _maps, _read_map, any_picture)
