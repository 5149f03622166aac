"""Test suites: degraded pictures with their truth, reproducible."""

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

    degraded: the input, float32, shape (H, W) or (H, W, 3); noise may exceed [0, 1].
    clean: the truth, float64 in [0, 1], of the same shape.
    true_map: the true guidance, float64, shape (H, W), in the unit of the suite's guidance; None
        if unknown.
    kernel: the blur kernel, float64, shape (kh, kw), odd sides, sum 1.
    level: label of the table row that the picture belongs to; empty in suites with one row.
    border: width of the margin that the blur spoilt.
    seed: of the noise, for `numpy.random.RandomState`, whose stream never changes.
    true_level: root mean square of the true map, if only that is known.
    photo: the whole picture, in any range, if `clean` is only a part of it.
    parts: kinds of pixels whose change is reported by itself, bool, shape (H, W).
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
    parts: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Options:
    """The user's choices; None means the suite's default.

    data: folder of the test data.
    noise: levels, in the suite's unit.
    quadrants: levels of the upper left, upper right, lower left and lower right quadrant, in
        percent of full scale; instead of `noise`.
    boundary: what the blur does at the picture's edge; see `levin`.
    color: use the colour originals instead of gray pictures.
    limit: maximum number of pictures (per level).
    blur: whether a deblurring suite blurs.
    guidance: what the target's maps mean, for suites that store maps as pictures.
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
    """A suite, ready to run.

    about: a one-line description without a full stop.
    protocol: name of its default protocol in `protocols.PROTOCOLS`.
    guidance: what the true maps mean; None if there are none.
    cases: functions that make the pictures, level by level.
    unit: what the number 1 means in `--noise`, full scale = 1; None for suites without noise.
    in_quadrants: whether each picture has four noise levels, one per quadrant.
    settings: the settings used, recorded so that the run can be repeated.
    """

    about: str
    protocol: str
    guidance: Guidance | None
    cases: tuple[Callable[[], Case], ...]
    unit: float | None = None
    in_quadrants: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


def data_folder(options: Options, *parts: str) -> Path:
    """A folder of the test data. Raises HyperguideError if it is not given or missing."""
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
    """The pictures of a folder in natural order. Raises HyperguideError if there are none."""
    found = sorted(find_pictures(folder), key=lambda path: natural_order(path.stem))
    if not found:
        raise HyperguideError(f"The folder {folder} holds no pictures: give another --data.")
    return found


def natural_order(name: str) -> tuple[int, str]:
    """Sort key that orders names of one pattern by their number."""
    return len(name), name


def read_float(path: Path) -> np.ndarray:
    """Read a picture in [0, 1], float64, shape (H, W) or (H, W, 3); transparency is dropped."""
    picture = read_picture(path)
    if picture.ndim == 3:
        picture = picture[..., :3]
    return picture / full_scale(picture.dtype)


def as_stored(picture: np.ndarray) -> np.ndarray:
    """A picture in [0, 1], rounded as by an 8-bit file, float32."""
    return (np.rint(picture.clip(0, 1) * 255) / 255).astype(np.float32)
