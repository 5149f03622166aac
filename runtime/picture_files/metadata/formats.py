"""Reads metadata from a picture file's bytes, and adds it to those of another one.

Without a library: OpenCV supports only four kinds, from 4.12 on, Pillow would be a second decoder
in the runtime, and none transfers metadata from one format to another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hyperguide.picture_files.containers import JPEG, PNG, is_webp
from hyperguide.picture_files.tiff import is_tiff

from . import bmp, exif, jpeg, png, tiff, webp, xmp
from .metadata import NO_METADATA, Metadata


def read_metadata(content: bytes) -> Metadata:
    """The metadata of a PNG, JPEG, WebP, TIFF or BMP file, adapted to the upright picture.

    Thumbnails are left out: they would show the picture before it was enhanced, and what it hid.
    A PNG's number of significant bits is left out too: results use all bits.
    Damaged parts are left out and named in the metadata's `lost`.
    """
    if content.startswith(PNG):
        found = png.read(content)
    elif content.startswith(JPEG):
        found = jpeg.read(content)
    elif is_webp(content):
        found = webp.read(content)
    elif is_tiff(content):
        return _valid(tiff.read(content))
    elif content.startswith(b"BM"):
        found = bmp.read(content)
    else:
        return NO_METADATA
    return _valid(_turned(found))


def add_metadata(suffix: str, encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    """Add metadata to the bytes of a picture file.

    suffix: of the format, ".png" and so on.
    encoded: the file as OpenCV writes it.
    metadata: what the format holds; see `held`.
    shape: of the picture, (H, W) or (H, W, C); sizes in the metadata are set to it.
    """
    write = _WRITERS.get(suffix)
    if write is None:
        return encoded
    height, width = shape[:2]
    sized = replace(
        metadata,
        exif=None if metadata.exif is None else exif.sized(metadata.exif, width, height),
        xmp=None if metadata.xmp is None else xmp.sized(metadata.xmp, width, height),
    )
    return write(encoded, sized, shape)


def _turned(found: Metadata) -> Metadata:
    """Metadata with EXIF's orientation, and everything else as it is after applying that."""
    if found.exif is None:
        return found
    density = found.density or exif.density_of(found.exif)
    orientation = exif.orientation_of(found.exif)
    if orientation is None:
        return replace(found, density=density)
    wide, high = found.sampling or (1, 1)
    if orientation > 4:
        density = None if density is None else (density[1], density[0])
        wide, high = high, wide
    sampling = None if found.sampling is None else (wide, high)
    return replace(found, density=density, orientation=orientation, sampling=sampling)


def _valid(found: Metadata) -> Metadata:
    """Metadata without the applied orientation, and without an invalid profile or XMP."""
    lost = list(found.lost)
    applied = False
    if found.exif is not None:
        applied = exif.orientation_of(found.exif) is not None
        found = replace(found, exif=exif.upright(found.exif, found.density))
    if found.xmp is not None:
        packet = xmp.readable(found.xmp)
        lost += ["damaged XMP"] if packet is None else []
        found = replace(found, xmp=None if packet is None else xmp.upright(packet, applied))
    if found.profile is not None and found.profile[36:40] != b"acsp":  # ICC's signature
        lost.append("damaged colour profile")
        found = replace(found, profile=None)
    return replace(found, lost=tuple(lost))


def _write_png(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    return png.write(encoded, metadata)


def _write_jpeg(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    return jpeg.write(encoded, metadata)


_WRITERS: dict[str, Callable[[bytes, Metadata, tuple[int, ...]], bytes]] = {
    ".png": _write_png,
    ".jpg": _write_jpeg,
    ".jpeg": _write_jpeg,
    ".webp": webp.write,
    ".tif": tiff.write,
    ".tiff": tiff.write,
    ".bmp": bmp.write,
}
