"""Finds the format of a picture file, by its first bytes and never by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hyperguide.errors import HyperguideError

from .containers import JPEG, PNG, is_webp
from .tiff import is_tiff

Format = Literal["PNG", "JPEG", "WebP", "TIFF", "BMP"]

# First bytes of files of other formats. OpenCV decodes some of them, but wrongly or only in some
# of its builds: no file of an unchecked format may reach it.
_OTHERS = {
    b"GIF8": "a GIF",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"II\xbc": "a JPEG XR picture",
    b"qoif": "a QOI picture",
    b"#?RADIANCE": "a Radiance HDR picture",
    b"#?RGBE": "a Radiance HDR picture",
    b"\x76\x2f\x31\x01": "an OpenEXR picture",
    b"\x59\xa6\x6a\x95": "a Sun raster picture",
    b"PF": "a PFM picture",
    b"Pf": "a PFM picture",
    b"farbfeld": "a farbfeld picture",
    b"8BPS": "a Photoshop document",
    b"gimp xcf": "a GIMP document",
    b"DDS ": "a DDS texture",
    b"\xabKTX": "a KTX texture",
    b"\0\0\1\0": "an icon",
    b"\0\0\2\0": "a cursor",
    b"BA": "an OS/2 bitmap array",
    b"\x8aMNG": "an MNG animation",
    b"\x8bJNG": "a JNG picture",
    b"BPG\xfb": "a BPG picture",
    b"SIMPLE  =": "a FITS picture",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"IIU\0": "a raw photo",
    b"IIRO": "a raw photo",
    b"IIRS": "a raw photo",
    b"MMOR": "a raw photo",
    b"FUJIFILMCCD-RAW": "a raw photo",
    b"/* XPM": "an XPM picture",
    b"#define": "an XBM picture",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"<svg": "an SVG drawing",
    b"\x1aE\xdf\xa3": "a video",
}
# Brands of ISO's base media file format, ISO/IEC 14496-12.
_BRANDS = {
    b"avif": "an AVIF picture",
    b"avis": "an AVIF picture",
    b"heic": "an HEIC picture",
    b"heix": "an HEIC picture",
    b"heim": "an HEIC picture",
    b"heis": "an HEIC picture",
    b"hevc": "an HEIC picture",
    b"hevx": "an HEIC picture",
    b"jpeg": "a JPEG picture in HEIF",
    b"j2ki": "a JPEG 2000 picture in HEIF",
    b"crx ": "a raw photo",
    b"mif1": "an HEIF picture",  # any of the above may be this too
    b"msf1": "an HEIF picture",
}


def format_of(content: bytes, path: Path) -> Format:
    """The format of a picture file, if it is supported.

    Raises HyperguideError for any other format, with its name if it is known.
    """
    found = _known(content)
    if found is not None:
        return found
    other = _other(content)
    if other is not None:
        raise HyperguideError(f"{path} is {other}, which is not supported: save it as PNG.")
    raise HyperguideError(
        f"{path} is not a picture that can be read, or is damaged: give a PNG, JPEG, WebP, TIFF or "
        "BMP file."
    )


def looks_like_picture(content: bytes) -> bool:
    """Whether a file that starts with these bytes, 16 or more, may be of a supported format."""
    found = _known(content)
    # Texts may start with BM, too; a BMP file has zeros in its reserved fields.
    return found is not None and (found != "BMP" or content[6:10] == bytes(4))


def _known(content: bytes) -> Format | None:
    if content.startswith(PNG):
        return "PNG"
    if content.startswith(JPEG):
        return "JPEG"
    if is_webp(content):
        return "WebP"
    if is_tiff(content):
        return "TIFF"
    return "BMP" if content.startswith(b"BM") else None


def _other(content: bytes) -> str | None:
    """The name of an unsupported format, with its article; None if unknown."""
    if content[4:8] == b"ftyp":
        size = min(max(int.from_bytes(content[:4], "big"), 16), 256)
        brands = {content[at : at + 4] for at in (8, *range(16, size, 4))}
        return next((name for brand, name in _BRANDS.items() if brand in brands), "a video")
    if content[:1] == b"P" and content[1:2] in b"1234567" and content[2:3].isspace():
        return "a PNM picture"
    if content[128:132] == b"DICM":
        return "a DICOM picture"
    return next((name for start, name in _OTHERS.items() if content.startswith(start)), None)
