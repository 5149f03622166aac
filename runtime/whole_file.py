"""The bytes of files that anybody may have put there."""

from __future__ import annotations

import stat
from pathlib import Path

from .errors import HyperguideError


def read_whole(path: Path, what: str, most: int) -> bytes:
    """The bytes of a regular file.

    what: of which kind it should be, for errors. most: bytes.
    Raises OSError if it is missing or cannot be read, HyperguideError if it is a device or a pipe,
    which may never end, or larger.
    """
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise HyperguideError(f"{path} is a device or pipe, not a {what}: give a file.")
    if status.st_size > most:
        raise HyperguideError(
            f"{path} of {status.st_size >> 20} MiB is too large for a {what}: check the name."
        )
    return path.read_bytes()
