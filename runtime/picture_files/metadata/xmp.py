"""XMP: metadata as XML text, which stays unchanged except for what would be wrong for the result.

Edited as text, because XML libraries lose what a packet has around its elements: padding for
edits, and the prefixes that some readers rely on. Adobe's XMP Specification, parts 1 to 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TIFF, _EXIF, _XMP = (f"http://ns.adobe.com/{name}/1.0/" for name in ("tiff", "exif", "xap"))
_PREFIX = re.compile(rf"xmlns:([\w.-]+)\s*=\s*[\"']({_TIFF}|{_EXIF}|{_XMP})[\"']")
# Each expression starts after a space or a bracket, so that no text is scanned twice.
_NAMES = "Orientation|ImageWidth|ImageLength|PixelXDimension|PixelYDimension"
_ATTRIBUTE = re.compile(
    rf"(?<=\s)(?P<prefix>[\w.-]+):(?P<name>{_NAMES})(?P<between>\s*=\s*[\"'])(?P<old>[^\"'<]*)"
)
_ELEMENT = re.compile(
    rf"(?<=<)(?P<prefix>[\w.-]+):(?P<name>{_NAMES})(?P<between>(?:\s[^<>/]*)?>\s*)(?P<old>[^<\s]*)"
)
_THUMBNAILS = re.compile(r"<([\w.-]+):Thumbnails(?=[\s>])")
# The first bytes of packets that are not plain UTF-8.
_CODES = {
    b"\xef\xbb": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}


def readable(packet: bytes) -> bytes | None:
    """A packet in UTF-8, which all formats hold; None if it is empty or not text."""
    try:
        text = packet.decode(_CODES.get(packet[:2], "utf-8"))
    except UnicodeDecodeError:
        return None
    text = text.strip("\0")
    return text.encode() if text.strip() and "\0" not in text else None


def upright(packet: bytes, turned: bool) -> bytes:
    """XMP without thumbnails, which would show the old picture.

    turned: whether an orientation in other metadata was applied: XMP then says upright too.
    """
    packet = _without_thumbnails(packet)
    return _with_values(packet, {(_TIFF, "Orientation"): "1"}) if turned else packet


def sized(packet: bytes, width: int, height: int) -> bytes:
    """XMP with this size in those fields of the picture's size that it has."""
    sizes = {
        (_TIFF, "ImageWidth"): str(width),
        (_TIFF, "ImageLength"): str(height),
        (_EXIF, "PixelXDimension"): str(width),
        (_EXIF, "PixelYDimension"): str(height),
    }
    return _with_values(packet, sizes)


def _with_values(packet: bytes, values: Mapping[tuple[str, str], str]) -> bytes:
    """The packet with new values for properties that it has, by namespace and name."""
    text = packet.decode()
    spaces = dict(_PREFIX.findall(text))

    def replaced(match: re.Match[str]) -> str:
        value = values.get((spaces.get(match["prefix"], ""), match["name"]), match["old"])
        return f"{match['prefix']}:{match['name']}{match['between']}{value}"

    return _ELEMENT.sub(replaced, _ATTRIBUTE.sub(replaced, text)).encode()


def _without_thumbnails(packet: bytes) -> bytes:
    text, kept, at = packet.decode(), [], 0
    prefixes = {prefix for prefix, space in _PREFIX.findall(text) if space == _XMP}
    for match in _THUMBNAILS.finditer(text):
        if match.start() < at or match[1] not in prefixes:
            continue
        end = f"</{match[1]}:Thumbnails>"
        stop = text.find(end, match.end())
        if stop < 0:
            break
        kept.append(text[at : match.start()])
        at = stop + len(end)
    return "".join([*kept, text[at:]]).encode()
