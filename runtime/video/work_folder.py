"""The folder beside an output in which segments are kept until the file is complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import write_atomically
from hyperguide.storage.bounded_json import parse_json

from .stored_packets import Segment, read_segment, read_state

_SETTINGS = "settings.json"
_SUFFIXES = (".json", ".packets", ".npz")
FORMAT = 1


def work_folder(output: Path) -> Path:
    """The folder for an output file."""
    return output.with_name(f"{output.name}.parts")


def settings_hash(settings: Mapping[str, Any]) -> str:
    """A hash of everything that the frames depend on."""
    text = json.dumps({"format": FORMAT, **settings}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def refuse_unfinished(output: Path) -> None:
    """Raise HyperguideError if an earlier run left segments for this output."""
    folder = work_folder(output)
    if (folder / _SETTINGS).exists():
        raise HyperguideError(
            f"{folder} holds a part of {output} from an earlier run: go on with --resume, or begin "
            "anew with --force."
        )


def begin(folder: Path, settings: str, resume: bool) -> tuple[list[Segment], dict[str, np.ndarray]]:
    """Prepare the folder.

    Returns the segments to go on from, and the stream's state after them. Damaged ones, those
    behind them, and the last one if it was ended early do not count.
    Raises HyperguideError if the folder was made with other settings or of another source.
    """
    if not resume:
        clear(folder)
    found = folder / _SETTINGS
    if not found.exists():
        clear(folder)
        text = json.dumps({"settings": settings}).encode()
        write_atomically(found, lambda path: path.write_bytes(text))
        return [], {}
    try:
        recorded = parse_json(found.read_bytes())["settings"]
    except (OSError, ValueError, TypeError, KeyError):
        raise HyperguideError(f"{found} is damaged: begin anew with --force.") from None
    if recorded != settings:
        raise HyperguideError(
            f"{folder} was begun with other settings or of another file: give the same ones to "
            "--resume, or begin anew with --force."
        )
    segments: list[Segment] = []
    while (segment := read_segment(folder, len(segments))) is not None and segment.complete:
        segments.append(segment)
    while segments:
        state = read_state(folder, segments[-1])
        if state is not None:
            return segments, state
        segments.pop()
    return [], {}


def clear(folder: Path) -> None:
    """Remove the files of earlier runs."""
    with suppress(OSError):
        for path in folder.glob("*"):
            if path.suffix in _SUFFIXES and not path.is_dir():
                path.unlink()


def remove(folder: Path) -> None:
    """Remove the folder, unless something else is in it."""
    clear(folder)
    with suppress(OSError):
        folder.rmdir()
