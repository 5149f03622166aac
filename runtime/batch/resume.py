"""The record that a run keeps in its folder, from which `--resume` continues.

It holds the run's settings, since nobody wants a folder with mixed settings, and which pictures
were made, each with the state of its source. So clocks do not matter. It stays when the run is
over, for pictures that are added or changed later. Files that no record mentions are complete if
they are newer than their sources.

The file has a line of JSON for each fact, and a run appends lines. An incomplete last line, left
by a killed run, is ignored.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.model_format.engine_file import digest
from hyperguide.storage.atomic import kind_of, write_atomically
from hyperguide.storage.bounded_json import parse_json
from hyperguide.storage.file_content import read_content
from hyperguide.storage.paths import exists, real

from .jobs import Job

NAME = ".hyperguide-record.jsonl"

# About a million pictures.
_MOST_BYTES = 1 << 27
# Maximum characters of a setting's name, and names in a message.
_LONGEST_NAME, _NAMED = 32, 6

# Size of a file in bytes, and its modification time in nanoseconds.
Stamp = tuple[int, int]


@dataclass(frozen=True)
class Record:
    """The state that a run left, or starts with.

    settings: everything that affects the pictures, by option name.
    replaces: whether the run began with --force.
    began: when, in nanoseconds of the file system's clock; None if it made nothing.
    done: the finished pictures by name in the folder, each with the state of its source, or of
        the result if that replaced the source.
    over: whether the run finished.
    """

    settings: dict[str, str]
    replaces: bool = False
    began: int | None = None
    done: dict[str, Stamp] = field(default_factory=dict)
    over: bool = False


class Journal:
    """The record of a run in progress. Thread-safe."""

    def __init__(self, folder: Path, record: Record, handle: int) -> None:
        self.record = record
        self._folder, self._handle = folder, handle
        self._one_at_a_time = threading.Lock()

    @property
    def replaces(self) -> bool:
        """Whether the run, or the one that it resumes, began with --force."""
        return self.record.replaces

    def is_complete(self, job: Job) -> bool:
        """Whether all files of a job exist and were made from the source's current state."""
        known = self.record.done.get(self._name(job))
        if known is not None:
            return known == stamp(job.source) and all(map(exists, job.writes))
        if in_place(job):  # the run may have been killed before it added the line
            began = self.record.began
            return self.replaces and began is not None and _is_newer(job, began)
        return not self.replaces and is_newer_than_source(job)

    def add(self, job: Job, before: Stamp) -> None:
        """Record that the files of a job were written, and its source's state before that."""
        state = stamp(job.source) if in_place(job) else before
        if state is not None:
            self._append({"done": self._name(job), "source": state})

    def end(self) -> None:
        """Record that the run is over. Errors are ignored: resuming would find nothing to do."""
        with suppress(HyperguideError):
            self._append({"over": True})

    def _append(self, fact: dict[str, Any]) -> None:
        line = _line(fact)
        try:
            with self._one_at_a_time:
                written = os.write(self._handle, line)
        except OSError as error:
            raise kind_of(error)(
                f"Writing {self._folder / NAME} failed: {error.strerror}."
            ) from None
        if written < len(line):
            raise HyperguideError(f"Writing {self._folder / NAME} failed.")

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
    record, notes = _begin(path, settings, resume, replaces)
    _write(path, record)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise HyperguideError(f"Cannot write {path}: {error.strerror}.") from None
    try:
        journal = Journal(folder, record, handle)
        if record.began is None:
            began = os.fstat(handle).st_mtime_ns
            journal._append({"began": began})
            journal.record = replace(record, began=began)
        yield journal, notes
    finally:
        os.close(handle)


def is_newer_than_source(job: Job) -> bool:
    """Whether all files of a job exist, are not older than its source, and do not replace it."""
    state = stamp(job.source)
    return state is not None and not in_place(job) and _is_newer(job, state[1])


def in_place(job: Job) -> bool:
    """Whether a job's output replaces its source."""
    return real(job.output) == real(job.source)


