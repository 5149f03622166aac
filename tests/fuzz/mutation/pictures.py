"""Picture files, with valid checksums, lengths and compression."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from random import Random

_PNG = b"\x89PNG\r\n\x1a\n"
_SIDES = (0, 1, 2, 3, 7, 255, 256, 16383, 16384, 65535, 30000, 1 << 20, (1 << 31) - 1, 1 << 31)
_NUMBERS = (0, 1, 2, 3, 4, 5, 8, 12, 16, 32, 255, 65535, 1 << 16, (1 << 31) - 1, (1 << 32) - 1)
_EXIF = b"Exif\0\0"

Inner = Callable[[bytes], bytes]


def any_picture(data: bytes, rng: Random, inner: Inner) -> bytes:
    """A mutated picture file, in the format that its first bytes indicate."""
    if data.startswith(_PNG):
        return png(data, rng, inner)
    if data.startswith(b"\xff\xd8"):
        return jpeg(data, rng, inner)
    if data[:4] == b"RIFF":
        return webp(data, rng, inner)
    if data[:2] in (b"II", b"MM"):
        return tiff(data, rng, inner)
    if data[:2] == b"BM":
        return bmp(data, rng, inner)
    raise ValueError("another format")


def png(data: bytes, rng: Random, inner: Inner) -> bytes:
    """PNG with one chunk changed, removed, repeated, moved or renamed; all checksums are valid."""
    if not data.startswith(_PNG):
        raise ValueError("no PNG")
    chunks, at = [], len(_PNG)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        raise ValueError("no PNG")
    at = rng.randrange(len(chunks))
    name, piece = chunks[at]
    match rng.randrange(10):
        case 0:
            del chunks[at]
        case 1:
            chunks.insert(rng.randrange(len(chunks) + 1), chunks[at])
        case 2:
            names = b"IHDR PLTE tRNS IDAT IEND gAMA cHRM sRGB cICP iCCP eXIf pHYs tEXt zTXt acTL"
            chunks[at] = (rng.choice(names.split()), piece)
        case 3:
            text = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  8\n49492a0008000000\n")
            chunks.insert(rng.randrange(len(chunks) + 1), (b"zTXt", text))
        case _:
            chunks[at] = (name, _png_piece(name, piece, rng, inner))
    parts = [
        struct.pack(">I", len(piece)) + name + piece + struct.pack(">I", zlib.crc32(name + piece))
        for name, piece in chunks
    ]
    return _PNG + b"".join(parts)


def _png_piece(name: bytes, piece: bytes, rng: Random, inner: Inner) -> bytes:
    if name == b"IHDR" and len(piece) == 13:
        width, height, *kind = struct.unpack(">IIBBBBB", piece)
        match rng.randrange(4):
            case 0:
                width = rng.choice(_SIDES)
            case 1:
                height = rng.choice(_SIDES)
            case _:
                kind[rng.randrange(5)] = rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])
        return struct.pack(">IIBBBBB", width, height, *kind)
    if name == b"eXIf":
        return _or_freely(tiff, piece, rng, inner)
    head = b"" if name == b"IDAT" else piece[: piece.find(b"\0") + 2]
    if name in (b"IDAT", b"iCCP", b"zTXt") and rng.random() < 0.7:
        try:
            return head + zlib.compress(inner(zlib.decompress(piece[len(head) :])))
        except zlib.error:
            pass
    return inner(piece)


def jpeg(data: bytes, rng: Random, inner: Inner) -> bytes:
    """JPEG with one segment changed, removed, repeated or moved, or with its scan changed."""
    if not data.startswith(b"\xff\xd8"):
        raise ValueError("no JPEG")
    segments, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        segments.append((data[at + 1], data[at + 4 : at + 2 + size]))
        at += 2 + size
    scan = data[at:]
    if not segments or rng.random() < 0.15:
        scan = inner(scan)
    else:
        i = rng.randrange(len(segments))
        marker, piece = segments[i]
        match rng.randrange(9):
            case 0:
                del segments[i]
            case 1:
                segments.insert(rng.randrange(len(segments) + 1), segments[i])
            case 2:
                markers = [0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xFE]
                segments[i] = (rng.choice(markers), piece)
            case 3:
                segments.insert(i, (0xE1, _EXIF + b"II*\0\x08\0\0\0\0\0\0\0\0\0"))
            case _:
                segments[i] = (marker, _jpeg_piece(marker, piece, rng, inner))
    parts = [struct.pack(">BBH", 255, m, min(len(p), 65533) + 2) + p[:65533] for m, p in segments]
    return b"\xff\xd8" + b"".join(parts) + scan


def _jpeg_piece(marker: int, piece: bytes, rng: Random, inner: Inner) -> bytes:
    if marker in (0xC0, 0xC1, 0xC2) and len(piece) >= 6 and rng.random() < 0.6:
        sides = [rng.choice(_SIDES) & 0xFFFF, *struct.unpack(">HH", piece[1:5])]
        rng.shuffle(sides)
        return piece[:1] + struct.pack(">HH", *sides[:2]) + piece[5:]
    if piece.startswith(_EXIF):
        return _EXIF + _or_freely(tiff, piece[len(_EXIF) :], rng, inner)
    return inner(piece)


def webp(data: bytes, rng: Random, inner: Inner) -> bytes:
    """WebP with one chunk changed, removed, repeated or renamed; all lengths are valid."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise ValueError("no WebP")
    chunks, at = [], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    if not chunks:
        raise ValueError("no WebP")
    at = rng.randrange(len(chunks))
    name, piece = chunks[at]
    match rng.randrange(8):
        case 0:
            del chunks[at]
        case 1:
            chunks.insert(rng.randrange(len(chunks) + 1), chunks[at])
        case 2:
            chunks[at] = (rng.choice([b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"EXIF"]), piece)
        case _ if name == b"EXIF":
            chunks[at] = (name, _or_freely(tiff, piece, rng, inner))
        case _:
            chunks[at] = (name, inner(piece))
    body = b"".join(n + struct.pack("<I", len(p)) + p + bytes(len(p) % 2) for n, p in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def tiff(data: bytes, rng: Random, inner: Inner) -> bytes:
    """TIFF or EXIF with a directory entry, a link or a compressed strip changed."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        raise ValueError("no TIFF")
    directories, at = [], struct.unpack_from(order + "I", data, 4)[0]
    while 8 <= at <= len(data) - 2 and at not in directories and len(directories) < 9:
        directories.append(at)
        count = struct.unpack_from(order + "H", data, at)[0]
        at += 2 + 12 * count
        at = struct.unpack_from(order + "I", data, at)[0] if at + 4 <= len(data) else 0
    if not directories:
        raise ValueError("no TIFF")
    at = rng.choice(directories)
    count = struct.unpack_from(order + "H", data, at)[0]
    changed = bytearray(data)
    entry = at + 2 + 12 * rng.randrange(max(count, 1))
    if entry + 12 > len(data):
        raise ValueError("no TIFF")
    tags = (254, 256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 282, 284, 296, 317, 320, 322,
            323, 324, 325, 338, 339, 513, 514, 700, 33723, 34665, 34675, 40962, 50706)  # fmt: skip
    match rng.randrange(10):
        case 0:
            struct.pack_into(order + "H", changed, entry, rng.choice(tags))
        case 1:
            struct.pack_into(
                order + "H", changed, entry + 2, rng.choice([0, 1, 3, 4, 5, 7, 12, 16])
            )
        case 2:
            struct.pack_into(order + "I", changed, entry + 4, rng.choice(_NUMBERS))
        case 3 | 4 | 5:
            value = rng.choice([*_NUMBERS, 32773, 34712, 50000, len(data) - 1, at])
            if rng.random() < 0.5:
                struct.pack_into(order + "H", changed, entry + 8, value & 0xFFFF)
            else:
                struct.pack_into(order + "I", changed, entry + 8, value)
        case 6:
            struct.pack_into(order + "H", changed, at, rng.choice([0, 1, count + 1, 65535]))
        case 7:
            link = at + 2 + 12 * count
            if link + 4 <= len(data):
                struct.pack_into(order + "I", changed, link, rng.choice([0, *directories]))
        case 8:
            return _with_strip(data, rng, inner)
        case _:
            return inner(data)
    return bytes(changed)


def _with_strip(data: bytes, rng: Random, inner: Inner) -> bytes:
    """The file with the contents of a zlib strip changed; the space it takes stays the same."""
    at = data.find(b"\x78\x9c")
    if at < 0:
        return inner(data)
    packer = zlib.decompressobj()
    try:
        plain = packer.decompress(data[at:])
    except zlib.error:
        return inner(data)
    room = len(data) - at - len(packer.unused_data)
    packed = zlib.compress(inner(plain))[:room]
    return data[:at] + packed.ljust(room, b"\0") + data[at + room :]


def bmp(data: bytes, rng: Random, inner: Inner) -> bytes:
    """BMP with one header field changed."""
    if data[:2] != b"BM" or len(data) < 54 or rng.random() < 0.3:
        raise ValueError("no BMP")
    places = (("I", 10), ("I", 14), ("i", 18), ("i", 22), ("H", 26), ("H", 28), ("I", 30),
              ("I", 34), ("I", 38), ("I", 42), ("I", 46), ("I", 50))  # fmt: skip
    kind, at = rng.choice(places)
    value = rng.choice([*_NUMBERS, 1, 2, 4, 8, 12, 24, 40, 56, 108, 124, -1, -8])
    bits = {"I": 0xFFFFFFFF, "i": 0x7FFFFFFF, "H": 0xFFFF}[kind]
    changed = bytearray(data)
    struct.pack_into("<" + kind, changed, at, value if kind == "i" and value < 0 else value & bits)
    return bytes(changed)


def _or_freely(
    mutate: Callable[[bytes, Random, Inner], bytes], piece: bytes, rng: Random, inner: Inner
) -> bytes:
    try:
        return mutate(piece, rng, inner)
    except ValueError:
        return inner(piece)
