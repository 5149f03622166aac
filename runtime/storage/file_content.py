"""Reads untrusted files: never a device or a pipe, and never without a limit."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from hyperguide.errors import HyperguideError, OutOfMemoryError

from .paths import special_kind

# The limit of libraries that count in 32 bits, far beyond any file that is read whole.
MOST_BYTES = (1 << 31) - 1

# Opening a pipe without a writer would block; a terminal would become the controlling terminal.
_SAFELY = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


def read_content(path: Path, what: str, at_most: int = MOST_BYTES) -> bytes:
    """Read the bytes of a regular file, or of a link's target.

    Reads no more than the file held when it was opened, so that reading a growing file ends.

    what: the expected kind of file, for errors: `picture`, `model file`.
    at_most: maximum bytes. Raises HyperguideError beyond.
    Raises HyperguideError if there is no such file, if it is a folder, a pipe, a socket or a
    device, or if it cannot be read; OutOfMemoryError if it does not fit into memory.
    """
    try:
        _refuse_special(path, what, os.stat(path))  # opening devices can have side effects
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _SAFELY)) as file:
            status = os.fstat(file.fileno())
            _refuse_special(path, what, status)
            if status.st_size > at_most:
                raise HyperguideError(
                    f"{path} is larger than {_size(at_most)}, which is too much for "
                    f"{_article(what)}: give a smaller file."
                )
            return file.read(status.st_size)
    except FileNotFoundError:
        raise HyperguideError(f"There is no {what} {path}: check the name.") from None
    except PermissionError:
        raise HyperguideError(f"No permission to read {path}: change its rights.") from None
    except OSError as error:
        raise HyperguideError(f"Cannot read {path}: {_reason(error)}.") from None
    except ValueError:  # for system calls a name ends at a null byte
        raise HyperguideError(f"There is no {what} of a name with a null byte.") from None
    except MemoryError:
        raise OutOfMemoryError(
            f"There is not enough memory for reading {path}: close other programs."
        ) from None


def read_text(path: Path, what: str, at_most: int = MOST_BYTES) -> str:
    """Read a text file in UTF-8. Raises HyperguideError as `read_content` does."""
    try:
        return read_content(path, what, at_most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HyperguideError(f"The {what} {path} is not a text in UTF-8: mend it.") from None


def first_bytes(path: Path, number: int) -> bytes:
    """The first bytes of a regular file; empty if it is not one or cannot be read."""
    try:
        if special_kind(os.stat(path).st_mode) is not None:
            return b""
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _SAFELY)) as file:
            return b"" if special_kind(os.fstat(file.fileno()).st_mode) else file.read(number)
    except OSError:
        return b""


def _refuse_special(path: Path, what: str, status: os.stat_result) -> None:
    kind = special_kind(status.st_mode)
    if kind is not None:
        raise HyperguideError(f"{path} is {kind}, not {_article(what)}: give a file.")


def _article(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def _size(count: int) -> str:
    if count < 1 << 10:
        return f"{count} bytes"
    return f"{(count + 1) >> 20} MiB" if count >= 1 << 20 else f"{(count + 1) >> 10} KiB"


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "its links lead in a circle or are too many"
    return error.strerror or str(error)