def stamp(path: Path) -> Stamp | None:
    """The size and time of a file; None if it cannot be found, which reading it will report."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def settings_of(model: Path, dials: Mapping[str, object]) -> dict[str, str]:
    """Everything that affects the pictures, as short texts to compare and report."""
    return {"model": digest(read_content(model, "model file"))} | {
        name.replace("_", "-"): _describe(value) for name, value in dials.items()
    }


def _begin(
    path: Path, settings: dict[str, str], resume: bool, replaces: bool
) -> tuple[Record, list[str]]:
    """The record that a run starts with, and notes for the user."""
    if not resume:
        old = None
        if not replaces and exists(path):
            with suppress(HyperguideError):  # it will be replaced anyway
                old = _read(path)
        same = old is not None and old.settings == settings
        return Record(settings, replaces, done=old.done if old and same else {}), []
    if not exists(path):
        return Record(settings), []
    old = _read(path)
    names = sorted(settings.keys() | old.settings.keys())
    others = [name for name in names if settings.get(name) != old.settings.get(name)]
    if old.over:
        notes = [
            f"{path.parent}: the pictures that are there were made with another "
            f"{' and '.join(others[:_NAMED])}; they stay."
        ]
        return Record(settings, done=old.done), notes if others else []
    if others:
        raise HyperguideError(
            f"The interrupted run in {path.parent} had another {' and '.join(others[:_NAMED])}: "
            "resume it with the same, or enhance all pictures anew with --force."
        )
    return old, []


def _read(path: Path) -> Record:
    try:
        if path.is_symlink():
            raise ValueError("it is a link")
        # Text after the last line break is an incomplete line of a killed run.
        lines = read_content(path, "record", _MOST_BYTES).decode().split("\n")[:-1]
        return _parse([parse_json(line) for line in lines])
    except (HyperguideError, OSError, ValueError) as error:
        raise HyperguideError(
            f"The record of the last run, {path}, cannot be read ({str(error).rstrip('.')}): "
            "delete it to go by the files alone."
        ) from None


def _parse(facts: list[Any]) -> Record:
    """Build a record from its lines. Raises ValueError if they are not a record."""
    if not facts or not all(isinstance(fact, dict) for fact in facts):
        raise ValueError("it is damaged")
    settings, replaces = facts[0].get("settings"), facts[0].get("replaces")
    if not isinstance(settings, dict) or not isinstance(replaces, bool):
        raise ValueError("it lacks the settings")
    texts = all(isinstance(value, str) for value in settings.values())
    if not texts or any(len(name) > _LONGEST_NAME for name in settings):
        raise ValueError("its settings are damaged")
    record = Record(settings, replaces)
    for fact in facts[1:]:
        if "done" in fact:
            record.done[str(fact["done"])] = _parse_stamp(fact.get("source"))
        elif type(fact.get("began")) is int:
            record = replace(record, began=fact["began"])
        elif fact.get("over") is True:
            record = replace(record, over=True)
        else:
            raise ValueError("it is damaged")
    return record


def _parse_stamp(value: object) -> Stamp:
    if isinstance(value, list) and len(value) == 2 and all(type(item) is int for item in value):
        return value[0], value[1]
    raise ValueError("it is damaged")


def _write(path: Path, record: Record) -> None:
    """Write a record to its file, replacing what was there; a link is replaced, not followed."""
    facts: list[dict[str, Any]] = [{"settings": record.settings, "replaces": record.replaces}]
    if record.began is not None:
        facts.append({"began": record.began})
    facts += [{"done": name, "source": state} for name, state in record.done.items()]
    content = b"".join(map(_line, facts))
    write_atomically(path, lambda temporary: temporary.write_bytes(content), through_links=False)


def _line(fact: dict[str, Any]) -> bytes:
    return json.dumps(fact).encode() + b"\n"


def _is_newer(job: Job, since: int) -> bool:
    states = [stamp(path) for path in job.writes]
    return all(state is not None and state[1] >= since for state in states)


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.shape} {digest(np.ascontiguousarray(value).tobytes())}"
    return str(value)
