"""The record that a run keeps in its folder, from which `--resume` continues.

It holds the run's settings, since nobody wants a folder with mixed settings, and which pictures
were made, each with the state of its source. So clocks do not matter. It stays when the run is
over, for pictures that are added or changed later. Files that no record mentions are complete if
they are newer than their sources.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.model_format.engine_file import digest
from hyperguide.storage.atomic import kind_of, write_atomically
from hyperguide.storage.file_content import read_content
from hyperguide.storage.paths import exists

from .files import LOCAL, Files, Stamp
from .jobs import Job
from .record import MOST_BYTES, NAME, Record, as_line, begin, content_of

__all__ = [
    "NAME",
    "Journal",
    "in_place",
    "is_newer_than_source",
    "keep_journal",
    "made_from",
    "settings_of",
    "written_since",
]


class Journal:
    """The record of a run in progress. Thread-safe if `append` is.

    append: adds a fact to the file of the record.
    """

    def __init__(
        self,
        folder: Path,
        record: Record,
        append: Callable[[dict[str, Any]], None],
        files: Files = LOCAL,
    ) -> None:
        self.record = record
        self._folder, self._append, self._files = folder, append, files

    @property
    def replaces(self) -> bool:
        """Whether the run, or the one that it resumes, began with --force."""
        return self.record.replaces

    def is_complete(self, job: Job) -> bool:
        """Whether all files of a job exist and were made from the source's current state."""
        files = self._files
        known = self.record.done.get(self._name(job))
        if known is not None:
            return known == files.stamp(job.source) and all(map(files.exists, job.writes))
        if in_place(job, files):  # the run may have been killed before it added the line
            began = self.record.began
            return self.replaces and began is not None and written_since(job, began, files)
        return not self.replaces and is_newer_than_source(job, files)

    def add(self, job: Job, before: Stamp) -> None:
        """Record that the files of a job were written, and its source's state before that."""
        self.add_made(job, made_from(job, before, self._files))

    def add_made(self, job: Job, state: Stamp | None) -> None:
        """Record that the files of a job were written. state: see `made_from`."""
        if state is not None:
            self._append({"done": self._name(job), "source": state})

    def end(self) -> None:
        """Record that the run is over. Errors are ignored: resuming would find nothing to do."""
        with suppress(HyperguideError):
            self._append({"over": True})

    def _name(self, job: Job) -> str:
        return job.output.relative_to(self._folder).as_posix()


@contextmanager
def keep_journal(
    folder: Path, settings: dict[str, str], resume: bool, replaces: bool
) -> Iterator[tuple[Journal, list[str]]]:
    """The record of a run in a folder, new or resumed, and notes for the user.

    Raises HyperguideError if the run to resume had other settings.
    """
    path = folder / NAME
    record, notes = begin(path, lambda: _content(path), settings, resume, replaces)
    content = content_of(record)
    # A link is replaced, not followed.
    write_atomically(path, lambda temporary: temporary.write_bytes(content), through_links=False)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise HyperguideError(f"Cannot write {path}: {error.strerror}.") from None
    one_at_a_time = threading.Lock()

    def append(fact: dict[str, Any]) -> None:
        added = as_line(fact)
        try:
            with one_at_a_time:
                written = os.write(handle, added)
        except OSError as error:
            raise kind_of(error)(f"Writing {path} failed: {error.strerror}.") from None
        if written < len(added):
            raise HyperguideError(f"Writing {path} failed.")

    try:
        if record.began is None:
            began = os.fstat(handle).st_mtime_ns
            append({"began": began})
            record = replace(record, began=began)
        yield Journal(folder, record, append), notes
    finally:
        os.close(handle)


def is_newer_than_source(job: Job, files: Files = LOCAL) -> bool:
    """Whether all files of a job exist, are not older than its source, and do not replace it."""
    state = files.stamp(job.source)
    return state is not None and not in_place(job, files) and written_since(job, state[1], files)


def in_place(job: Job, files: Files = LOCAL) -> bool:
    """Whether a job's output replaces its source."""
    return files.same(job.output, job.source)


def written_since(job: Job, since: int, files: Files = LOCAL) -> bool:
    """Whether all files of a job exist and are not older than a time in nanoseconds."""
    states = [files.stamp(path) for path in job.writes]
    return all(state is not None and state[1] >= since for state in states)


def made_from(job: Job, before: Stamp, files: Files = LOCAL) -> Stamp | None:
    """The state to record for a job that was written: of its result if that replaced the source.

    before: the source's state before it was read.
    """
    return files.stamp(job.source) if in_place(job, files) else before


def settings_of(model: Path, dials: Mapping[str, object]) -> dict[str, str]:
    """Everything that affects the pictures, as short texts to compare and report."""
    return {"model": digest(read_content(model, "model file"))} | {
        name.replace("_", "-"): _describe(value) for name, value in dials.items()
    }


def _content(path: Path) -> bytes | None:
    """The file of a record; None if there is none. Raises ValueError for a link."""
    if not exists(path):
        return None
    if path.is_symlink():
        raise ValueError("it is a link")
    return read_content(path, "record", MOST_BYTES)


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.shape} {digest(np.ascontiguousarray(value).tobytes())}"
    return str(value)
