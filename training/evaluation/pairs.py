"""Anybody's own pictures: DIR/input and DIR/target, with DIR/guidance where maps are known."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.guidance_files import decode_map
from hyperguide.paths import is_folder
from hyperguide.pictures import read_picture
from hyperguide.tasks import Guidance

from ..data.pairs import by_stem
from .suites import Case, Options, Suite, read_float


def pairs(folder: Path, options: Options) -> Suite:
    """Pictures of the folders `input` and `target`, matched by name without suffix.

    `guidance`, if it exists, has a map for each, as `hyperguide enhance --save-guidance` writes
    numbers: 16 bits over the range of the target's task. It is read only for targets with a task.
    Raises HyperguideError where a partner is missing.
    """
    for part in ("input", "target"):
        if not is_folder(folder / part):
            raise HyperguideError(f"pairs: needs the folder {folder / part}: create it.")
    inputs, targets = (by_stem(folder / part) for part in ("input", "target"))
    if not inputs:
        raise HyperguideError(f"The folder {folder / 'input'} holds no pictures.")
    maps: dict[str, Path] = {}
    if options.guidance is not None and is_folder(folder / "guidance"):
        maps = by_stem(folder / "guidance")
        _refuse_missing(inputs, maps, folder / "guidance")
    _refuse_missing(inputs, targets, folder / "target")
    _refuse_missing(targets, inputs, folder / "input")
    stems = sorted(inputs)[: options.limit]
    meaning = options.guidance if maps else None
    cases = [partial(_pair, s, inputs[s], targets[s], maps.get(s), meaning) for s in stems]
    return Suite(
        about=f"pairs of {folder}",
        protocol="rgb",
        guidance=meaning,
        cases=tuple(cases),
    )


def _refuse_missing(have: dict[str, Path], partners: dict[str, Path], folder: Path) -> None:
    missing = sorted(have.keys() - partners.keys())
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise HyperguideError(f"{have[missing[0]]}{more} has no partner in {folder}: add it.")


def _pair(
    name: str, degraded: Path, target: Path, guidance: Path | None, meaning: Guidance | None
) -> Case:
    picture, clean = read_float(degraded), read_float(target)
    if picture.shape != clean.shape:
        raise HyperguideError(
            f"{degraded} is {_size(picture)}, but {target} is {_size(clean)}: "
            "give pairs of one size and kind."
        )
    true = None
    if guidance is not None and meaning is not None:
        true = decode_map(read_picture(guidance), meaning, str(guidance)).astype(np.float64)
        if true.shape != picture.shape[:2]:
            raise HyperguideError(
                f"The map {guidance} is not of the size of {degraded}, {_size(picture)}: "
                "replace it."
            )
    return Case(name, picture.astype(np.float32), clean, true)


def _size(picture: np.ndarray) -> str:
    kind = "gray" if picture.ndim == 2 else "colour"
    return f"{picture.shape[1]}x{picture.shape[0]} {kind}"
