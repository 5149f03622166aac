"""A contact sheet of a few pictures: input, true map, predicted map, result and truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from hyperguide.picture_files import draw_text, false_color
from hyperguide.tasks import Guidance

from .measure import Example
from .protocols import Score

EXAMPLES = 4

SIDE = 320  # of a picture on the sheet
_GAP = 10
_TITLE, _CAPTION = 28, 22  # heights of the lines of text above a row and above a picture


def pick(count: int) -> set[int]:
    """Indices of the pictures to show out of `count` cases, evenly spaced."""
    return {round(i) for i in np.linspace(0, count - 1, min(count, EXAMPLES))}


def draw_sheet(examples: Sequence[Example], guidance: Guidance | None) -> np.ndarray:
    """Draw one row per example, uint8 RGB; missing maps are left out.

    guidance: what the maps mean; both maps of a row share one colour range.
    A known blur kernel is drawn into the corner of its input.
    """
    return stack([_row(example, guidance) for example in examples])


def stack(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Stack rows, uint8 RGB, vertically."""
    width = max(row.shape[1] for row in rows)
    return np.vstack([_extend(row, width + _GAP, row.shape[0] + _GAP) for row in rows])


def _row(example: Example, guidance: Guidance | None) -> np.ndarray:
    case, scores = example.case, example.measurement
    degraded = _with_kernel(_picture(case.degraded), case.kernel)
    cells = [cell(degraded, f"input, {_figures(scores.input)}")]
    if guidance is not None and case.true_map is not None:
        meaning = visible_range(guidance, case.true_map)
        cells.append(cell(_map(case.true_map, meaning), "true map"))
        if example.predicted is not None:
            caption = f"predicted map, RMSE {scores.map_rmse:.4f}"
            cells.append(cell(_map(example.predicted, meaning), caption))
    cells.append(cell(_picture(example.restored), f"result, {_figures(scores.output)}"))
    cells.append(cell(_picture(case.clean), "truth"))
    return titled(", ".join(filter(None, (case.name, case.level))), cells)


def titled(text: str, cells: Sequence[np.ndarray]) -> np.ndarray:
    """A row of cells with a title above."""
    height = max(one.shape[0] for one in cells)
    body = np.hstack([_extend(one, one.shape[1], height) for one in cells])
    title = np.full((_TITLE, body.shape[1], 3), 255, np.uint8)
    draw_text(title, text, _GAP, _TITLE - 8, size=0.55)
    return np.vstack([title, body])


def _figures(score: Score) -> str:
    return f"{score.psnr:.2f} dB, SSIM {score.ssim:.3f}"


def visible_range(meaning: Guidance, values: np.ndarray) -> Guidance:
    """Limit the range to 1.5 times the largest value, so that small levels differ in colour.

    Maps that use most of their range keep it.
    """
    top = 1.5 * float(values.max())
    return replace(meaning, maximum=top) if 0 < top < meaning.maximum else meaning


def _picture(picture: np.ndarray) -> np.ndarray:
    return _resize(as_pixels(picture))


def as_pixels(picture: np.ndarray) -> np.ndarray:
    """A picture in [0, 1], shape (H, W) or (H, W, 3), as uint8 RGB."""
    pixels = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
    return np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels


def _map(values: np.ndarray, meaning: Guidance) -> np.ndarray:
    return false_color(_resize(values), meaning)


def _with_kernel(picture: np.ndarray, kernel: np.ndarray | None) -> np.ndarray:
    if kernel is not None:
        dots = np.rint(kernel / kernel.max() * 255).astype(np.uint8)
        enlarged = cv2.resize(dots, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
        corner = picture[: enlarged.shape[0], : enlarged.shape[1]]
        corner[:] = enlarged[: corner.shape[0], : corner.shape[1], None]
    return picture


def _resize(picture: np.ndarray) -> np.ndarray:
    height = max(1, round(picture.shape[0] * SIDE / picture.shape[1]))
    method = cv2.INTER_AREA if picture.shape[1] > SIDE else cv2.INTER_NEAREST
    return cv2.resize(picture, (SIDE, height), interpolation=method)


def cell(body: np.ndarray, caption: str) -> np.ndarray:
    """A picture, uint8 RGB, at most SIDE wide, with its caption above."""
    framed = np.full((_CAPTION + body.shape[0], _GAP + SIDE, 3), 255, np.uint8)
    draw_text(framed, caption, _GAP, _CAPTION - 7, size=0.42)
    framed[_CAPTION:, _GAP : _GAP + body.shape[1]] = body
    return framed


def _extend(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pad with white at the bottom and right, up to a size."""
    down, right = height - picture.shape[0], width - picture.shape[1]
    white = (255, 255, 255)
    return cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_CONSTANT, value=white)
