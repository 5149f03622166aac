"""Small files from outside: read whole, up to a bound."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hyperguide.errors import HyperguideError

_MOST_BYTES = 64 << 20


def read_input(path: Path, what: str, most_bytes: int = _MOST_BYTES) -> bytes:
    """The content of a file.

    what: it should be, for errors.
    Raises HyperguideError where it is missing, no file but a folder or a device, cannot be read, or
    has more than `most_bytes`.
    """
    try:
        content = _read(path, what, most_bytes + 1)
    except OSError as error:
        raise HyperguideError(f"Cannot read the {what} {path}: {error.strerror}.") from None
    except ValueError:  # a NUL in the name
        raise HyperguideError(
            f"Cannot read the {what} {str(path)!r}: no file can have that name."
        ) from None
    if len(content) > most_bytes:
        size = f"{most_bytes >> 20} MiB" if most_bytes >> 20 else f"{most_bytes >> 10} KiB"
        raise HyperguideError(f"The {what} {path} has more than {size}: give another one.")
    return content


def _read(path: Path, what: str, most_bytes: int) -> bytes:
    # Without waiting for somebody to write, should it be a pipe.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise HyperguideError(f"The {what} {path} is not a file: give another one.")
        parts, missing = [], most_bytes
        while missing and (part := os.read(handle, min(missing, 1 << 20))):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)
    finally:
        os.close(handle)


def read_text(path: Path, what: str, most_bytes: int = _MOST_BYTES) -> str:
    """The content of a text file in UTF-8. Raises HyperguideError as `read_input` does."""
    try:
        return read_input(path, what, most_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HyperguideError(f"The {what} {path} is not a text in UTF-8: mend it.") from None
