"""The suite of the user's own pairs, with maps in DIR/guidance if known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import decode_map, read_picture
from hyperguide.printable import printable
from hyperguide.storage.paths import is_folder
from hyperguide.tasks import Guidance
from hyperguide.training.data.pairs import example, find_pairs, left_out
from hyperguide.training.data.scenes import Scene

from .suites import Case, Options, Suite, read_float


def pairs(folder: Path, options: Options) -> Suite:
    """Pairs from a folder in a layout that `data.pairs.find_pairs` knows.

    Maps in the folder `guidance`, if it exists, are pictures as `hyperguide enhance
    --save-guidance` writes them: 16 bits over the range of the target's task. They are read only
    for targets with a task.
    Raises HyperguideError if there are no pairs or a partner is missing.
    """
    if not is_folder(folder):
        raise HyperguideError(f"The folder {folder} of pairs does not exist: give another one.")
    found = find_pairs(folder, None, "--suite pairs:")
    if found is None or not found.scenes:
        raise HyperguideError(
            f"There are no pairs in {folder}: name the folders of the degraded and the clean "
            f"pictures {folder / 'input'} and {folder / 'target'}."
        )
    if found.unused:
        raise HyperguideError(
            f"{_first_of(found.unused)} has no partner among the degraded pictures of {folder}: "
            "add or remove it."
        )
    scenes = _named(found.scenes)
    maps = {name: scene.guidance for name, scene in scenes.items() if scene.map_source == "picture"}
    meaning = options.guidance if maps else None
    if meaning is not None and (without := [s for n, s in scenes.items() if n not in maps]):
        raise HyperguideError(
            f"{_first_of([s.degraded or s.photo for s in without])} has no partner in the folder "
            "guidance: add it."
        )
    cases = [
        partial(_pair, name, scene.degraded, scene.photo, maps.get(name), meaning)
        for name, scene in list(scenes.items())[: options.limit]
        if scene.degraded is not None
    ]
    if not cases:
        raise HyperguideError(f"{folder} holds streak layers: measure them by the suite rain100l.")
    others = left_out(folder, found.scenes)
    return Suite(
        about=printable(
            f"{len(cases)} pairs in {folder}: {example(folder, found.scenes)}"
            + (f"; {others}" if others else "")
        ),
        protocol="rgb",
        guidance=meaning,
        cases=tuple(cases),
    )


def _named(scenes: Sequence[Scene]) -> dict[str, Scene]:
    """The scenes, sorted, keyed by their inputs' paths relative to the common folder."""
    inputs = [scene.degraded or scene.photo for scene in scenes]
    top = Path(os.path.commonpath([path.parent for path in inputs]))
    named = {
        path.relative_to(top).with_suffix("").as_posix(): scene
        for path, scene in zip(inputs, scenes, strict=True)
    }
    return dict(sorted(named.items()))


def _first_of(paths: Sequence[Path]) -> str:
    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    return f"{min(paths)}{more}"


def _pair(
    name: str, degraded: Path, target: Path, guidance: Path | None, meaning: Guidance | None
) -> Case:
    picture, clean = read_pair(degraded, target)
    true = None
    if guidance is not None and meaning is not None:
        true = decode_map(read_picture(guidance), meaning, str(guidance)).astype(np.float64)
        if true.shape != picture.shape[:2]:
            raise HyperguideError(
                f"The map {guidance} is not of the size of {degraded}, {_size(picture)}: "
                "replace it."
            )
    return Case(name, picture.astype(np.float32), clean, true)


def read_pair(degraded: Path, target: Path) -> tuple[np.ndarray, np.ndarray]:
    """A degraded and a clean picture in [0, 1], float64, each of shape (H, W) or (H, W, 3).

    Raises HyperguideError if they differ in size or kind.
    """
    picture, clean = read_float(degraded), read_float(target)
    if picture.shape != clean.shape:
        raise HyperguideError(
            f"{degraded} is {_size(picture)}, but {target} is {_size(clean)}: "
            "give pairs of one size and kind."
        )
    return picture, clean


def _size(picture: np.ndarray) -> str:
    kind = "gray" if picture.ndim == 2 else "colour"
    return f"{picture.shape[1]}x{picture.shape[0]} {kind}"
