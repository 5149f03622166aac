"""The motion between two pictures, one shift for each tile, and pictures moved by it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# Side of a tile, which moves as one, in blocks.
TILE = 16
# Shifts are rounded to this part of a pixel, so that tiles that move alike are moved at once.
_STEP = 1 / 16
# Half the length of the interpolation filter.
_REACH = 4


@dataclass(frozen=True)
class Motion:
    """Where the content of each tile came from.

    shifts: float32, shape (rows, columns, 2): x and y, in pixels, to be added to the place in the
        new picture.
    side: of a tile, in pixels.
    """

    shifts: np.ndarray
    side: int

    @property
    def still(self) -> bool:
        return not self.shifts.any()

    @property
    def uniform(self) -> bool:
        return bool((self.shifts == self.shifts[0, 0]).all())


def estimated_motion(
    before: np.ndarray, now: np.ndarray, noise: float, scale: int, flow: cv2.DISOpticalFlow
) -> Motion:
    """The motion from one reduced picture to the next.

    before, now: gray, float32, shape (h, w), in [0, 255].
    noise: standard deviation of the noise of their difference.
    scale: by which the pictures were reduced.
    """
    soft_before, soft_now = (cv2.GaussianBlur(p, (5, 5), 1.0) for p in (before, now))
    found = flow.calc(_as_bytes(soft_now), _as_bytes(soft_before), None)
    tiles = _refined(soft_before, soft_now, _median_of_tiles(found))
    camera = _motion_of_camera(tiles)
    level = noise / 3.4  # of the blurred pictures
    rest = [_rest(soft_before, soft_now, t) for t in (np.zeros_like(tiles), camera, tiles)]
    if (rest[0] - rest[1]).mean() < 0.01 * level:
        camera, rest[1] = np.zeros_like(tiles), rest[0]
    own = rest[1] - rest[2] > 0.15 * level
    shifts = np.where(own[..., None], tiles, camera) * scale
    shifts = np.round(shifts / _STEP) * _STEP
    whole = np.round(shifts)
    near = np.abs(shifts - whole).max(axis=2) <= 1.5 * _STEP
    shifts[near] = whole[near]
    return Motion(shifts.astype(np.float32), TILE * scale)


def _rest(before: np.ndarray, now: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    return _tile_mean(cv2.absdiff(now, _moved_by_blocks(before, tiles)))


def moved(picture: np.ndarray, motion: Motion) -> np.ndarray:
    """A picture moved tile by tile, float32, with its border repeated outside."""
    if motion.still:
        return picture
    height, width = picture.shape[:2]
    if motion.uniform:
        return _shifted(picture, 0, 0, height, width, motion.shifts[0, 0])
    out = np.empty_like(picture)
    side = motion.side
    rows, columns = motion.shifts.shape[:2]
    for row in range(rows):
        top, bottom = row * side, min((row + 1) * side, height)
        first = 0
        while first < columns:
            last = first + 1
            shift = motion.shifts[row, first]
            while last < columns and (motion.shifts[row, last] == shift).all():
                last += 1
            left, right = first * side, min(last * side, width)
            out[top:bottom, left:right] = _shifted(picture, top, left, bottom, right, shift)
            first = last
    return out


def moved_blocks(blocks: np.ndarray, motion: Motion, scale: int) -> np.ndarray:
    """A reduced picture moved alike, to the nearest block."""
    if motion.still:
        return blocks
    x, y = _block_places(motion.shifts / scale, blocks.shape)
    return cv2.remap(blocks, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


def outside(motion: Motion, shape: tuple[int, ...], scale: int) -> np.ndarray:
    """Which blocks came from outside the picture, bool, shape (h, w)."""
    x, y = _block_places(motion.shifts / scale, shape)
    height, width = shape[:2]
    margin = 0.25
    return (
        (x < -margin) | (y < -margin) | (x > width - 1 + margin) | (y > height - 1 + margin)
    )


def _shifted(
    picture: np.ndarray, top: int, left: int, bottom: int, right: int, shift: np.ndarray
) -> np.ndarray:
    """picture[top:bottom, left:right], taken from `shift` away."""
    whole = np.floor(shift).astype(int)
    part = shift - whole
    margin = _REACH if part.any() else 0
    height, width = picture.shape[:2]
    y0, y1 = top + whole[1] - margin, bottom + whole[1] + margin
    x0, x1 = left + whole[0] - margin, right + whole[0] + margin
    if 0 <= y0 and y1 <= height and 0 <= x0 and x1 <= width:
        piece = picture[y0:y1, x0:x1]
    else:
        y0, y1, x0, x1 = (
            int(np.clip(v, low, high))
            for v, low, high in (
                (y0, -height, 2 * height),
                (y1, -height, 2 * height),
                (x0, -width, 2 * width),
                (x1, -width, 2 * width),
            )
        )
        inner = picture[
            min(max(y0, 0), height - 1) : max(min(y1, height), 1),
            min(max(x0, 0), width - 1) : max(min(x1, width), 1),
        ]
        up = max(min(-y0, y1 - y0 - 1), 0)
        back = max(min(-x0, x1 - x0 - 1), 0)
        piece = cv2.copyMakeBorder(
            inner,
            up,
            (y1 - y0) - inner.shape[0] - up,
            back,
            (x1 - x0) - inner.shape[1] - back,
            cv2.BORDER_REPLICATE,
        )
    if not margin:
        return piece
    done = cv2.sepFilter2D(piece, -1, _sinc(float(part[0])), _sinc(float(part[1])))
    return done[margin:-margin, margin:-margin]


def _sinc(part: float) -> np.ndarray:
    """A Lanczos filter of four lobes that takes the value `part` of a pixel further."""
    if part == 0:
        return np.ones(1, np.float32)
    places = np.arange(-_REACH, _REACH + 1) - part
    weights = np.sinc(places) * np.sinc(places / _REACH) * (np.abs(places) < _REACH)
    return (weights / weights.sum()).astype(np.float32)


def _as_bytes(picture: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(picture)


def _tiled(values: np.ndarray) -> np.ndarray:
    """Shape (h, w, ...) as (rows, TILE, columns, TILE, ...), with its border repeated."""
    height, width = values.shape[:2]
    values = cv2.copyMakeBorder(
        values, 0, -height % TILE, 0, -width % TILE, cv2.BORDER_REPLICATE
    )
    rows, columns = values.shape[0] // TILE, values.shape[1] // TILE
    return values.reshape(rows, TILE, columns, TILE, *values.shape[2:])


def _tile_mean(values: np.ndarray) -> np.ndarray:
    return _tiled(values).mean(axis=(1, 3))


def _median_of_tiles(found: np.ndarray) -> np.ndarray:
    tiles = _tiled(found)[:, ::2, :, ::2]
    rows, _, columns = tiles.shape[:3]
    return np.median(tiles.transpose(0, 2, 1, 3, 4).reshape(rows, columns, -1, 2), axis=2)


def _refined(before: np.ndarray, now: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """One step of Lucas and Kanade for each tile."""
    moved = _moved_by_blocks(before, tiles)
    x = cv2.Sobel(moved, cv2.CV_32F, 1, 0, scale=1 / 8)
    y = cv2.Sobel(moved, cv2.CV_32F, 0, 1, scale=1 / 8)
    rest = now - moved
    products = _tile_mean(np.stack([x * x, x * y, y * y, x * rest, y * rest], axis=2))
    xx, xy, yy, xr, yr = np.moveaxis(products, 2, 0)
    xx, yy = xx + 0.5, yy + 0.5
    determinant = xx * yy - xy * xy
    step = np.stack([yy * xr - xy * yr, xx * yr - xy * xr], axis=2) / determinant[..., None]
    return tiles + np.clip(step, -0.5, 0.5)


def _motion_of_camera(tiles: np.ndarray) -> np.ndarray:
    """The motion of most tiles, a linear function of the place."""
    rows, columns = tiles.shape[:2]
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    terms = np.stack([np.ones(rows * columns), x.ravel() / columns, y.ravel() / rows], axis=1)
    values = tiles.reshape(-1, 2)
    middle = np.median(values, axis=0)
    fitted = np.broadcast_to(middle, values.shape)
    width = 0.5
    for _ in range(5 if rows * columns >= 12 else 0):
        away = np.abs(values - fitted).max(axis=1)
        weights = 1 / (1 + (away / width) ** 2) ** 2
        scaled = terms * weights[:, None]
        fitted = terms @ np.linalg.lstsq(scaled.T @ terms, scaled.T @ values, rcond=None)[0]
        width = max(width / 1.5, 0.1)
    mean = fitted.mean(axis=0)
    if np.abs(fitted - mean).max() < 0.06:
        fitted = np.broadcast_to(mean, fitted.shape)
    return fitted.reshape(tiles.shape)


def _moved_by_blocks(picture: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    x, y = _block_places(tiles, picture.shape)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _block_places(tiles: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    height, width = shape[:2]
    wide = np.repeat(np.repeat(tiles, TILE, axis=0), TILE, axis=1)[:height, :width]
    x = wide[..., 0] + np.arange(width)
    y = wide[..., 1] + np.arange(height)[:, None]
    return x.astype(np.float32), y.astype(np.float32)
