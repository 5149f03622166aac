"""What picture files carry beside their pixels: colour profile, EXIF and resolution.

Read from a file's bytes and put into those of another one. By hand, because OpenCV can do it only
from 4.12 on, and not for resolutions.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from .containers import (
    JPEG,
    PNG,
    is_webp,
    jpeg_segment,
    jpeg_segments,
    png_chunk,
    png_chunks,
    webp_chunk,
    webp_chunks,
)
from .tiff import (
    EXTRA_SAMPLES,
    ICC_PROFILE,
    ORIENTATION,
    RATIONAL,
    RESOLUTION_UNIT,
    SHORT,
    UNDEFINED,
    X_RESOLUTION,
    Y_RESOLUTION,
    Directory,
    is_tiff,
    read_directories,
    with_fields,
)

_INCH = 0.0254  # metres
_CENTIMETRES = 2.54  # in an inch
_EXIF_HEAD = b"Exif\0\0"
_ICC_HEAD = b"ICC_PROFILE\0"
_APP0, _APP1, _APP2 = 0xE0, 0xE1, 0xE2
_SEGMENT = 65533  # bytes of data that a JPEG segment has room for
_MAX_PROFILE = 1 << 26  # bytes; compressed ones that grow further are attacks
_SPACES = {2: b"GRAY", 3: b"RGB "}  # of profiles, by the rank of pictures
_THUMBNAIL, _THUMBNAIL_BYTES = 513, 514  # fields of EXIF's second directory


@dataclass(frozen=True)
class Metadata:
    """What a picture file carries beside its pixels.

    profile: ICC colour profile.
    exif: EXIF as a TIFF structure, upright and without thumbnail.
    density: dots per inch along the width and the height.
    orientation: how stored pixels are to be turned, EXIF's 1 (not at all) to 8. Never written.
    """

    profile: bytes | None = None
    exif: bytes | None = None
    density: tuple[float, float] | None = None
    orientation: int = 1

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the profile, if any, is for pictures of this shape: gray (H, W), or colour."""
        return self.profile is None or self.profile[16:20] == _SPACES[len(shape)]


NO_METADATA = Metadata()


def read_metadata(content: bytes) -> Metadata:
    """What the bytes of a PNG, JPEG, WebP, TIFF or BMP file carry; damaged pieces are left out.

    TIFF files have their EXIF among the pixels' fields: of theirs only profile and density are
    read, and OpenCV turns their pixels itself.
    """
    if content.startswith(PNG):
        found = _from_png(content)
    elif content.startswith(JPEG):
        found = _from_jpeg(content)
    elif is_webp(content):
        found = _from_webp(content)
    elif is_tiff(content):
        found = _from_tiff(content)
    elif content.startswith(b"BM") and len(content) >= 46:
        found = Metadata(density=_per_inch(*struct.unpack_from("<2I", content, 38)))
    else:
        return NO_METADATA
    found = _without_what_is_applied(found)
    whole = found.profile is not None and found.profile[36:40] == b"acsp"  # ICC's signature
    return found if whole else replace(found, profile=None)


