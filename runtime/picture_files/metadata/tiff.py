"""Metadata of TIFF files, whose fields are among those that describe the pixels."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import replace

from hyperguide.picture_files.tiff import (
    EXTRA_SAMPLES,
    ICC_PROFILE,
    SHORT,
    UNDEFINED,
    Directory,
    first_directory,
    with_fields,
)

from . import exif, exif_layout, photoshop
from .exif import Value
from .metadata import GEO, Metadata

_DESCRIPTION = 270
_XMP, _IPTC, _RESOURCES = 700, 33723, 34377
_LAYERS = 37724
_MICROSCOPES = (*range(33628, 33632), 34412)  # of MetaMorph and Zeiss, with offsets in the file
# tifffile begins the description of a file with the shape in which it reads the pixels.
_SHAPE = re.compile(rb'\s*\{"shape": \[([\d, ]{1,99})\]')


def read(content: bytes) -> Metadata:
    """The metadata of a TIFF file's first picture, for its pixels turned upright."""
    page = first_directory(content)
    found = exif.read_exif(content)
    if page is None:
        return Metadata()
    found = found or exif.Exif({})
    density, turn = exif.density_of(found), exif.orientation_of(found) or 1
    if density is not None and turn > 4:
        density = density[1], density[0]
    iptc, others = photoshop.split(page.data(_RESOURCES))
    gone = {number: words for number, words in _gone(turn) if number in page.fields}
    return Metadata(
        profile=page.data(ICC_PROFILE) or None,
        exif=exif.without(found, {exif.WIDTH, exif.HEIGHT, *gone}),
        density=density,
        xmp=page.data(_XMP) or None,
        iptc=_iptc(page) or iptc,
        photoshop=others,
        lost=tuple(dict.fromkeys(gone.values())),
    )


def _iptc(page: Directory) -> bytes:
    """IPTC's bytes, which some writers store as 32-bit numbers, padded with zeros."""
    data = page.data(_IPTC)
    return data.rstrip(b"\0") if data and page.fields[_IPTC].type == exif.LONG else data


def _gone(turn: int) -> Iterator[tuple[int, str]]:
    """Yield the numbers of fields that would be wrong for the result, and names for them."""
    yield _LAYERS, "layers of Photoshop, which show the old picture,"
    yield from ((number, "fields of a microscope's file") for number in _MICROSCOPES)
    if turn > 1:
        yield from (
            (number, "GeoTIFF, which is for the picture before its turn,") for number in GEO
        )


def fitting(metadata: Metadata, shape: tuple[int, ...]) -> tuple[Metadata, list[str]]:
    """Metadata without a description of another shape, which would mislead programs, and its name.

    shape: of the picture, (H, W) or (H, W, C).
    """
    description = None if metadata.exif is None else metadata.exif.fields.get(_DESCRIPTION)
    told = _SHAPE.match(description.data) if isinstance(description, Value) else None
    if metadata.exif is None or told is None:
        return metadata, []
    described = [int(n) for n in re.findall(rb"\d+", told[1])]
    if [n for n in described if n != 1] == [n for n in shape if n != 1]:
        return metadata, []
    exif_ = exif.without(metadata.exif, {_DESCRIPTION})
    return replace(metadata, exif=exif_), ["description of pixels of another shape"]


def write(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    """Add metadata to a TIFF file as OpenCV writes it: little-endian, of one picture."""
    fields: dict[int, Value] = {}
    found = exif.with_density(metadata.exif or exif.Exif({}), metadata.density)
    content = [encoded]
    size = len(encoded)
    for number, value in found.fields.items():
        if isinstance(value, Value):
            fields[number] = value
        else:
            content.append(bytes(size % 2))
            inner = exif_layout.directory_bytes(value, size + size % 2)
            fields[number] = Value(exif.LONG, 1, struct.pack("<I", size + size % 2))
            size += size % 2 + len(inner)
            content.append(inner)
    for number in (exif.WIDTH, exif.HEIGHT):  # the file has its own
        fields.pop(number, None)
    if len(shape) == 3 and shape[2] == 4:
        # OpenCV does not say what the fourth plane is: straight alpha.
        fields[EXTRA_SAMPLES] = Value(SHORT, 1, struct.pack("<H", 2))
    pieces = {
        ICC_PROFILE: metadata.profile,
        _XMP: metadata.xmp,
        _IPTC: metadata.iptc,
        _RESOURCES: photoshop.join(metadata.iptc, metadata.photoshop)
        if metadata.photoshop
        else None,
    }
    fields |= {n: Value(UNDEFINED, len(data), data) for n, data in pieces.items() if data}
    if not fields:
        return encoded
    return with_fields(b"".join(content), {n: (v.type, v.count, v.data) for n, v in fields.items()})
