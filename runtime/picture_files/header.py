"""Reads the header of a picture file: whether it is supported, and how large the picture is."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from hyperguide.errors import HyperguideError, OutOfMemoryError
from hyperguide.memory import usable_bytes

from .bmp import BmpHeader, read_bmp_header
from .containers import Span, png_chunks, webp_chunks
from .format import Format, format_of
from .jpeg import JpegHeader, read_jpeg_header
from .multi_picture import count_pictures
from .tiff_page import Page, read_page

# Maximum bytes that decoding takes per byte of the picture: the picture, what else the decoder
# holds (coefficients of progressive JPEGs are twice their pixels), and a copy turned upright.
_DECODING = 4
_UNPACKING = 4  # per byte of a strip or tile of a TIFF, while its predictor is undone
_ALWAYS = 1 << 25  # bytes allowed whatever the limit: most of a process is not pictures
_IHDR = b"\0\0\0\x0dIHDR"  # the first chunk of a PNG, of 13 bytes
_PNG_PLANES = {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}  # decoded, by colour type
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # stored
_DEFLATE = 1032  # maximum bytes that a byte of Deflate expands to
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


@dataclass(frozen=True)
class Header:
    """The header of a picture file.

    width, height: in pixels, before the picture is turned.
    planes, sample_bytes: of the decoded picture, for CMYK before conversion to RGB.
    stored: the header of formats that have their own decoder here.
    """

    format: Format
    width: int
    height: int
    planes: int
    sample_bytes: int
    stored: JpegHeader | BmpHeader | Page | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded picture."""
        return self.width * self.height * self.planes * self.sample_bytes


def read_header(content: bytes, path: Path) -> Header:
    """Read the header of a picture file.

    Raises HyperguideError if the picture is of an unsupported format or kind, truncated, damaged,
    or one of several.
    """
    header = _READERS[format_of(content, path)](content, path)
    if header.width < 1 or header.height < 1:
        raise HyperguideError(f"The picture {path} is damaged: its header gives no size.")
    return header


def check_memory(header: Header, path: Path, max_memory: int | None) -> None:
    """Raise OutOfMemoryError if a picture is too large to be decoded.

    A few bytes can claim any number of pixels, so this is checked before decoding.
    max_memory: bytes that the process may use; None means half of what is free.
    """
    needed, usable = _DECODING * header.nbytes, usable_bytes(max_memory)
    if isinstance(header.stored, Page):
        needed += _UNPACKING * header.stored.row_bytes * header.stored.block_height
    if usable is not None and needed > max(usable, _ALWAYS):
        raise OutOfMemoryError(
            f"{path} has {header.width}x{header.height} pixels, which take {_mib(needed)} MiB of "
            f"memory to read, more than the {_mib(usable)} MiB that may be used: crop the picture "
            "or allow more memory."
        )


def _mib(amount: int) -> int:
    return max(amount, 0) >> 20


def _read_png(content: bytes, path: Path) -> Header:
    if content[8:16] != _IHDR or len(content) < 33:
        raise _damaged(path)
    depth, color = content[24], content[25]
    if depth not in _PNG_DEPTHS.get(color, ()):
        raise _damaged(path)
    names, packed = set(), 0
    for name, (start, stop) in png_chunks(content):
        names.add(name)
        packed += stop - start if name == b"IDAT" else 0
        if name == b"tRNS" and not _is_transparency(content, start, stop):
            raise _damaged(path)
    if b"IEND" not in names:
        raise _truncated(path)
    if b"acTL" in names:
        raise _animation(path)
    width, height = struct.unpack_from(">2I", content, 16)
    if width * height * depth * _PNG_SAMPLES[color] > 8 * _DEFLATE * packed:
        raise _truncated(path)
    planes = 4 if b"tRNS" in names else _PNG_PLANES[color]
    return Header("PNG", width, height, planes, 2 if depth == 16 else 1)


def _is_transparency(content: bytes, start: int, stop: int) -> bool:
    """Whether a tRNS chunk is intact: libpng drops a damaged one, and with it the transparency."""
    lengths = {0: (2,), 2: (6,), 3: range(1, 257)}.get(content[25], range(1 << 31))
    checksum = int.from_bytes(content[stop : stop + 4], "big")
    return stop - start in lengths and zlib.crc32(content[start - 4 : stop]) == checksum


def _read_jpeg(content: bytes, path: Path) -> Header:
    stored = read_jpeg_header(content, path)
    count = count_pictures(content)
    if count > 1:
        raise HyperguideError(
            f"{path} holds {count} pictures, of which one would be left: save them as files of "
            "their own."
        )
    return Header("JPEG", stored.width, stored.height, stored.planes, 1, stored)


def _read_webp(content: bytes, path: Path) -> Header:
    """See https://developers.google.com/speed/webp/docs/riff_container and its two bitstreams."""
    if len(content) < 8 + int.from_bytes(content[4:8], "little"):
        raise _truncated(path)
    chunks: dict[bytes, Span] = {}
    for name, span in webp_chunks(content):
        chunks.setdefault(name, span)
    if b"ANIM" in chunks or b"ANMF" in chunks:
        raise _animation(path)
    size = None
    if b"VP8L" in chunks:
        start, _ = chunks[b"VP8L"]
        bits = int.from_bytes(content[start + 1 : start + 5], "little")
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif b"VP8 " in chunks:
        start, _ = chunks[b"VP8 "]
        size = (
            int.from_bytes(content[start + 6 : start + 8], "little") & 0x3FFF,
            int.from_bytes(content[start + 8 : start + 10], "little") & 0x3FFF,
        )
    if size is None:
        raise HyperguideError(f"The picture {path} is damaged: its header gives no size.")
    return Header("WebP", *size, 4, 1)


def _read_tiff(content: bytes, path: Path) -> Header:
    page = read_page(content, path)
    return Header("TIFF", page.width, page.height, page.planes, page.sample_bytes, page)


def _read_bmp(content: bytes, path: Path) -> Header:
    stored = read_bmp_header(content, path)
    return Header("BMP", stored.width, stored.height, stored.planes, 1, stored)


def _damaged(path: Path) -> HyperguideError:
    return HyperguideError(f"The picture {path} is damaged: copy or download it again.")


def _truncated(path: Path) -> HyperguideError:
    return HyperguideError(f"The picture {path} is truncated: copy or download it again.")


def _animation(path: Path) -> HyperguideError:
    return HyperguideError(
        f"{path} is an animation, of which one picture would be left: save its pictures as files "
        "of their own."
    )


_READERS = {
    "PNG": _read_png,
    "JPEG": _read_jpeg,
    "WebP": _read_webp,
    "TIFF": _read_tiff,
    "BMP": _read_bmp,
}
