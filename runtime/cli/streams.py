"""Prepares standard output and standard error for long work and for names of any kind."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any, TypeGuard

from hyperguide.printable import printable


def prepare() -> None:
    """Set up the streams of this process, except those that a test or an app has replaced.

    Logging cannot end the work: if the log's disk is full, or its reader is gone, messages are
    dropped. Standard output shows escapes in place of what terminals obey.
    """
    _fill_gaps()
    log, output = sys.stderr, sys.stdout
    if log is sys.__stderr__ and _is_of_a_file(log):
        lossy = io.BufferedWriter(_Log(log.fileno(), "wb", closefd=False))
        sys.stderr = io.TextIOWrapper(lossy, **_settings(log), line_buffering=True)
    if output is sys.__stdout__ and _is_of_a_file(output):
        settings = _settings(output)
        settings |= {"line_buffering": output.line_buffering, "write_through": output.write_through}
        sys.stdout = _Plain(output.detach(), **settings)


def _settings(stream: io.TextIOWrapper[Any]) -> dict[str, Any]:
    """Encoding settings of a stream: UTF-8 in an ASCII locale, as click would write."""
    ascii_only = codecs.lookup(stream.encoding).name == "ascii"
    return {"encoding": "utf-8" if ascii_only else stream.encoding, "errors": "backslashreplace"}


class _Log(io.FileIO):
    """A file that drops what it cannot write."""

    def write(self, data: Any, /) -> int:
        """Write bytes, or drop them."""
        length = memoryview(data).nbytes
        try:
            written = super().write(data)
        except OSError:
            return length
        return length if written is None else written


class _Plain(io.TextIOWrapper):
    """Text in which only line breaks and tabs have an effect."""

    def write(self, text: str, /) -> int:
        """Write a text."""
        super().write(printable(text, kept="\n\t"))
        return len(text)


def _is_of_a_file(stream: object) -> TypeGuard[io.TextIOWrapper[Any]]:
    """Whether a stream writes to a file descriptor; Windows consoles do not."""
    if not isinstance(stream, io.TextIOWrapper):
        return False
    return isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO)


def _fill_gaps() -> None:
    """Open the null device for each stream that the parent closed.

    Otherwise the next file, say a picture, gets its number, and C libraries print into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
