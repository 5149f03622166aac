"""Runs the cases of a suite through a target: scores, map errors, seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.tasks import TASKS
from hyperguide.training.metrics import root_mean_square, root_mean_square_error

from .noise import GUIDANCE, quadrants
from .protocols import Score, ScoringProtocol
from .suites import Case, Suite
from .target import Target

# Near the borders of the quadrants the hyper-network sees two levels in one window. The compact
# networks see about 16 pixels far.
QUADRANT_MARGIN = 16


@dataclass(frozen=True)
class QuadrantError:
    """The error of the predicted map in a quadrant, full scale = 1.

    inside_rmse: without pixels closer than QUADRANT_MARGIN to another quadrant.
    """

    true: float
    mean: float
    rmse: float
    inside_rmse: float


@dataclass(frozen=True)
class Measurement:
    """The figures of one picture.

    input, output: scores of the degraded and the restored picture.
    map_rmse: in the unit of the suite's guidance; None without a true or a comparable map.
    map_ratio: root mean square of the predicted map divided by that of the true one; None under the
        same conditions, and if there is nothing to remove.
    quadrants: upper left, upper right, lower left, lower right; empty unless the suite has them.
    seed: of the noise.
    part_error: highest mean absolute error of the restored picture in one of the case's parts, in
        levels of 8 bits; None without parts.
    seen: whether the target was trained on the picture; None if unknown.
    """

    name: str
    level: str
    input: Score
    output: Score
    map_rmse: float | None
    map_ratio: float | None
    quadrants: tuple[QuadrantError, ...]
    seconds: float
    seed: int | None
    seen: bool | None = None
    part_error: float | None = None


@dataclass(frozen=True)
class Example:
    """A measured picture with the data for a contact sheet.

    predicted: the map that the target used, if it is comparable with true ones.
    """

    case: Case
    restored: np.ndarray
    predicted: np.ndarray | None
    measurement: Measurement


def measure(
    suite: Suite,
    target: Target,
    protocol: ScoringProtocol,
    told: float | None = None,
    scale: float = 1.0,
) -> Iterator[Example]:
    """Run a suite through a target, picture by picture.

    told: a level, full scale = 1, given to the target instead of the map that it predicts.
    scale: factor for its map, like the dial `guidance_scale`.
    Raises HyperguideError for pictures that the target cannot restore.
    """
    own = TASKS[target.task].guidance if target.task is not None else None
    # Maps are compared if both mean the same, as the noise levels of denoising and deblurring do.
    comparable = own is not None and suite.guidance is not None and own.name == suite.guidance.name
    informed = target.informed and suite.guidance == GUIDANCE
    for make in suite.cases:
        case = make()
        guidance = case.true_map if informed else None
        if told is not None:
            guidance = np.full(case.degraded.shape[:2], told)
        given = None if guidance is None else guidance.astype(np.float32)
        start = time.perf_counter()
        restored, predicted = target.restorer(case.degraded, case.kernel, given, scale)
        seconds = time.perf_counter() - start
        if not np.isfinite(restored).all():
            raise HyperguideError(f"{target.name} computed NaN or infinity for {case.name}.")
        error = ratio = None
        parts: tuple[QuadrantError, ...] = ()
        if comparable and predicted is not None:
            ratio = _ratio(predicted, case)
            if case.true_map is not None:
                error = root_mean_square_error(predicted, case.true_map)
                parts = _quadrant_errors(predicted, case.true_map) if suite.in_quadrants else ()
        measurement = Measurement(
            name=case.name,
            level=case.level,
            input=protocol.score(case.degraded, case.clean, case.border),
            output=protocol.score(restored, case.clean, case.border),
            map_rmse=error,
            map_ratio=ratio,
            quadrants=parts,
            seconds=seconds,
            seed=case.seed,
            seen=_was_seen(case, target),
            part_error=_part_error(restored, case),
        )
        yield Example(case, restored, predicted if comparable else None, measurement)


def _ratio(predicted: np.ndarray, case: Case) -> float | None:
    true = case.true_level
    if true is None and case.true_map is not None:
        true = root_mean_square(case.true_map)
    return root_mean_square(predicted) / true if true else None


def _part_error(restored: np.ndarray, case: Case) -> float | None:
    error = 255 * np.abs(restored - case.clean)
    return max((float(error[part].mean()) for part in case.parts if part.any()), default=None)


def _was_seen(case: Case, target: Target) -> bool | None:
    if not target.seen.hashes:
        return False if target.seen.complete else None
    return target.seen.holds(case.clean if case.photo is None else case.photo)


def _quadrant_errors(predicted: np.ndarray, true: np.ndarray) -> tuple[QuadrantError, ...]:
    height, width = true.shape
    margin = min(QUADRANT_MARGIN, height // 4, width // 4)
    parts = zip(quadrants(height, width), quadrants(height, width, margin), strict=True)
    return tuple(
        QuadrantError(
            true=float(true[whole].mean()),
            mean=float(predicted[whole].mean()),
            rmse=root_mean_square_error(predicted[whole], true[whole]),
            inside_rmse=root_mean_square_error(predicted[inside], true[inside]),
        )
        for whole, inside in parts
    )
