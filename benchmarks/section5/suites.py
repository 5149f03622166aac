"""The test suites of the paper's Section 5, whole or a part of each level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from hyperguide.training.evaluation.catalog import open_suite
from hyperguide.training.evaluation.levin import convolve_same
from hyperguide.training.evaluation.mat_file import read_mat
from hyperguide.training.evaluation.noise import GUIDANCE, add_noise
from hyperguide.training.evaluation.suites import (
    Case,
    Options,
    Suite,
    data_folder,
    list_pictures,
    read_float,
)

from .published import LEVELS

SUN_LEVELS = (1, 3, 5, 7)
QUADRANTS = (1, 2, 3, 4)
TOLD = (1, 2, 3, 4, 5)

_KERNELS = 8


@dataclass(frozen=True)
class Entry:
    """How a suite is opened, and which part of it is quick.

    pictures: of each level.
    stride: the quick part is every so many-th picture of a level.
    """

    open: Callable[[Path], Suite]
    pictures: int
    stride: int


def labels(levels: Sequence[float]) -> list[str]:
    """The suites' labels of noise levels in percent."""
    return [f"{level:g} %" for level in levels]


def _known(name: str, data: Path, **options: object) -> Suite:
    return open_suite(name, replace(Options(data=data), **options))  # type: ignore[arg-type]


def sun80(data: Path, levels: Sequence[float] = SUN_LEVELS) -> Suite:
    """The 80 pictures of Sun et al. (ICCP 2013) in gray, with Levin's eight kernels in turn.

    Blur and noise as in the Levin suite; the seed of a picture's noise is its position.
    """
    options = Options(data=data)
    pictures = list_pictures(data_folder(options, "sun80"))
    folder = data_folder(options, "levin09")
    files = [folder / f"im05_flit{k:02d}.mat" for k in range(1, _KERNELS + 1)]
    cases = [
        partial(_blurred, picture, files[i % _KERNELS], level, i)
        for level in levels
        for i, picture in enumerate(pictures)
    ]
    about = f"Sun et al. 2013, {len(pictures)} gray pictures, Levin's kernels in turn"
    return Suite(about, "levin", GUIDANCE, tuple(cases), unit=1 / 100)


def _blurred(picture: Path, file: Path, level: float, seed: int) -> Case:
    kernel = read_mat(file)["f"].astype(np.float64)
    sharp = cv2.cvtColor(read_float(picture).astype(np.float32), cv2.COLOR_RGB2GRAY)
    true = np.full(sharp.shape, level / 100)
    degraded = add_noise(convolve_same(sharp.astype(np.float64), kernel), true, seed)
    border = max(kernel.shape) // 2
    label = labels([level])[0]
    clean = sharp.astype(np.float64)
    return Case(picture.stem, degraded, clean, true, kernel, label, border, seed)


SUITES: dict[str, Entry] = {
    # Each of the four pictures with another kernel.
    "levin": Entry(partial(_known, "levin", noise=LEVELS), 32, 9),
    "levin quadrants": Entry(partial(_known, "levin", quadrants=QUADRANTS), 32, 9),
    "sun80": Entry(sun80, 80, 41),
    "sun80 told": Entry(partial(sun80, levels=(3,)), 80, 41),
    "rain100l": Entry(partial(_known, "rain100l"), 100, 20),
    "rain100h": Entry(partial(_known, "rain100h"), 10, 5),
    "sots": Entry(partial(_known, "sots"), 100, 20),
}


def open_part(name: str, data: Path, quick: bool) -> Suite:
    """Open a suite of SUITES, or its quick part."""
    entry = SUITES[name]
    suite = entry.open(data)
    if not quick:
        return suite
    cases = [c for i, c in enumerate(suite.cases) if i % entry.pictures % entry.stride == 0]
    return replace(suite, cases=tuple(cases))
