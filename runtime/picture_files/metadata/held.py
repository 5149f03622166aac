"""Which metadata each picture format holds, and names for what it does not hold."""

from __future__ import annotations

import struct
from dataclasses import replace

from .exif import tells_more, without
from .jpeg import shortened
from .metadata import COMMENT, GEO, NO_METADATA, Metadata
from .tiff import fitting

_JPEG = (".jpg", ".jpeg")
_TIFF = (".tif", ".tiff")
_RICH = (".png", *_JPEG, *_TIFF)
# Field of the metadata -> its name in messages, and the suffixes of formats that hold it. Others
# are held by all formats, or in another form.
_KINDS = {
    "profile": ("colour profile", (*_RICH, ".webp")),
    "exif": ("EXIF", (*_RICH, ".webp")),
    "xmp": ("XMP", (*_RICH, ".webp")),
    "xmp_extension": ("second part of long XMP", _JPEG),
    "iptc": ("IPTC", _RICH),
    "photoshop": ("resources of Photoshop", _RICH),
}
# PNG chunks that say sRGB, which every format implies.
_SRGB = {
    b"cICP": (bytes([1, 13, 0, 1]),),
    b"gAMA": (struct.pack(">I", 45455),),
    b"cHRM": (struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),),
    b"sRGB": tuple(bytes([intent]) for intent in range(4)),
}


def held(suffix: str, metadata: Metadata, shape: tuple[int, ...]) -> tuple[Metadata, list[str]]:
    """The metadata that the format of a suffix holds, and the names of what it does not hold.

    shape: of the picture, (H, W) or (H, W, C).
    Dropping PNG's chunks that say sRGB is no loss: all formats imply it.
    """
    lost = []
    for name, (words, holders) in _KINDS.items():
        value = getattr(metadata, name)
        if value and suffix not in holders:
            lost += [words] if name != "exif" or tells_more(value) else []
            metadata = replace(metadata, **{name: getattr(NO_METADATA, name)})
    exif = metadata.exif
    if exif is not None and suffix not in _TIFF and exif.fields.keys() & GEO:
        lost.append("GeoTIFF")
        metadata = replace(metadata, exif=without(exif, GEO))
    if suffix != ".png":
        color = [name for name, data in metadata.color if data not in _SRGB.get(name, ())]
        if color:
            lost.append(f"{' and '.join(n.decode() for n in color)} of PNG")
        kept = {COMMENT} if suffix in _JPEG else set()
        dropped = dict.fromkeys(t.keyword for t in metadata.texts if t.keyword not in kept)
        if dropped:
            lost.append(f"text of PNG or JPEG ({_few(list(dropped))})")
        texts = tuple(text for text in metadata.texts if text.keyword in kept)
        metadata = replace(metadata, color=(), texts=texts)
    unfit: list[str] = []
    if suffix in _JPEG:
        metadata, unfit = shortened(metadata)
    elif suffix in _TIFF:
        metadata, unfit = fitting(metadata, shape)
    return metadata, lost + unfit


def _few(keywords: list[str]) -> str:
    return ", ".join(keywords[:4]) + (" and others" if len(keywords) > 4 else "")
