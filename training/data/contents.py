"""Whether files are what they were, without reading all of large ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

_WHOLE = 1 << 20  # bytes up to which all of a file counts
_PARTS, _PART = 4, 64 << 10  # of longer ones, spread evenly, the first and the last included


def digest_files(paths: Iterable[Path]) -> str:
    """A digest of sizes and contents of files, in their order; each file counts once.

    A picture that was edited has another size or another end: in formats that compress, everything
    behind the first change differs. A file that cannot be read counts as such.
    """
    digest = hashlib.sha256()
    for path in dict.fromkeys(paths):
        try:
            # A pipe would be waited for.
            part = _digest(path) if path.is_file() else b"no file"
        except OSError:
            part = b"unreadable"
        digest.update(part)
    return digest.hexdigest()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        parts = [(0, size)]
        if size > _WHOLE:
            parts = [((size - _PART) * part // (_PARTS - 1), _PART) for part in range(_PARTS)]
        for start, length in parts:
            file.seek(start)
            digest.update(file.read(length))
    return digest.digest()
