"""A sheet of photos without ground truth: before, map, after, and the target's figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import false_color
from hyperguide.storage.paths import is_folder
from hyperguide.tasks import TASKS, Guidance
from hyperguide.training.metrics import root_mean_square, root_mean_square_error

from .sheet import SIDE, as_pixels, cell, stack, titled, visible_range
from .suites import list_pictures, read_float
from .target import Target

# Nobody looks at a larger sheet.
MOST_PHOTOS = 60


@dataclass(frozen=True)
class LookedAt:
    """A photo and what a target made of it.

    level: root mean square of its map, in the task's unit; None for targets without a map.
    upper: 95 % quantile of the map.
    changes: for each scale, root mean square of result minus photo, full scale = 1.
    row: its row of the sheet, uint8 RGB.
    """

    name: str
    level: float | None
    upper: float | None
    changes: tuple[float, ...]
    row: np.ndarray


def find_photos(folder: Path, limit: int | None) -> list[Path]:
    """The photos of `sheet:DIR`. Raises HyperguideError if the folder is missing or too large."""
    if not is_folder(folder):
        raise HyperguideError(f"The folder {folder} of photos does not exist: give another one.")
    photos = list_pictures(folder)[:limit]
    if len(photos) > MOST_PHOTOS:
        raise HyperguideError(
            f"{folder} holds {len(photos)} photos, a sheet at most {MOST_PHOTOS}: give --limit."
        )
    return photos


def look_at(
    photos: Sequence[Path],
    target: Target,
    scales: Sequence[float],
    done: Callable[[], None],
) -> list[LookedAt]:
    """Run photos through a target, once for each scale of its map.

    done: called after each photo.
    Raises HyperguideError for targets that need a kernel or a noise level.
    """
    if target.task == "deblur" or target.informed:
        raise HyperguideError(
            f"{target.name} must be told more than the photo: sheet:DIR shows other targets."
        )
    meaning = None if target.task is None else TASKS[target.task].guidance
    looked = []
    for path in photos:
        looked.append(_look_at(path, target, scales, meaning))
        done()
    return looked


def _look_at(
    path: Path, target: Target, scales: Sequence[float], meaning: Guidance | None
) -> LookedAt:
    photo = read_float(path).astype(np.float32)
    results = []
    predicted = None
    for scale in scales:
        restored, predicted = target.restorer(photo, None, None, scale)
        results.append(restored)
    changes = tuple(root_mean_square_error(restored, photo) for restored in results)
    level = upper = None
    cells = [cell(_window(photo), "before")]
    if predicted is not None and meaning is not None:
        level = root_mean_square(predicted)
        upper = float(np.quantile(predicted, 0.95))
        shown = false_color(_part(predicted), visible_range(meaning, predicted))
        cells.append(cell(shown, f"map, {level:.4f}, 95 % below {upper:.4f}"))
    for scale, restored, change in zip(scales, results, changes, strict=True):
        at = "" if scale == 1 else f" at scale {scale:g}"
        cells.append(cell(_window(restored), f"after{at}, changed by {255 * change:.2f}/255"))
    return LookedAt(path.stem, level, upper, changes, titled(path.stem, cells))


def _part(picture: np.ndarray) -> np.ndarray:
    """The centre at full size: downscaling would hide noise."""
    top, left = (max(0, (side - SIDE) // 2) for side in picture.shape[:2])
    return picture[top : top + SIDE, left : left + SIDE]


def _window(picture: np.ndarray) -> np.ndarray:
    return as_pixels(_part(picture))


def draw_photos(looked: Sequence[LookedAt]) -> np.ndarray:
    """The sheet of all photos, uint8 RGB."""
    return stack([one.row for one in looked])


def photo_lines(looked: Sequence[LookedAt], target: Target, scales: Sequence[float]) -> str:
    """The figures of the photos as a table."""
    meaning = None if target.task is None else TASKS[target.task].guidance
    width = max(len("photo"), *(len(one.name) for one in looked))
    lines = [f"target  {target.name}: {target.kind}, {target.about}"]
    if meaning is not None:
        lines.append(f"map     {meaning.name} [{meaning.unit}]")
    heads = "".join(f"{f'at {scale:g}':>9}" for scale in scales)
    lines += [
        "",
        f"{'':<{width}}  {'map':^18}  change of 255, by scale",
        f"{'photo':<{width}}      RMS  95 % below{heads}",
    ]
    for one in looked:
        level, upper = ("-" if v is None else f"{v:.4f}" for v in (one.level, one.upper))
        changes = "".join(f"{255 * change:9.2f}" for change in one.changes)
        lines.append(f"{one.name:<{width}}  {level:>7}  {upper:>10}{changes}")
    return "\n".join(lines)