def add_metadata(suffix: str, encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    """The bytes of a picture file with metadata, as far as the format holds it.

    suffix: of the format, ".png" and so on.
    encoded: as OpenCV writes them, without metadata. shape: of the picture, (H, W) or (H, W, C).
    """
    write = _WRITERS.get(suffix)
    return encoded if write is None else write(encoded, metadata, shape)


def _from_png(content: bytes) -> Metadata:
    pieces = {
        name: content[start:stop]
        for name, (start, stop) in png_chunks(content)
        if name in (b"iCCP", b"eXIf", b"pHYs")
    }
    density = None
    if len(pieces.get(b"pHYs", b"")) == 9:
        x, y, unit = struct.unpack(">2IB", pieces[b"pHYs"])
        density = _per_inch(x, y) if unit == 1 else None
    profile = None
    if b"iCCP" in pieces:
        _, _, packed = pieces[b"iCCP"].partition(b"\0")  # after the name: method, data
        profile = _inflate(packed[1:])
    return Metadata(profile, pieces.get(b"eXIf"), density)


def _inflate(packed: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(packed, _MAX_PROFILE)
    except zlib.error:
        return None


def _from_jpeg(content: bytes) -> Metadata:
    exif, density, profile = None, None, {}
    for marker, (start, stop) in jpeg_segments(content):
        data = content[start:stop] if marker in (_APP0, _APP1, _APP2) else b""
        if marker == _APP0 and data.startswith(b"JFIF\0") and len(data) >= 12:
            unit, x, y = struct.unpack_from(">B2H", data, 7)
            scale = {1: 1.0, 2: _CENTIMETRES}.get(unit, 0.0)
            density = (x * scale, y * scale) if x * y * scale else None
        elif marker == _APP1 and data.startswith(_EXIF_HEAD) and exif is None:
            exif = data
        elif marker == _APP2 and data.startswith(_ICC_HEAD) and len(data) > 14:
            profile[data[12]] = data[14:]  # by the number of the part
    return Metadata(b"".join(profile[n] for n in sorted(profile)) or None, exif, density)


def _from_webp(content: bytes) -> Metadata:
    pieces = {
        name: content[start:stop]
        for name, (start, stop) in webp_chunks(content)
        if name in (b"ICCP", b"EXIF")
    }
    return Metadata(pieces.get(b"ICCP"), pieces.get(b"EXIF"))


def _from_tiff(content: bytes) -> Metadata:
    pages = read_directories(content)
    if not pages:
        return NO_METADATA
    return Metadata(pages[0].data(ICC_PROFILE) or None, density=_density(pages[0]))


def _without_what_is_applied(found: Metadata) -> Metadata:
    """Take the orientation out of EXIF, and the thumbnail, which shows the old picture."""
    exif = (found.exif or b"").removeprefix(_EXIF_HEAD)
    directories = read_directories(exif)
    if not directories:
        return replace(found, exif=None)
    image, *others = directories
    order: Literal["little", "big"] = "little" if image.order == "<" else "big"
    clean = bytearray(exif)
    orientation = image.number(ORIENTATION, 1)
    if image.numbers(ORIENTATION):
        start, size = image.fields[ORIENTATION].start, image.data(ORIENTATION)
        clean[start : start + len(size)] = (1).to_bytes(len(size), order)
    clean[image.link : image.link + 4] = bytes(4)
    for thumbnail in others:
        start, length = thumbnail.number(_THUMBNAIL, 0), thumbnail.number(_THUMBNAIL_BYTES, 0)
        if image.link < start < len(clean):
            stop = min(start + length, len(clean))
            clean[start:stop] = b"" if stop == len(clean) else bytes(stop - start)
    density = found.density or _density(image)
    if orientation in (5, 6, 7, 8) and density is not None:
        density = density[1], density[0]
    return replace(
        found,
        exif=bytes(clean),
        density=density,
        orientation=orientation if orientation in range(1, 9) else 1,
    )


def _density(page: Directory) -> tuple[float, float] | None:
    x, y = page.numbers(X_RESOLUTION), page.numbers(Y_RESOLUTION)
    scale = {2: 1.0, 3: _CENTIMETRES}.get(page.number(RESOLUTION_UNIT, 2), 0.0)
    if len(x) != 2 or len(y) != 2 or not x[0] * x[1] * y[0] * y[1] * scale:
        return None
    return x[0] / x[1] * scale, y[0] / y[1] * scale


def _per_inch(x: int, y: int) -> tuple[float, float] | None:
    return (x * _INCH, y * _INCH) if x and y else None


def _per_metre(density: tuple[float, float]) -> tuple[int, int]:
    x, y = (_clip(dots / _INCH, (1 << 31) - 1) for dots in density)
    return x, y


def _clip(dots: float, most: int) -> int:
    return max(1, min(round(dots), most))


def _into_png(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    head = len(PNG) + 25  # the chunk IHDR comes first
    pieces = []
    if metadata.profile is not None:
        pieces.append(png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.profile)))
    if metadata.density is not None:
        physical = struct.pack(">2IB", *_per_metre(metadata.density), 1)
        pieces.append(png_chunk(b"pHYs", physical))
    if metadata.exif is not None:
        pieces.append(png_chunk(b"eXIf", metadata.exif))
    return _insert(encoded, head, pieces)


def _into_jpeg(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    _, (start, stop) = next(jpeg_segments(encoded))  # JFIF's, which comes first
    pieces = []
    if metadata.density is not None:
        x, y = (_clip(dots, 65535) for dots in metadata.density)
        density = struct.pack(">B2H", 1, x, y)
        encoded = b"".join([encoded[: start + 7], density, encoded[start + 12 :]])
    exif = _EXIF_HEAD + (metadata.exif or b"")
    if metadata.exif is not None and len(exif) <= _SEGMENT:
        pieces.append(jpeg_segment(_APP1, exif))
    profile, room = metadata.profile or b"", _SEGMENT - len(_ICC_HEAD) - 2
    parts = [profile[at : at + room] for at in range(0, len(profile), room)]
    for number, part in enumerate(parts, 1):
        pieces.append(jpeg_segment(_APP2, _ICC_HEAD + bytes([number, len(parts)]) + part))
    return _insert(encoded, stop, pieces)


def _into_webp(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    """https://developers.google.com/speed/webp/docs/riff_container, Extended File Format."""
    if metadata.profile is None and metadata.exif is None:
        return encoded
    alpha = len(shape) == 3 and shape[2] == 4
    flags = (metadata.profile is not None) << 5 | alpha << 4 | (metadata.exif is not None) << 3
    width, height = (side - 1 for side in (shape[1], shape[0]))
    size = width.to_bytes(3, "little") + height.to_bytes(3, "little")
    pieces = [b"WEBP", webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size)]
    if metadata.profile is not None:
        pieces.append(webp_chunk(b"ICCP", metadata.profile))
    for name, (start, stop) in webp_chunks(encoded):
        if name != b"VP8X":
            pieces.append(webp_chunk(name, encoded[start:stop]))
    if metadata.exif is not None:
        pieces.append(webp_chunk(b"EXIF", metadata.exif))
    content = b"".join(pieces)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _into_tiff(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    fields: dict[int, tuple[int, int, bytes]] = {}
    if len(shape) == 3 and shape[2] == 4:
        # OpenCV leaves open what the fourth plane is: alpha that did not multiply the colours.
        fields[EXTRA_SAMPLES] = SHORT, 1, struct.pack("<H", 2)
    if metadata.profile is not None:
        fields[ICC_PROFILE] = UNDEFINED, len(metadata.profile), metadata.profile
    if metadata.density is not None:
        for field, dots in zip((X_RESOLUTION, Y_RESOLUTION), metadata.density, strict=True):
            fields[field] = RATIONAL, 1, struct.pack("<2I", _clip(dots * 1000, 1 << 31), 1000)
        fields[RESOLUTION_UNIT] = SHORT, 1, struct.pack("<H", 2)
    return with_fields(encoded, fields) if fields else encoded


def _into_bmp(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    if metadata.density is None:
        return encoded
    density = struct.pack("<2I", *_per_metre(metadata.density))
    return b"".join([encoded[:38], density, encoded[46:]])


def _insert(encoded: bytes, at: int, pieces: list[bytes]) -> bytes:
    return b"".join([encoded[:at], *pieces, encoded[at:]]) if pieces else encoded


_WRITERS: dict[str, Callable[[bytes, Metadata, tuple[int, ...]], bytes]] = {
    ".png": _into_png,
    ".jpg": _into_jpeg,
    ".jpeg": _into_jpeg,
    ".webp": _into_webp,
    ".tif": _into_tiff,
    ".tiff": _into_tiff,
    ".bmp": _into_bmp,
}
