"""Metadata of PNG files, in chunks: the PNG Specification, third edition, W3C 2025."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from hyperguide.picture_files.containers import PNG, png_chunk, png_chunks
from hyperguide.picture_files.inflate import Inflater

from . import exif, exif_layout, photoshop, raw_profiles
from .metadata import C2PA, NOT_SQUARE, Metadata, Text, Texts
from .metres import per_inch, per_metre

_XMP = "XML:com.adobe.xmp"
# Chunks that define colours, with their sizes in bytes.
_COLOR = {b"cICP": 4, b"cHRM": 32, b"gAMA": 4, b"sRGB": 1, b"mDCV": 24, b"cLLI": 8}
_PLACES = (b"sCAL", b"pCAL", b"oFFs", b"sTER")  # physical scale, pixel calibration, offset, stereo
_LONGEST_KEYWORD = 79
_COMPRESSED = 1024  # texts of this many bytes and more are compressed
_READ = {*_COLOR, *_PLACES, b"iCCP", b"eXIf", b"pHYs", b"sBIT", b"caBX", b"tEXt", b"zTXt", b"iTXt"}
_DEPTH = 24  # position in the file of the bits per sample, before the colour type
_PALETTE = 3  # colour type whose colours have 8 bits


def read(content: bytes) -> Metadata:
    """The metadata of a PNG file, as stored.

    EXIF, XMP, IPTC and colour profiles are also read from the texts in which ImageMagick and old
    ExifTool keep them.
    """
    found: dict[str, Any] = {}
    color: dict[bytes, bytes] = {}
    hidden: dict[str, Text] = {}  # texts that hold other metadata
    lost: set[str] = set()
    inflater, texts = Inflater(), Texts()
    depth, color_type = content[_DEPTH : _DEPTH + 2].ljust(2, b"\0")
    depth = 8 if color_type == _PALETTE else depth
    for name, (start, stop) in png_chunks(content):
        data = content[start:stop] if name in _READ else b""
        if name in _COLOR and len(data) == _COLOR[name]:
            color[name] = data
        elif name == b"iCCP" and "profile" not in found:
            _, _, packed = data.partition(b"\0")  # after the name: method, data
            found["profile"] = inflater.inflate(packed[1:])
            lost |= {"damaged colour profile"} if found["profile"] is None else set()
        elif name == b"eXIf" and "exif" not in found:
            found["exif"] = exif.read_exif(data.removeprefix(raw_profiles.EXIF))
            lost |= {"damaged EXIF"} if found["exif"] is None else set()
        elif name == b"pHYs" and len(data) == 9:
            found["density"] = _density(data)
            lost |= {NOT_SQUARE} if data[8] == 0 and data[:4] != data[4:8] else set()
        elif name == b"sBIT" and any(bits < depth for bits in data[:4]):
            lost.add("number of significant bits, which is not that of the result,")
        elif name == b"caBX":
            lost.add(C2PA)
        elif name in _PLACES:
            lost.add(f"{name.decode()} of PNG")
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            text = _text(name, data, inflater)
            if text is None:
                lost.add("damaged or too long text")
            elif text.keyword == _XMP or raw_profiles.is_one(text.keyword):
                hidden.setdefault(text.keyword, text)
            else:
                texts.add(text)
    for text in hidden.values():
        more = _hidden(text)
        lost |= set(more.lost)
        for kind in ("exif", "xmp", "iptc", "photoshop", "profile"):
            found[kind] = found.get(kind) or getattr(more, kind)
    return Metadata(
        **found, color=tuple(color.items()), texts=texts.kept, lost=(*sorted(lost), *texts.lost)
    )


def write(encoded: bytes, metadata: Metadata) -> bytes:
    """Add metadata to a PNG file."""
    head = len(PNG) + 25  # the chunk IHDR comes first
    chunks = list(_chunks(metadata))
    return b"".join([encoded[:head], *chunks, encoded[head:]]) if chunks else encoded


def _density(data: bytes) -> tuple[float, float] | None:
    x, y, unit = struct.unpack(">2IB", data)
    return per_inch(x, y) if unit == 1 else None


def _hidden(text: Text) -> Metadata:
    """The metadata that a text holds; their own chunk takes precedence."""
    if text.keyword == _XMP:
        return Metadata(xmp=text.text.encode())
    return raw_profiles.read(text)


def _text(name: bytes, data: bytes, inflater: Inflater) -> Text | None:
    """The text of a chunk; None if it is damaged."""
    keyword, zero, rest = data.partition(b"\0")
    key = keyword.decode("latin-1")
    if not zero or not 0 < len(key) <= _LONGEST_KEYWORD or not key.isprintable():
        return None  # keywords are shown to the user
    compressed, code, language, translated, packed = name == b"zTXt", "latin-1", b"", b"", rest
    if name == b"zTXt":
        packed = rest[1:]  # after the method
    elif name == b"iTXt":
        code = "utf-8"
        compressed, language, translated, packed = _international(rest)
    text = inflater.inflate(packed) if compressed else packed
    if text is None or b"\0" in text:
        return None
    try:
        return Text(key, text.decode(code), language.decode(), translated.decode())
    except UnicodeDecodeError:
        return None


def _international(rest: bytes) -> tuple[bool, bytes, bytes, bytes]:
    language, _, rest_ = rest[2:].partition(b"\0")
    translated, _, text = rest_.partition(b"\0")
    return rest[:1] == b"\1", language, translated, text


def _chunks(metadata: Metadata) -> Iterator[bytes]:
    for name, data in metadata.color:
        yield png_chunk(name, data)
    if metadata.profile is not None:
        yield png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.profile))
    if metadata.density is not None:
        yield png_chunk(b"pHYs", struct.pack(">2IB", *per_metre(metadata.density), 1))
    if metadata.exif is not None:
        yield png_chunk(
            b"eXIf", exif_layout.to_bytes(exif.with_density(metadata.exif, metadata.density))
        )
    if metadata.xmp is not None:  # not compressed, so that programs without PNG support find it
        yield png_chunk(b"iTXt", _XMP.encode() + bytes(5) + metadata.xmp)
    resources = photoshop.join(metadata.iptc, metadata.photoshop)
    if resources:
        yield _text_chunk(raw_profiles.written("iptc", resources))
    for text in metadata.texts:
        yield _text_chunk(text)


def _text_chunk(text: Text) -> bytes:
    keyword = text.keyword.encode("latin-1", "replace")[:_LONGEST_KEYWORD] + b"\0"
    try:
        plain = text.text.encode("latin-1")
    except UnicodeEncodeError:
        plain = b""
    if text.language or text.translated or (text.text and not plain):
        data = text.text.encode()
        packed = len(data) >= _COMPRESSED
        names = text.language.encode() + b"\0" + text.translated.encode() + b"\0"
        body = zlib.compress(data) if packed else data
        return png_chunk(b"iTXt", keyword + bytes([packed, 0]) + names + body)
    if len(plain) >= _COMPRESSED:
        return png_chunk(b"zTXt", keyword + b"\0" + zlib.compress(plain))
    return png_chunk(b"tEXt", keyword + plain)
