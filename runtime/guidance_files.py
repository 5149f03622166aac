"""Guidance maps as files: 16-bit pictures over the range of the task, and false-colour views."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .errors import HyperguideError
from .pictures import read_picture
from .pixels import full_scale
from .tasks import Guidance


def encode_map(guidance: np.ndarray, meaning: Guidance) -> np.ndarray:
    """A map, shape (H, W), as 16 bits from the range's minimum to its maximum."""
    share = (guidance - meaning.minimum) / (meaning.maximum - meaning.minimum)
    return np.rint(share.clip(0, 1) * 65535).astype(np.uint16)


def decode_map(picture: np.ndarray, meaning: Guidance, where: str) -> np.ndarray:
    """The map of a gray picture: 8 or 16 bits over the range, or float in the unit itself.

    Raises HyperguideError for a colour picture.
    """
    picture = gray_plane(picture, f"The map {where}")
    if picture.dtype.kind == "f":
        return picture.astype(np.float32)
    share = picture.astype(np.float32) / np.float32(full_scale(picture.dtype))
    return meaning.minimum + share * np.float32(meaning.maximum - meaning.minimum)


def read_map(text: str, meaning: Guidance) -> float | np.ndarray:
    """What the user gave as map: a number in the unit, or the name of a picture."""
    try:
        return float(text)
    except ValueError:
        return decode_map(read_picture(Path(text)), meaning, text)


def gray_plane(picture: np.ndarray, what: str) -> np.ndarray:
    """The one plane of a gray picture; editors save those with three equal planes, or alpha, too.

    Raises HyperguideError, naming `what`, for a colour picture.
    """
    if picture.ndim == 2:
        return picture
    planes = picture[..., :3]
    if (planes != planes[..., :1]).any():
        raise HyperguideError(f"{what} is a colour picture: give a gray one.")
    return planes[..., 0]


def false_color(guidance: np.ndarray, meaning: Guidance, legend: bool = True) -> np.ndarray:
    """An RGB picture of a map, shape (H, W), dark blue low and yellow high.

    With `legend` a strip below shows the scale with its ends, the quantity and the unit.
    """
    colors = _colorize(encode_map(guidance, meaning) >> 8)
    if not legend:
        return colors
    width = max(colors.shape[1], 240)
    if width > colors.shape[1]:
        colors = cv2.copyMakeBorder(
            colors, 0, 0, 0, width - colors.shape[1], cv2.BORDER_CONSTANT, value=(255, 255, 255)
        )
    strip = np.full((56, width, 3), 255, np.uint8)
    bar = np.linspace(0, 255, width - 16).astype(np.uint8)
    strip[6:20, 8:-8] = _colorize(np.tile(bar, (14, 1)))
    low, high = f"{meaning.minimum:g}", f"{meaning.maximum:.3g}"
    label(strip, low, 8, 34)
    label(strip, high, width - 8 - _text_width(high), 34)
    label(strip, f"{meaning.name} [{meaning.unit}]", 8, 50)
    return np.vstack([colors, strip])


def label(picture: np.ndarray, text: str, x: int, y: int, size: float = 0.4) -> None:
    """Write black text into an RGB picture, its baseline's left end at (x, y)."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, text, (x, y), font, size, (0, 0, 0), 1, cv2.LINE_AA)


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0])


def _colorize(values: np.ndarray) -> np.ndarray:
    colors = cv2.applyColorMap(values.astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return cv2.cvtColor(colors, cv2.COLOR_BGR2RGB)
