"""The record of a run in a remote folder, where nothing can be appended to a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperguide.batch.record import NAME, as_line, begin, content_of
from hyperguide.batch.resume import Journal
from hyperguide.errors import HyperguideError

from .remote_files import ListedFiles, RemoteFiles

# Seconds between writes of the whole record, and the most of a run's time that they may take. What
# a killed run had not written yet is known by its files, which are newer than their sources.
_EVERY = 10.0
_SHARE = 0.05


@contextmanager
def keep_remote_journal(
    files: ListedFiles, folder: Path, settings: dict[str, str], resume: bool, replaces: bool
) -> Iterator[tuple[Journal, list[str]]]:
    """The record of a run in a remote folder; see `keep_journal`, also for errors."""
    path = folder / NAME
    here = files.open()

    def read() -> bytes | None:
        return here.read(path) if here.exists(path) else None

    record, notes = begin(path, read, settings, resume, replaces)
    kept = _Kept(here, path, content_of(record))
    kept.write()
    if record.began is None:
        state = here.stamp(path)
        began = time.time_ns() if state is None else state[1]
        kept.append({"began": began})
        record = replace(record, began=began)
    try:
        yield Journal(folder, record, kept.append, files), notes
    finally:
        with suppress(HyperguideError):  # files are newer than their sources
            kept.write()


class _Kept:
    """The lines of a record, which are written from time to time."""

    def __init__(self, files: RemoteFiles, path: Path, content: bytes) -> None:
        self._files, self._path = files, path
        self._content = bytearray(content)
        self._next = 0.0

    def append(self, fact: dict[str, Any]) -> None:
        """Add a fact. Raises HyperguideError if the record cannot be written."""
        self._content += as_line(fact)
        if time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Write the whole record."""
        began = time.monotonic()
        self._files.prepare(self._path)
        self._files.write(self._path, bytes(self._content))
        now = time.monotonic()
        self._next = now + max(_EVERY, (now - began) / _SHARE)
