"""Metadata in texts of PNG files, as ImageMagick, and ExifTool before PNG held EXIF, write it.

The keyword is "Raw profile type exif" and so on; the text is the profile's name, its length in
bytes and its bytes as hexadecimal digits, in lines. Unlike EXIF and XMP, IPTC has no other place
in PNG.
"""

from __future__ import annotations

from . import exif, photoshop
from .metadata import Metadata, Text

_KEYWORD = "Raw profile type "
EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LINE = 36  # bytes in a line, as ImageMagick writes them


def is_one(keyword: str) -> bool:
    """Whether a text with this keyword is a profile of a known kind."""
    return keyword.startswith(_KEYWORD) and _kind(keyword) in _READERS


def read(text: Text) -> Metadata:
    """The metadata in a text that is a profile."""
    kind = _kind(text.keyword)
    found = _READERS[kind](_profile(text.text))
    return Metadata(lost=(f"damaged {kind.upper()} profile",)) if found == Metadata() else found


def written(kind: str, profile: bytes) -> Text:
    """A profile as a text."""
    digits = profile.hex()
    lines = [digits[at : at + 2 * _LINE] for at in range(0, len(digits), 2 * _LINE)]
    return Text(_KEYWORD + kind, "\n".join(["", kind, f"{len(profile):8d}", *lines, ""]))


def _kind(keyword: str) -> str:
    return keyword.removeprefix(_KEYWORD).lower()


def _profile(text: str) -> bytes:
    """The bytes of a profile; empty if it is damaged."""
    name_length_digits = text.split(maxsplit=2)
    if len(name_length_digits) != 3:
        return b""
    try:
        data = bytes.fromhex(name_length_digits[2])
    except ValueError:
        return b""
    return data if name_length_digits[1] == str(len(data)) else b""


def _from_exif(data: bytes) -> Metadata:
    if data.startswith(_XMP):  # ImageMagick names profiles after the segment of JPEG files
        return Metadata(xmp=data[len(_XMP) :] or None)
    return Metadata(exif=exif.read_exif(data.removeprefix(EXIF)))


def _from_xmp(data: bytes) -> Metadata:
    return Metadata(xmp=data.removeprefix(_XMP) or None)


def _from_iptc(data: bytes) -> Metadata:
    if data.startswith(b"\x1c"):  # IPTC's own marker
        return Metadata(iptc=data)
    iptc, others = photoshop.split(data.removeprefix(photoshop.HEAD))
    return Metadata(iptc=iptc, photoshop=others)


def _from_icc(data: bytes) -> Metadata:
    return Metadata(profile=data or None)


_READERS = {
    "exif": _from_exif,
    "app1": _from_exif,
    "xmp": _from_xmp,
    "iptc": _from_iptc,
    "8bim": _from_iptc,
    "icc": _from_icc,
    "icm": _from_icc,
}
