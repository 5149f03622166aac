"""The record of a run: its settings and which pictures were made, as lines of JSON.

A run appends lines. An incomplete last line, left by a killed run, is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hyperguide.errors import HyperguideError
from hyperguide.storage.bounded_json import parse_json

from .files import Stamp

NAME = ".hyperguide-record.jsonl"

# About a million pictures.
MOST_BYTES = 1 << 27
# Maximum characters of a setting's name, and names in a message.
_LONGEST_NAME, _NAMED = 32, 6


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


def begin(
    path: Path,
    read: Callable[[], bytes | None],
    settings: dict[str, str],
    resume: bool,
    replaces: bool,
) -> tuple[Record, list[str]]:
    """The record that a run starts with, and notes for the user.

    path: names the file of the record. read: returns its content, None if there is no such file.
    Raises HyperguideError if the run to resume had other settings, or left a damaged record.
    """
    if not resume:
        old = None
        if not replaces:
            with suppress(HyperguideError):  # it will be replaced anyway
                old = _read(path, read)
        same = old is not None and old.settings == settings
        return Record(settings, replaces, done=old.done if old and same else {}), []
    old = _read(path, read)
    if old is None:
        return Record(settings), []
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


def _read(path: Path, read: Callable[[], bytes | None]) -> Record | None:
    try:
        content = read()
        if content is None:
            return None
        # Text after the last line break is an incomplete line of a killed run.
        lines = content.decode().split("\n")[:-1]
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


def content_of(record: Record) -> bytes:
    """The file of a record."""
    facts: list[dict[str, Any]] = [{"settings": record.settings, "replaces": record.replaces}]
    if record.began is not None:
        facts.append({"began": record.began})
    facts += [{"done": name, "source": state} for name, state in record.done.items()]
    return b"".join(map(as_line, facts))


def as_line(fact: dict[str, Any]) -> bytes:
    """The line of a fact."""
    return json.dumps(fact).encode() + b"\n"
