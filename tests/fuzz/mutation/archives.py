"""Files of arrays: zip archives, .npy, safetensors, .mat, with valid lengths and checksums."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from random import Random

from . import values

Inner = Callable[[bytes], bytes]

_NPY = b"\x93NUMPY\x01\0"
_TYPES = ("<f4", "<f8", "<f2", ">f4", "<i8", "|u1", "|b1", "<c8", "|O", "|S0", "<U3", "<U99999999",
          "<M8[s]", "|V0", "x", "")  # fmt: skip
_SHAPES = ("()", "(3, 3)", "(9,)", "(0, 3)", "(-1, 3)", "(3, 3.0)", "(1000000, 1000000)", "(9", "3",
           "(99999999999999999999, 1)", "(3, 'x')", "(True, 3)", "((3,), 3)")  # fmt: skip


def zipped(data: bytes, rng: Random, inner: Inner) -> bytes:
    """A zip archive with one entry changed, removed, repeated or renamed."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [(name, archive.read(name)) for name in archive.namelist()]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, RuntimeError):
        raise ValueError("no zip archive") from None
    if not entries:
        raise ValueError("nothing in it")
    at = rng.randrange(len(entries))
    name, content = entries[at]
    match rng.randrange(9):
        case 0:
            del entries[at]
        case 1:
            entries.insert(rng.randrange(len(entries) + 1), entries[at])
        case 2:
            entries[at] = (rng.choice(entries)[0], content)
        case 3:
            entries[at] = (inner(name.encode()).decode("latin-1").replace("\0", "_"), content)
        case _:
            changed = npy(content, rng, inner) if content[:6] == _NPY[:6] else inner(content)
            entries[at] = (name, changed)
    packed = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if rng.random() < 0.3 else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", kind) as archive:
        warnings.simplefilter("ignore")  # about duplicate names
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return packed.getvalue()


def npy(data: bytes, rng: Random, inner: Inner) -> bytes:
    """A .npy file with a different header of the right length, or different values."""
    if data[:8] != _NPY or len(data) < 10:
        raise ValueError("no .npy of version 1")
    size = int.from_bytes(data[8:10], "little")
    header, content = data[10 : 10 + size], data[10 + size :]
    match rng.randrange(5):
        case 0:
            content = inner(content)
        case 1:
            header = inner(header)
        case 2:
            return inner(data)
        case _:
            order = rng.choice(["True", "False", "False", "2", "None"])
            header = (
                f"{{'descr': {rng.choice(_TYPES)!r}, 'fortran_order': {order}, "
                f"'shape': {rng.choice(_SHAPES)}, }}"
            ).encode()
            header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return _NPY + struct.pack("<H", len(header) & 0xFFFF) + header[:65535] + content


def safetensors(data: bytes, rng: Random, inner: Inner) -> bytes:
    """A safetensors file with a different header of the right length, or a different record."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if isinstance(metadata, dict) and metadata and rng.random() < 0.7:
        name = rng.choice(list(metadata))
        record = json.loads(metadata[name]) if isinstance(metadata[name], str) else None
        text = values.as_json(values.mutated(record, rng, inner)).decode()
        header = header | {"__metadata__": metadata | {name: text}}
    else:
        header = values.mutated(header, rng, inner)
    packed = values.as_json(header)
    return struct.pack("<Q", len(packed)) + packed + data[8 + size :]


def mat(data: bytes, rng: Random, inner: Inner) -> bytes:
    """A .mat file with a word or part of an element changed, also inside compressed elements."""
    kind, size = struct.unpack_from("<II", data.ljust(136, b"\0"), 128)
    if kind != 15:
        return data[:128] + _words(data[128:], rng, inner)
    try:
        plain = zlib.decompress(data[136 : 136 + size])
    except zlib.error:
        raise ValueError("not compressed") from None
    packed = zlib.compress(_words(plain, rng, inner))
    return data[:128] + struct.pack("<II", 15, len(packed)) + packed + data[136 + size :]


def _words(data: bytes, rng: Random, inner: Inner) -> bytes:
    if rng.random() < 0.4 or len(data) < 8:
        return inner(data)
    changed = bytearray(data)
    at = 4 * rng.randrange(len(data) // 4)
    word = rng.choice([0, 1, 2, 4, 5, 6, 7, 9, 14, 15, 255, 1 << 31, (1 << 32) - 1, len(data)])
    struct.pack_into("<I", changed, at, word)
    return bytes(changed)
