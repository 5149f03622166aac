"""Tells where a video stands still: compares reduced frames, by the noise that they have."""

from __future__ import annotations

import cv2
import numpy as np

from .arrays import in_native_order
from .pixels import full_scale

# Rows and columns of a frame for each of a reduced one.
_REDUCTION = 8
# Mean difference of two frames, full scale = 1, from which on they count as different scenes.
CUT = 0.12
# How often reduced frames are halved for that.
_HALVINGS_TO_COMPARE = 2
# Mean square differences, in parts of what noise alone gives, up to which a part counts as still,
# and from which on as moving. They are means over a window of reduced pixels; of those of white
# noise, 0.1 % are above 3. What is within reach of something that moves counts as moving, too.
_STILL, _MOVING = 4.0, 8.0
_WINDOW, _REACH = (3, 3), (3, 3)
# Variance of a difference of reduced frames, in parts of that of the noise in a pixel.
_NOISE_LEFT = 2 * (0.299**2 + 0.587**2 + 0.114**2) / _REDUCTION**2
# What rounding to bytes adds to it: four times in each frame.
_ROUNDING = 8 / 12 / 255**2
# The noise of cameras is correlated, and that of gray frames is the same in all planes, so a
# block's mean has up to this many times the variance that it has in white noise. How many times,
# the value tells that a fifth of the frame stays below: in white noise 0.6, by the chi-square
# distribution with 9 degrees of freedom.
_MOST_CORRELATED = 16.0
_QUIET, _QUIET_VALUE = 0.2, 0.6

_TO_GRAY = {3: cv2.COLOR_RGB2GRAY, 4: cv2.COLOR_RGBA2GRAY}


def reduced(frame: np.ndarray) -> np.ndarray:
    """A gray copy of a frame at an eighth of its size, of the same type; float16 becomes float32.

    frame: shape (H, W) or (H, W, C). Returns (h, w).
    """
    frame = in_native_order(frame)
    if frame.dtype.kind == "f":
        frame = frame.astype(np.float32, copy=False)
    planes = frame.shape[2] if frame.ndim == 3 else 0
    if planes:
        frame = cv2.cvtColor(frame, _TO_GRAY[planes]) if planes > 2 else frame[..., 0]
    return _halved(_halved(_halved(frame)))


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The difference of two reduced frames of equal shape and type: float32, full scale = 1."""
    share = 1 / full_scale(one.dtype)
    return cv2.addWeighted(one, share, other, -share, 0, dtype=cv2.CV_32F)


def is_cut(change: np.ndarray) -> bool:
    """Whether two frames that differ by `change` show different scenes."""
    for _ in range(_HALVINGS_TO_COMPARE):  # so that noise does not count
        change = _halved(change)
    return float(np.abs(change).mean()) >= CUT


def stillness(change: np.ndarray, noise: float | np.ndarray) -> np.ndarray:
    """How still each part of a scene is: 1 still, 0 moving.

    change: the difference of two reduced frames, shape (h, w).
    noise: standard deviation of a pixel's noise, full scale = 1: a number, or a map (H, W) of the
        frames before reduction.
    Returns float32 of shape (h, w). The neighbours of what moves count as moving, too: the map
    there depends on it.
    """
    rows, columns = change.shape
    square = cv2.blur(cv2.multiply(change, change), _WINDOW)
    if isinstance(noise, np.ndarray):
        noise = noise[::_REDUCTION, ::_REDUCTION][:rows, :columns]
    excess = square / (np.float32(_NOISE_LEFT) * np.square(noise) + np.float32(_ROUNDING))
    some = excess[::2, ::2].ravel()
    place = int(_QUIET * some.size)
    correlation = float(np.partition(some, place)[place]) / _QUIET_VALUE
    excess /= np.float32(min(max(correlation, 1), _MOST_CORRELATED))
    still = ((_MOVING - excess) / (_MOVING - _STILL)).clip(0, 1)
    return cv2.erode(still, np.ones(_REACH, np.uint8))


def enlarged(reduced_map: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map of reduced frames at the size of whole ones."""
    return cv2.resize(reduced_map, (width, height), interpolation=cv2.INTER_LINEAR)


def _halved(frame: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; an odd row or column at the end is left out, which is faster."""
    rows, columns = (max(length // 2, 1) for length in frame.shape[:2])
    even = frame[: 2 * rows, : 2 * columns]
    return cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA)
