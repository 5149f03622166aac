"""Decompresses the strips and tiles of a TIFF, completely or not at all.

libtiff continues where data is missing or does not decompress, and leaves black.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError

from .containers import jpeg_segment
from .jpeg import decode_components, read_jpeg_header
from .lzw import decode_lzw
from .tiff_page import DEFLATE, JPEG, LZMA, LZW, NONE, OLD_DEFLATE, PACK_BITS, YCBCR, Page

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_LZMA_MEMORY = 1 << 28  # bytes; its own dictionary is 64 MiB at most


def read_blocks(content: bytes, page: Page, path: Path) -> Iterator[np.ndarray]:
    """Yield the blocks of a page in order, uint8, shape (rows, bytes).

    The last strips have only the rows that the picture has. Raises HyperguideError if a block is
    incomplete.
    """
    lengths = sum(length for _, length in page.spans)
    if page.compression != NONE and lengths > 2 * len(content):  # a small file claims much data
        raise HyperguideError(
            f"The picture {path} is damaged: its parts overlap each other or the file's end."
        )
    down = -(-page.height // page.block_height)
    for number, (offset, length) in enumerate(page.spans):
        row = number // page.blocks_across % down
        rows = page.block_height
        if not page.tiled:
            rows = min(rows, page.height - row * page.block_height)
        data = content[offset : offset + length]
        try:
            yield _block(data, page, rows, path)
        except (ValueError, zlib.error, lzma.LZMAError, EOFError) as error:
            raise HyperguideError(
                f"The picture {path} is damaged (part {number + 1} of {len(page.spans)}: {error}): "
                "copy or download it again."
            ) from None


def _block(data: bytes, page: Page, rows: int, path: Path) -> np.ndarray:
    if page.compression == JPEG:
        return _from_jpeg(data, page, rows, path)
    if page.reversed_bits:
        data = data.translate(_REVERSED)
    size = rows * page.row_bytes
    # Some writers pad the last strip to its full height.
    block = _DECODERS[page.compression](data, page.block_height * page.row_bytes)
    if len(block) < size:
        raise ValueError(f"{len(block)} bytes of {size}")
    return np.frombuffer(block, np.uint8, size).reshape(rows, page.row_bytes)


def _from_jpeg(data: bytes, page: Page, rows: int, path: Path) -> np.ndarray:
    """Decode a block that is a JPEG, except for the tables that all blocks share."""
    # Adobe's marker says whether the components are luma and chroma; TIFF says so elsewhere.
    transform = 1 if page.photometric == YCBCR else 0
    adobe = jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))
    whole = b"".join([b"\xff\xd8", adobe, page.tables[2:-2], data[2:]])
    header = read_jpeg_header(whole, path)
    wanted = page.block_width, page.block_samples
    if (header.width, len(header.sampling)) != wanted or not rows <= header.height <= max(
        rows, page.block_height
    ):
        raise ValueError(f"a JPEG of {header.width}x{header.height} pixels")
    return decode_components(whole, header, path)[:rows].reshape(rows, -1)


def _inflate(data: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj()
    block = unpacker.decompress(data, most + 1)
    # The checksum is after the last byte.
    return _ended(block, most, unpacker.eof)


def _unpack_lzma(data: bytes, most: int) -> bytes:
    unpacker = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    block = unpacker.decompress(data, most + 1)
    while not unpacker.eof and not unpacker.needs_input and len(block) <= most:
        block += unpacker.decompress(b"", most + 1 - len(block))
    return _ended(block, most, unpacker.eof)


def _unpack_lzw(data: bytes, most: int) -> bytes:
    block = decode_lzw(data, most + 1)
    return _ended(block, most, True)


def _ended(block: bytes, most: int, ended: bool) -> bytes:
    """Return unpacked bytes if their stream ended where it should; after damage it rarely does."""
    if len(block) > most:
        raise ValueError(f"more than {most} bytes")
    if not ended:
        raise ValueError(f"{len(block)} bytes, then nothing")
    return block


def _unpack_bits(data: bytes, most: int) -> bytes:
    """Unpack PackBits, TIFF 6.0, section 9: runs of literal bytes and of repeated ones."""
    block = bytearray()
    position = 0
    while len(block) < most and position < len(data):
        count = data[position]
        position += 1
        if count < 128:
            if position + count + 1 > len(data):
                break
            block += data[position : position + count + 1]
            position += count + 1
        elif count > 128:
            block += data[position : position + 1] * (257 - count)
            position += 1
    return bytes(block[:most])


_DECODERS: dict[int, Callable[[bytes, int], bytes]] = {
    NONE: lambda data, most: data[:most],
    LZW: _unpack_lzw,
    DEFLATE: _inflate,
    OLD_DEFLATE: _inflate,
    LZMA: _unpack_lzma,
    PACK_BITS: _unpack_bits,
}
