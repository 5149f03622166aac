"""HyperguideError, the one exception that users see, and its subclasses."""

from __future__ import annotations

from .printable import printable

# Maximum characters of a message; names and texts from damaged files can have any length.
_LONGEST = 1200
_KEPT_END = 300


def sentence(text: str) -> str:
    """A text as one printable line that ends with a full stop.

    Control characters, line breaks included, become escapes such as `\\x1b`, and the middle of a
    text that would fill the screen is left out.
    """
    line = printable(text.strip())
    if not line.endswith((".", "!", "?")):
        line += "."
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - _KEPT_END]} ... {line[-_KEPT_END:]}"
    return line


class HyperguideError(Exception):
    """Something about the input is wrong; the message says what, where and how to fix it.

    The command line prints the message as one sentence and exits with code 1. Messages quote
    names, file contents and engines' messages, so every one passes through `sentence`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(sentence(message))


class OutOfMemoryError(HyperguideError):
    """There was not enough memory for a picture; a smaller part may fit."""


class UnavailableError(HyperguideError):
    """A device is missing or does not start; this says nothing about the file."""


class RefusedError(HyperguideError):
    """An engine finds the file invalid; no other engine should try it."""


class StorageError(HyperguideError):
    """Nothing more can be written: neither this file nor the next."""


class DiskFullError(StorageError):
    """There is no disk space for a file."""


class FolderLostError(StorageError):
    """The folder that a run writes into was replaced or removed."""
