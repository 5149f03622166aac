"""The test suites of the paper's Section 5, whole or a part of each level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hyperguide.training.evaluation.catalog import open_suite
from hyperguide.training.evaluation.suites import (
    Options,
    Suite,
)

from .published import LEVELS

SUN_LEVELS = (1, 3, 5, 7)
SUN_PICTURES = 20  # of 80, with Levin's kernels in turn
QUADRANTS = (1, 2, 3, 4)
TOLD = (1, 2, 3, 4, 5)


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


SUITES: dict[str, Entry] = {
    # Each of the four pictures with another kernel.
    "levin": Entry(partial(_known, "levin", noise=LEVELS), 32, 9),
    "levin quadrants": Entry(partial(_known, "levin", quadrants=QUADRANTS), 32, 9),
    "sun80": Entry(
        partial(_known, "sun80", noise=SUN_LEVELS, limit=SUN_PICTURES), SUN_PICTURES, 11
    ),
    "sun80 told": Entry(partial(_known, "sun80", noise=(3,), limit=SUN_PICTURES), SUN_PICTURES, 11),
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
