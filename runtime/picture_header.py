"""What the header of a picture file tells before it is decoded.

OpenCV fills what is missing with gray, takes the first of several pictures, and reads some kinds
of TIFF wrongly, all without a word.
"""

from __future__ import annotations

import struct
from pathlib import Path

from .containers import (
    JPEG,
    PNG,
    START_OF_SCAN,
    is_webp,
    jpeg_segments,
    png_chunks,
    webp_chunks,
)
from .errors import HyperguideError
from .tiff import SAMPLES, Directory, is_tiff, read_directories

# Fields of TIFF, and what they are where they are missing.
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC = 254, 256, 257, 258, 262
_PLANAR, _SAMPLE_FORMAT, _DNG_VERSION = 284, 339, 50706
_WHITE_IS_ZERO, _RGB, _CMYK = 0, 2, 5
# Samples per pixel that are read rightly, by photometric interpretation.
_READ_SAMPLES = {_WHITE_IS_ZERO: (1,), 1: (1,), _RGB: (3, 4), 3: (1,), _CMYK: (4,), 6: (3,)}
_FLOAT = 3


def check_header(content: bytes, path: Path) -> None:
    """Raise HyperguideError if a picture would not be read rightly.

    It is truncated, holds several pictures, or is of a kind of TIFF that is not supported.
    """
    if _is_truncated(content):
        raise HyperguideError(f"The picture {path} is truncated: copy or download it again.")
    if content.startswith(b"GIF8"):
        raise HyperguideError(f"{path} is a GIF, which is not supported: save it as PNG.")
    if _is_animation(content):
        raise HyperguideError(
            f"{path} is an animation, of which one picture would be left: save its pictures as "
            "files of their own."
        )
    if is_tiff(content):
        _check_tiff(content, path)


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, before the picture is turned; None for less known formats."""
    if content.startswith(PNG):
        return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    if content.startswith(JPEG):
        return _jpeg_size(content)
    if content.startswith(b"BM"):
        width, height = struct.unpack_from("<2i", content.ljust(26, b"\0"), 18)
        return width, abs(height)  # negative: stored from the top
    pages = read_directories(content)
    if pages:
        return pages[0].number(_WIDTH, 0), pages[0].number(_HEIGHT, 0)
    return None


def is_cmyk_tiff(page: Directory) -> bool:
    """Whether a page holds inks. OpenCV makes RGB of them and adds an opaque alpha plane."""
    return page.number(_PHOTOMETRIC, 1) == _CMYK


def _check_tiff(content: bytes, path: Path) -> None:
    pages = read_directories(content)
    if not pages:
        raise HyperguideError(f"The picture {path} is damaged: copy or download it again.")
    if pages[0].number(_SUBFILE, 0) & 1 or _DNG_VERSION in pages[0].fields:
        raise HyperguideError(f"{path} is a raw photo: develop it first, as a 16-bit TIFF, say.")
    # Reduced pictures and masks of the first one are no pages.
    count = sum(not page.number(_SUBFILE, 0) & 0b101 for page in pages)
    if count > 1:
        raise HyperguideError(
            f"{path} holds {count} pages, of which one would be left: save them as files of "
            "their own."
        )
    problem = _problem(pages[0])
    if problem:
        raise HyperguideError(f"{path} {problem}.")


def _problem(page: Directory) -> str:
    """Why a page would be read wrongly, and the mend; empty if it is read rightly."""
    photometric, samples = page.number(_PHOTOMETRIC, -1), page.number(SAMPLES, 1)
    bits, form = page.number(_BITS, 1), page.number(_SAMPLE_FORMAT, 1)
    if photometric not in _READ_SAMPLES:
        return f"is a TIFF of colour space {photometric}, neither gray nor RGB: convert it to RGB"
    if samples not in _READ_SAMPLES[photometric]:
        return f"is a TIFF of {samples} planes, gray with transparency, say: save it as PNG or RGBA"
    if bits != 32 if form == _FLOAT else form not in (1, 4) or bits > 16:
        kind = {2: "int", _FLOAT: "float"}.get(form, "uint")
        return f"has samples of type {kind}{bits}: convert it to 8 or 16 bits, or float32"
    if bits > 8 and photometric > _RGB:
        return f"is a TIFF of {bits} bits that is neither gray nor RGB: convert it to RGB"
    if bits > 8 and photometric == _WHITE_IS_ZERO:
        return f"is a TIFF of {bits} bits in which white is 0: save it with black as 0"
    if bits > 8 and samples > 1 and page.number(_PLANAR, 1) == 2:
        return f"is a TIFF of {bits} bits in planes: save it with interleaved colours"
    return ""


def _is_animation(content: bytes) -> bool:
    if content.startswith(PNG):
        return any(name == b"acTL" for name, _ in png_chunks(content))
    return is_webp(content) and any(name == b"ANIM" for name, _ in webp_chunks(content))


def _is_truncated(content: bytes) -> bool:
    if content.startswith(JPEG):
        return not _jpeg_ends(content)
    if content.startswith(PNG):
        return all(name != b"IEND" for name, _ in png_chunks(content))
    if is_webp(content):
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    if content.startswith(b"BM"):
        return len(content) < int.from_bytes(content[2:6], "little")
    return False


def _jpeg_ends(content: bytes) -> bool:
    """Whether an end marker follows the first scan; thumbnails in the header have their own."""
    for marker, (start, _) in jpeg_segments(content):
        if marker == START_OF_SCAN:
            return content.find(b"\xff\xd9", start) >= 0
    return False


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    for marker, (start, _) in jpeg_segments(content):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = content[start + 1 : start + 3], content[start + 3 : start + 5]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
    return None
