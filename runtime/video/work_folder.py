"""The folder beside an output in which segments are kept until the file is complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import write_atomically
from hyperguide.storage.bounded_json import parse_json

from .stored_packets import Segment, read_segment

_SETTINGS = "settings.json"
# Name of the last segment, which Ctrl-C or an error may have ended early.
TAIL = "tail"
FORMAT = 1


def work_folder(output: Path) -> Path:
    """The folder for an output file."""
    return output.with_name(f"{output.name}.parts")


def settings_hash(settings: Mapping[str, Any]) -> str:
    """A hash of everything that the frames depend on."""
    text = json.dumps({"format": FORMAT, **settings}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def begin(folder: Path, settings: str, resume: bool) -> list[Segment]:
    """Prepare the folder. Returns the complete segments to go on from.

    Raises HyperguideError if it was made with other settings or of another source.
    """
    if not resume:
        clear(folder)
    found = folder / _SETTINGS
    if not found.exists():
        text = json.dumps({"settings": settings}).encode()
        write_atomically(found, lambda path: path.write_bytes(text))
        return []
    try:
        recorded = parse_json(found.read_bytes())["settings"]
    except (OSError, ValueError, TypeError, KeyError):
        raise HyperguideError(f"{found} is damaged: start anew with --force.") from None
    if recorded != settings:
        raise HyperguideError(
            f"{folder} was begun with other settings or of another file: give the same ones to "
            "--resume, or start anew with --force."
        )
    remove_tail(folder)
    segments: list[Segment] = []
    while (segment := read_segment(folder, f"{len(segments):06d}")) is not None:
        if segment.number != len(segments):
            break
        segments.append(segment)
    return segments


def remove_tail(folder: Path) -> None:
    """Remove the segment that was ended early."""
    for suffix in (".json", ".packets"):
        (folder / f"{TAIL}{suffix}").unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Remove the files of earlier runs."""
    for path in folder.glob("*"):
        if path.suffix in (".json", ".packets", ".npy") and path.is_file():
            path.unlink()


def remove(folder: Path) -> None:
    """Remove the folder, unless something else is in it."""
    clear(folder)
    with suppress(OSError):
        folder.rmdir()
