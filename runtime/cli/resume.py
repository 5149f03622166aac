"""What `--resume` goes by: which files are there, and the record of the run that was interrupted.

A folder holds the record as long as a run over it is not over: how it was set, since half a folder
of each setting is nobody's wish, and whether it replaces files, since those from before it are
then not its own.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hyperguide.atomic import write_atomically
from hyperguide.engine_file import digest
from hyperguide.errors import HyperguideError
from hyperguide.paths import exists

from .jobs import Job
from .picture import Dials

NAME = ".hyperguide-unfinished.json"


@dataclass(frozen=True)
class Record:
    """What a run left behind, or begins with.

    settings: everything that the pictures depend on, by the names of the options.
    replaces: whether the run began with --force.
    """

    settings: dict[str, str]
    replaces: bool


def is_complete(job: Job, began: int) -> bool:
    """Whether all files of a job are there, not older than its source nor than the run.

    began: of `begin`. A picture that is to replace itself is complete only if such a run did so.
    """
    if in_place(job) and not began:
        return False
    try:
        since = max(job.source.stat().st_mtime_ns, began)
        return min(path.stat().st_mtime_ns for path in job.writes) >= since
    except OSError:  # no such file; whatever else it is, doing the job will tell
        return False


def in_place(job: Job) -> bool:
    """Whether a picture is to replace itself."""
    return job.output.resolve() == job.source.resolve()


def settings_of(model: Path, dials: Dials) -> dict[str, str]:
    """Everything that the pictures depend on, short enough to be compared and told."""
    return {"model": digest(model.read_bytes())} | {
        name.replace("_", "-"): _describe(value) for name, value in vars(dials).items()
    }


def begin(folder: Path, settings: dict[str, str], resume: bool, replaces: bool) -> int:
    """Leave a record in the folder of a run, or take up the one that is there.

    Returns when a run that is resumed began to replace files, in nanoseconds as the file system
    counts them; 0 if it replaces none.
    Raises HyperguideError if the settings of a run that is to be resumed were others.
    """
    path = folder / NAME
    if not resume or not exists(path):
        content = json.dumps(asdict(Record(settings, replaces)))
        write_atomically(path, lambda temporary: temporary.write_text(content))
        return 0
    record = _read(path)
    names = sorted(settings.keys() | record.settings.keys())
    others = [name for name in names if settings.get(name) != record.settings.get(name)]
    if others:
        raise HyperguideError(
            f"The interrupted run in {folder} had another {' and '.join(others)}: resume it with "
            "the same, or enhance all pictures anew with --force."
        )
    return path.stat().st_mtime_ns if record.replaces else 0


def end(folder: Path) -> None:
    """Remove the record of a run that is over."""
    (folder / NAME).unlink(missing_ok=True)


def _read(path: Path) -> Record:
    try:
        return Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise HyperguideError(
            f"The record of the interrupted run, {path}, cannot be read ({error}): delete it to go "
            "by the files alone."
        ) from None


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.shape} {digest(np.ascontiguousarray(value).tobytes())}"
    return str(value)
