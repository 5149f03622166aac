"""Test suites: degraded pictures with their truth, made the same way every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import find_pictures, read_picture
from hyperguide.pixels import full_scale
from hyperguide.storage.paths import is_folder
from hyperguide.tasks import Guidance

Boundary = Literal["same", "valid"]


@dataclass(frozen=True)
class Case:
    """One degraded picture of a suite.

    degraded: what a restorer gets, float32, shape (H, W) or (H, W, 3); noise may leave [0, 1].
    clean: the truth, float64 in [0, 1], of the same shape.
    true_map: the true guidance, float64, shape (H, W), in the unit of the suite's guidance; None
        where nobody knows it.
    kernel: the blur, float64, shape (kh, kw), odd sides, sum 1.
    level: heads the row of the table that the picture counts for; empty in suites of one row.
    border: width of each side that the blur spoilt.
    seed: of the noise, for `numpy.random.RandomState`, whose numbers never change.
    true_level: root mean square of the true map, where only that is known.
    photo: of which `clean` is a part, where it is not the whole of a file, any values.
    """

    name: str
    degraded: np.ndarray
    clean: np.ndarray
    true_map: np.ndarray | None = None
    kernel: np.ndarray | None = None
    level: str = ""
    border: int = 0
    seed: int | None = None
    true_level: float | None = None
    photo: np.ndarray | None = None


@dataclass(frozen=True)
class Options:
    """What the user chose. None: the suite's own.

    data: folder of the test data.
    noise: levels, in the suite's unit.
    quadrants: levels of the upper left, upper right, lower left and lower right quarter, in
        percent of full scale; instead of `noise`.
    boundary: what the blur does at the picture's edge; see `levin`.
    color: the colour originals instead of gray pictures.
    limit: only the first so many pictures (of each level).
    blur: whether a deblurring suite blurs.
    guidance: what the target's maps mean, for suites that hold maps as pictures.
    """

    data: Path | None = None
    noise: tuple[float, ...] | None = None
    quadrants: tuple[float, float, float, float] | None = None
    boundary: Boundary | None = None
    color: bool = False
    limit: int | None = None
    blur: bool = True
    guidance: Guidance | None = None


@dataclass(frozen=True)
class Suite:
    """A suite, ready to be run through.

    about: what it is, in a sentence without a full stop.
    protocol: name of the usual protocol, in `protocols.PROTOCOLS`.
    guidance: what the true maps mean; None if there are none.
    cases: make the pictures, level by level.
    unit: full scale = 1, what the number 1 means in `--noise`; None in suites without noise.
    in_quadrants: whether each picture has four noise levels, one a quarter.
    settings: what was chosen, for a record from which the run can be repeated.
    """

    about: str
    protocol: str
    guidance: Guidance | None
    cases: tuple[Callable[[], Case], ...]
    unit: float | None = None
    in_quadrants: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


def data_folder(options: Options, *parts: str) -> Path:
    """A folder of the test data. Raises HyperguideError if it is not given or not there."""
    if options.data is None:
        raise HyperguideError(
            "This suite needs the folder of the test data: "
            "give --data DIR or set the variable HYPERGUIDE_DATA."
        )
    folder = options.data.joinpath(*parts)
    if not is_folder(folder):
        raise HyperguideError(f"The suite's folder {folder} does not exist: give another --data.")
    return folder


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, numbers in their names in order. Raises if there is none."""
    found = sorted(find_pictures(folder), key=lambda path: natural_order(path.stem))
    if not found:
        raise HyperguideError(f"The folder {folder} holds no pictures: give another --data.")
    return found


def natural_order(name: str) -> tuple[int, str]:
    """Sorts names of one pattern by the number in them."""
    return len(name), name


def read_float(path: Path) -> np.ndarray:
    """A picture in [0, 1], float64, shape (H, W) or (H, W, 3); transparency is dropped."""
    picture = read_picture(path)
    if picture.ndim == 3:
        picture = picture[..., :3]
    return picture / full_scale(picture.dtype)


def as_stored(picture: np.ndarray) -> np.ndarray:
    """A picture in [0, 1] as an 8-bit file gives it back, float32."""
    return (np.rint(picture.clip(0, 1) * 255) / 255).astype(np.float32)
