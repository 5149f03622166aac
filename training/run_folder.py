"""Checks that a run writes only its own files into a folder.

RUN/best.safetensors, last.safetensors, state.safetensors   see `checkpoint`
RUN/log.jsonl, curves.png, tensorboard/                     see `logbook`
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hyperguide.errors import HyperguideError
from hyperguide.storage.paths import exists, is_folder

from .checkpoint import BEST, LAST, STATE
from .logbook import CURVES, EVENTS, LOG

_CHECKPOINTS = (BEST, LAST, STATE)
_RECORD = (LOG, CURVES, EVENTS)


def refuse_run_folder(out: Path, resume: bool, force: bool) -> None:
    """Raise HyperguideError if a run may not write into `out`.

    Without `resume` or `force`, it must not hold any of the names that a run writes. With `force`,
    a run replaces only files of these names and the event files in tensorboard/. Links of these
    names are never followed.
    """
    if exists(out) and not is_folder(out):
        raise HyperguideError(f"{out} is not a folder: choose another --out.")
    holds_run = any(exists(out / name) for name in _CHECKPOINTS)
    if resume and not holds_run:
        raise HyperguideError(f"{out} holds no run to resume: leave out --resume.")
    if holds_run and not resume and not force:
        raise HyperguideError(
            f"{out} holds a run: go on with --resume, start anew with --force, "
            "or choose another --out."
        )
    others = [out / name for name in _RECORD if exists(out / name)]
    if others and not holds_run and not force:
        raise HyperguideError(
            f"{others[0]} is there, but no run that it belongs to: choose another --out, or "
            "replace it with --force."
        )
    refuse_strangers(out)


def refuse_among_photos(out: Path, data: Sequence[Path]) -> None:
    """Raise HyperguideError if a new run in `out` would be inside a data folder."""
    for folder in data:
        if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(folder)):
            raise HyperguideError(
                f"{out} lies in the data folder {folder}, where curves.png would count as a photo: "
                "choose another --out."
            )


def refuse_strangers(out: Path) -> None:
    """Raise HyperguideError if something other than a run's file has the name of one."""
    for name in (*_CHECKPOINTS, *_RECORD):
        path = out / name
        if path.is_symlink():
            raise HyperguideError(
                f"{path} is a link, and a run does not write where links lead: remove it, or "
                "choose another --out."
            )
        if exists(path) and is_folder(path) != (name == EVENTS):
            what = "is not a folder" if name == EVENTS else "is a folder"
            raise HyperguideError(f"{path} {what}: remove it, or choose another --out.")
