"""Tells where a video stands still: compares reduced frames, by the noise that they have."""

from __future__ import annotations

import cv2
import numpy as np

from .arrays import in_native_order
from .pixels import full_scale

# Rows and columns of a frame for each of a reduced one.
_REDUCTION = 4
# Scenes are compared at this size.
_GLANCE = (32, 18)
# Mean difference of two frames, full scale = 1, from which on they count as different scenes.
_SCENE_CHANGE = 0.12
# Mean square differences, in parts of what noise alone gives, up to which a part counts as still,
# and from which on as moving. Of white noise over 3x3 pixels of three planes, 0.1 % is above 3.
_STILL, _MOVING = 3.0, 6.0
# The noise of cameras is correlated, so a block's mean has up to this many times the variance that
# it has in white noise. How many times, the quietest fifth of the frame says.
_MOST_CORRELATED = float(_REDUCTION**2)
_QUIETEST = 0.2
# Variance that rounding adds to a difference: each frame is rounded twice to bytes.
_ROUNDING = 4 / 12 / 255**2

_NEIGHBOURS = (3, 3)


def reduced(frame: np.ndarray) -> np.ndarray:
    """A quarter-size copy of a frame, of the same type; float16 becomes float32.

    frame: shape (H, W) or (H, W, C). Returns (h, w) or (h, w, C), without alpha.
    """
    frame = in_native_order(frame)
    if frame.ndim == 3:
        frame = frame[..., : 3 if frame.shape[2] >= 3 else 1]
    if frame.dtype.kind == "f":
        frame = frame.astype(np.float32, copy=False)
    return _halved(_halved(frame))


def is_same_scene(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two reduced frames show the same scene, with no cut between them."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    glances = (cv2.resize(frame, _GLANCE, interpolation=cv2.INTER_AREA) for frame in (one, other))
    difference = np.subtract(*glances, dtype=np.float32)
    return float(np.abs(difference).mean()) < _SCENE_CHANGE * full_scale(one.dtype)


def stillness(one: np.ndarray, other: np.ndarray, noise: float | np.ndarray) -> np.ndarray:
    """How still each part of two reduced frames of one scene is: 1 still, 0 moving.

    noise: standard deviation of a pixel's noise, full scale = 1: a number, or a map (H, W) of the
        frames before reduction.
    Returns float32 of shape (h, w). The neighbours of what moves count as moving, too: the map there
    depends on it.
    """
    difference = cv2.absdiff(one, other).astype(np.float32)
    square = np.square(difference, out=difference).reshape(*one.shape[:2], -1).mean(2)
    square = cv2.blur(square, _NEIGHBOURS) / np.float32(full_scale(one.dtype) ** 2)
    if isinstance(noise, np.ndarray):
        noise = noise[:: _REDUCTION, :: _REDUCTION][: one.shape[0], : one.shape[1]]
    expected = 2 * np.square(noise / _REDUCTION, dtype=np.float32) + np.float32(_ROUNDING)
    excess = square / expected
    excess /= np.clip(np.quantile(excess[::2, ::2], _QUIETEST), 1, _MOST_CORRELATED)
    still = ((_MOVING - excess) / (_MOVING - _STILL)).clip(0, 1)
    return cv2.erode(still, np.ones(_NEIGHBOURS, np.uint8))


def enlarged(reduced_map: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map of reduced frames at the size of whole ones."""
    return cv2.resize(reduced_map, (width, height), interpolation=cv2.INTER_LINEAR)


def _halved(frame: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; an odd row or column at the end is left out, which is faster."""
    rows, columns = (max(length // 2, 1) for length in frame.shape[:2])
    even = frame[: 2 * rows, : 2 * columns]
    return cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA)
