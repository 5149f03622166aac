"""Guidance maps as files: 16-bit pictures over the range of the task, and false-colour views."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.pixels import full_scale
from hyperguide.tasks import Guidance

from .pictures import read_picture

# Rows that are converted at a time: temporaries of a whole map could be larger than the map.
_ROWS = 256


def encode_map(guidance: np.ndarray, meaning: Guidance) -> np.ndarray:
    """Encode a map, shape (H, W), in 16 bits from the range's minimum to its maximum."""
    levels = np.empty(guidance.shape, np.uint16)
    for first in range(0, len(guidance), _ROWS):
        rows = guidance[first : first + _ROWS]
        share = (rows - meaning.minimum) / (meaning.maximum - meaning.minimum)
        levels[first : first + _ROWS] = np.rint(share.clip(0, 1) * 65535)
    return levels


def decode_map(picture: np.ndarray, meaning: Guidance, where: str) -> np.ndarray:
    """Decode a map from a gray picture: 8 or 16 bits over the range, or float in its unit.

    Raises HyperguideError for a colour picture.
    """
    picture = gray_plane(picture, f"The map {where}")
    if picture.dtype.kind == "f":
        return picture.astype(np.float32)
    share = picture.astype(np.float32) / np.float32(full_scale(picture.dtype))
    return meaning.minimum + share * np.float32(meaning.maximum - meaning.minimum)


def read_map(text: str, meaning: Guidance, max_memory: int | None = None) -> float | np.ndarray:
    """Read the map that the user gave: a number in its unit, or the name of a picture.

    max_memory: see `pictures.read_picture`.
    """
    try:
        return float(text)
    except ValueError:
        return decode_map(read_picture(Path(text), max_memory), meaning, text)


def gray_plane(picture: np.ndarray, what: str) -> np.ndarray:
    """The plane of a gray picture, which editors may save as three equal planes, or with alpha.

    If it is drawn in one colour on a transparent background, the plane is alpha.
    Raises HyperguideError, naming `what`, for a colour picture, and for gray levels with
    transparency.
    """
    if picture.ndim == 2:
        return picture
    planes, alpha = picture[..., :3], picture[..., 3:]
    drawn = bool(alpha.size) and bool((alpha != alpha.flat[0]).any())
    if drawn and not (planes != planes[:1, :1]).any():
        return alpha[..., 0]
    if (planes != planes[..., :1]).any():
        raise HyperguideError(f"{what} is a colour picture: give a gray one.")
    if drawn:
        raise HyperguideError(
            f"{what} has both gray levels and transparency: remove its alpha channel, or draw in "
            "one colour on a transparent ground."
        )
    return planes[..., 0]


def false_color(guidance: np.ndarray, meaning: Guidance, legend: bool = True) -> np.ndarray:
    """An RGB picture of a map, shape (H, W), dark blue low and yellow high.

    With `legend` a strip below shows the scale with its ends, the quantity and the unit.
    """
    rows, columns = guidance.shape
    width = max(columns, 240) if legend else columns
    picture = np.full((rows + (56 if legend else 0), width, 3), 255, np.uint8)
    for first in range(0, rows, _ROWS):
        part = encode_map(guidance[first : first + _ROWS], meaning)
        picture[first : first + len(part), :columns] = _colorize(part >> 8)
    if legend:
        _draw_legend(picture[rows:], meaning)
    return picture


def _draw_legend(strip: np.ndarray, meaning: Guidance) -> None:
    """Draw scale, quantity and unit into a white RGB picture of 56 rows."""
    width = strip.shape[1]
    bar = np.linspace(0, 255, width - 16).astype(np.uint8)
    strip[6:20, 8:-8] = _colorize(np.tile(bar, (14, 1)))
    low, high = f"{meaning.minimum:g}", f"{meaning.maximum:.3g}"
    draw_text(strip, low, 8, 34)
    draw_text(strip, high, width - 8 - _text_width(high), 34)
    draw_text(strip, f"{meaning.name} [{meaning.unit}]", 8, 50)


def draw_text(picture: np.ndarray, text: str, x: int, y: int, size: float = 0.4) -> None:
    """Write black text into an RGB picture, its baseline's left end at (x, y)."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, text, (x, y), font, size, (0, 0, 0), 1, cv2.LINE_AA)


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0])


def _colorize(values: np.ndarray) -> np.ndarray:
    colors = cv2.applyColorMap(values.astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return cv2.cvtColor(colors, cv2.COLOR_BGR2RGB)
