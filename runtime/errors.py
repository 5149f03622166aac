"""The one exception that users see."""

from __future__ import annotations

from .printable import printable

# Characters of a message; names and texts out of damaged files can be of any length.
_LONGEST = 1200
_KEPT_END = 300


def sentence(text: str) -> str:
    """A text as one printable line that ends with a full stop.

    What terminals obey, line breaks too, becomes escapes as `\\x1b`, and the middle of a text that
    would fill the screen is left out.
    """
    line = printable(text.strip())
    if not line.endswith((".", "!", "?")):
        line += "."
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - _KEPT_END]} ... {line[-_KEPT_END:]}"
    return line


class HyperguideError(Exception):
    """Something about the input is wrong; the message says what, where and how to mend it.

    The command line prints the message as one sentence and exits with code 1. Messages quote
    names, contents of files, and what engines say, so every one passes through `sentence`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(sentence(message))


class OutOfMemoryError(HyperguideError):
    """An engine had not enough memory for a picture; a smaller part may pass."""


class UnavailableError(HyperguideError):
    """A device that is not here or does not start; whether the file is right nobody knows."""


class RefusedError(HyperguideError):
    """A file that an engine finds invalid; no other engine is to try it."""


class StorageError(HyperguideError):
    """Nothing can be written any more: neither this file nor the next."""


class DiskFullError(StorageError):
    """There is no room for a file."""


class FolderLostError(StorageError):
    """The folder that a run writes into is another one by now, or none."""
