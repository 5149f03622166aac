"""The motion between two pictures, one shift for each tile, and pictures moved by it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

# Side of a tile, in pixels of the reduced pictures.
_TILE = 16
# Smallest side of reduced pictures in which motion is looked for.
_SMALLEST = 32
# Shifts are multiples of this part of a pixel, so that tiles that move alike are moved at once.
_STEP = 1 / 16
# Shifts this close to whole pixels are rounded to them: they need no interpolation.
_NEARLY_WHOLE = 1.5 * _STEP
# A Gaussian of this side and deviation lowers white noise to 1 / 3.4.
_BLUR, _BLUR_SIGMA, _BLUR_GAIN = (5, 5), 1.0, 1 / 3.4
# By how much, in deviations of the noise, the mean difference must fall for the camera to count as
# moving, and for a tile to count as moving against the camera. Noise alone brings less.
_CAMERA_GAIN, _TILE_GAIN = 0.01, 0.15
# Deviation of the shifts of tiles that move as the camera does, without noise.
_ROUGHNESS = 0.4
# F-statistic from which on the camera counts as zooming or turning rather than panning.
_SIGNIFICANT = 15
# OpenCV allows this for a second map and for an initial flow; its type stubs do not.
_NONE: Any = None
# Lobes of the interpolation filter.
_LOBES = 4


@dataclass(frozen=True)
class Motion:
    """Where the content of each tile came from.

    shifts: shape (rows, columns, 2): x and y, in pixels, to be added to a place in the new picture
        to get the place in the old one.
    scale: pixels for each pixel of the reduced pictures.
    """

    shifts: np.ndarray
    scale: int

    @property
    def still(self) -> bool:
        """Whether nothing moved."""
        return not self.shifts.any()

    def applied(self, picture: np.ndarray, into: np.ndarray) -> None:
        """Write the old picture, moved; float32, (H, W) or (H, W, C). Its border is repeated."""
        side = _TILE * self.scale
        for row, shifts in enumerate(self.shifts):
            changes = np.flatnonzero((shifts[1:] != shifts[:-1]).any(axis=1)) + 1
            starts = [0, *changes.tolist(), len(shifts)]
            for first, last in pairwise(starts):
                top, left = row * side, first * side
                bottom, right = min(top + side, len(picture)), min(last * side, picture.shape[1])
                box = (top, left, bottom, right)
                into[top:bottom, left:right] = _cut(picture, box, shifts[first])

    def applied_to_reduced(self, reduced: np.ndarray, outside: float) -> np.ndarray:
        """A reduced picture moved to the nearest pixel; `outside` is what comes from outside."""
        if self.still:
            return reduced
        places = _places(self.shifts / self.scale, reduced.shape)
        return cv2.remap(
            reduced,
            places,
            _NONE,
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=outside,
        )


class MotionSearch:
    """Finds the motion between reduced pictures.

    The median of the flow of each tile (dense inverse search: Kroeger et al., ECCV 2016) is refined
    by one step of Lucas and Kanade. The motion of the camera is a linear function of the place,
    fitted to most of the tiles. A tile moves as the camera does, unless its own motion explains it
    clearly better.
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def __call__(self, before: np.ndarray, now: np.ndarray, noise: float, scale: int) -> Motion:
        """The motion from one picture to the next.

        before, now: gray, uint8, shape (h, w).
        noise: standard deviation of the noise of their difference.
        scale: by which the pictures were reduced.
        """
        rows, columns = (-(-side // _TILE) for side in before.shape)
        if min(before.shape) < _SMALLEST:
            return Motion(np.zeros((rows, columns, 2)), scale)
        before, now = (cv2.GaussianBlur(p, _BLUR, _BLUR_SIGMA) for p in (before, now))
        flow = np.nan_to_num(self._flow.calc(now, before, _NONE))
        before, now = (p.astype(np.float32) for p in (before, now))
        own, certainty = _refined(before, now, _median_of_tiles(flow))
        variance = noise**2 / (_TILE**2 * certainty) + _ROUGHNESS**2
        camera = _motion_of_most(own, 1 / variance)
        still = np.zeros_like(camera)
        unexplained = _unexplained(before, now, camera)
        at_rest = _unexplained(before, now, still)
        noise *= _BLUR_GAIN
        if (at_rest - unexplained).mean() < _CAMERA_GAIN * noise:
            camera, unexplained = still, at_rest
        better = unexplained - _unexplained(before, now, own) > _TILE_GAIN * noise
        shifts = np.where(better[..., None], own, camera) * scale
        shifts = np.round(shifts / _STEP) * _STEP
        whole = np.round(shifts)
        nearly = np.abs(shifts - whole).max(axis=2, keepdims=True) <= _NEARLY_WHOLE
        return Motion(np.where(nearly, whole, shifts), scale)


def _unexplained(before: np.ndarray, now: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """The mean difference of each tile that is left after the motion."""
    return _mean_of_tiles(cv2.absdiff(now, _moved(before, tiles)))


def _median_of_tiles(flow: np.ndarray) -> np.ndarray:
    padded = _padded(flow)[::2, ::2]
    side = _TILE // 2
    rows, columns = padded.shape[0] // side, padded.shape[1] // side
    tiles = padded.reshape(rows, side, columns, side, 2).transpose(0, 2, 4, 1, 3)
    return np.median(tiles.reshape(rows, columns, 2, -1), axis=3)


def _refined(
    before: np.ndarray, now: np.ndarray, tiles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shifts after one step of Lucas and Kanade: least squares for the shift of each tile.

    Also returns how certain they are, in x and in y: the inverse of their variance, times that of
    the noise.
    """
    moved = _moved(before, tiles)
    rest = cv2.subtract(now, moved)
    x = cv2.Sobel(moved, cv2.CV_32F, 1, 0, scale=1 / 8)
    y = cv2.Sobel(moved, cv2.CV_32F, 0, 1, scale=1 / 8)
    pairs = ((x, x), (x, y), (y, y), (x, rest), (y, rest))
    xx, xy, yy, xr, yr = (_mean_of_tiles(cv2.multiply(one, two)) for one, two in pairs)
    xx, yy = xx + 0.5, yy + 0.5  # no large steps in flat tiles
    steps = np.stack([yy * xr - xy * yr, xx * yr - xy * xr], axis=2)
    determinant = xx * yy - xy * xy
    steps /= determinant[..., None]
    certainty = np.stack([determinant / yy, determinant / xx], axis=2)
    return tiles + np.clip(steps, -0.5, 0.5), certainty


def _motion_of_most(tiles: np.ndarray, certainty: np.ndarray) -> np.ndarray:
    """A linear function of the place, fitted to most of the tiles by reweighted least squares.

    A constant, unless that fits significantly worse.
    """
    rows, columns = tiles.shape[:2]
    y, x = np.mgrid[:rows, :columns]
    terms = np.stack([np.ones(rows * columns), x.ravel() / columns, y.ravel() / rows], axis=1)
    values, certain = tiles.reshape(-1, 2), certainty.reshape(-1, 2)
    pan = zoom = np.broadcast_to(np.median(values, axis=0), values.shape)
    for width in (0.5, 0.3, 0.2, 0.15, 0.1):
        pan = _fitted(terms[:, :1], values, certain * _agreeing(values, pan, width))
        if len(values) >= 12:
            zoom = _fitted(terms, values, certain * _agreeing(values, zoom, width))
    weights = certain * _agreeing(values, zoom, 0.1)
    errors = [float((weights * (values - fit) ** 2).sum()) for fit in (pan, zoom)]
    better = (errors[0] - errors[1]) * (2 * len(values) - 6) > _SIGNIFICANT * 4 * errors[1]
    return (zoom if better else pan).reshape(tiles.shape)


def _agreeing(values: np.ndarray, fitted: np.ndarray, width: float) -> np.ndarray:
    """Near 1 for shifts that agree, near 0 for others; shape (tiles, 1)."""
    away = np.abs(values - fitted).max(axis=1, keepdims=True)
    return 1 / (1 + (away / width) ** 2) ** 2


def _fitted(terms: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Least squares for x and for y."""
    fits = []
    for axis in range(2):
        weighted = terms * weights[:, axis : axis + 1]
        normal = weighted.T @ terms + 1e-9 * np.eye(terms.shape[1])
        fits.append(terms @ np.linalg.solve(normal, weighted.T @ values[:, axis]))
    return np.stack(fits, axis=1)


def _padded(values: np.ndarray) -> np.ndarray:
    """With whole tiles; the border is repeated."""
    down, right = -values.shape[0] % _TILE, -values.shape[1] % _TILE
    return cv2.copyMakeBorder(values, 0, down, 0, right, cv2.BORDER_REPLICATE)


def _mean_of_tiles(values: np.ndarray) -> np.ndarray:
    padded = _padded(values)
    size = padded.shape[1] // _TILE, padded.shape[0] // _TILE
    return cv2.resize(padded, size, interpolation=cv2.INTER_AREA)


def _moved(picture: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    places = _places(tiles, picture.shape)
    return cv2.remap(picture, places, _NONE, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _places(tiles: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where each pixel came from: float32, shape (h, w, 2)."""
    size = tiles.shape[1] * _TILE, tiles.shape[0] * _TILE
    shifts = cv2.resize(tiles.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    return cv2.add(np.ascontiguousarray(shifts[: shape[0], : shape[1]]), _grid(*shape[:2]))


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y], axis=2).astype(np.float32)


def _cut(picture: np.ndarray, box: tuple[int, int, int, int], shift: np.ndarray) -> np.ndarray:
    """The part of a picture in a box (top, left, bottom, right) that was shifted."""
    whole = np.floor(shift).astype(int)
    x, y = shift - whole
    margin = _LOBES if x or y else 0
    top, bottom, above, below = _within(
        picture.shape[0], box[0] + whole[1] - margin, box[2] + whole[1] + margin
    )
    left, right, before, behind = _within(
        picture.shape[1], box[1] + whole[0] - margin, box[3] + whole[0] + margin
    )
    part = picture[top:bottom, left:right]
    if above or below or before or behind:
        part = cv2.copyMakeBorder(part, above, below, before, behind, cv2.BORDER_REPLICATE)
    if not margin:
        return part
    along, down = _lanczos(float(x)), _lanczos(float(y))
    anchor = (len(along) - 1) // 2, (len(down) - 1) // 2
    part = cv2.sepFilter2D(part, -1, along, down, anchor=anchor)
    return part[margin:-margin, margin:-margin]


def _within(size: int, first: int, last: int) -> tuple[int, int, int, int]:
    """What of a range lies within a side, and how much is missing before and behind.

    Ranges outside are moved to the border.
    """
    length = last - first
    first = int(min(max(first, 1 - length), size - 1))
    last = first + length
    return max(first, 0), min(last, size), max(-first, 0), max(last - size, 0)


@lru_cache(maxsize=64)
def _lanczos(part: float) -> np.ndarray:
    """The filter that takes the value `part` of a pixel further, in [0, 1)."""
    if part == 0:
        return np.ones(1, np.float32)
    places = np.arange(1 - _LOBES, 1 + _LOBES) - part
    weights = np.sinc(places) * np.sinc(places / _LOBES)
    return (weights / weights.sum()).astype(np.float32)
