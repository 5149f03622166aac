"""Frames are averaged where nothing moves, and a map says how much noise is left."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from .agreement import BLOCK, Agreement, energy_of_blocks, reduced
from .arrays import as_numpy, in_native_order
from .errors import HyperguideError
from .motion import MotionSearch
from .noise_curve import NoiseCurve, unclipped_means
from .pixels import full_scale, layout_of
from .stillness import CUT

__all__ = ["MIX", "TemporalAverage", "blended"]

# `guidance_mix` for the map of `TemporalAverage`: the network's own estimate has a say.
MIX = 0.8

# Noise below this level is left to the network.
_QUIET = 2.0
# How much an unexplained difference counts against the frames before it.
_CAUTION = 4.0
# Below so many frames, those before are forgotten.
_FORGOTTEN = 0.25
# An average of up to 2 frames is not used yet, one of 4 and more is: motion that one frame hides in
# its noise shows after some more.
_TESTED = (2.0, 4.0)
# Percentiles at which maps and differences of frames are read. Texture raises some values of maps;
# differences are read only where they were small.
_OF_MAPS, _OF_DIFFERENCES = 60, 40
# About how many blocks of a frame are read.
_SAMPLES = 6000
# A map is read where no average was used within so many blocks: networks look that far around.
_AROUND = 9


@dataclass(frozen=True)
class _Past:
    """What is known of the frames so far. H, W: padded to whole blocks; h, w: blocks.

    average: float32, shape (H, W) or (H, W, C), in [0, 255]; the next frame is written into it.
    blocks: its mean in each block, uint8.
    count: number of frames averaged in each block, float32, (h, w).
    size: height and width of the frames.
    used: share of the last frame in the picture that was given out, (h, w).
    noise: the map that was given out with it, in [0, 255]; empty if none was.
    """

    average: np.ndarray
    blocks: np.ndarray
    count: np.ndarray
    size: np.ndarray
    used: np.ndarray
    noise: np.ndarray


class TemporalAverage:
    """Averages the frames of a video where nothing moves, or after undoing the motion.

    The network then has less noise to remove, and the map tells it how much: sigma / sqrt(n) after
    n frames.

        temporal = TemporalAverage()
        for frame in frames:
            picture, noise = temporal(frame)
            if noise is None:
                result = enhancer(picture)
            else:
                result = enhancer(picture, guidance=noise, guidance_mix=MIX)
            temporal.learn(result.guidance)
            show(blended(frame, result.image, strength))

    How it works:

    - The average so far is moved as the picture moves: one shift for each tile of 64 pixels, found
      on a reduced picture. Shifts by whole pixels blur nothing; others use a Lanczos filter.
    - Frame and average are compared in blocks, and in larger squares of them: mean colours, and
      the energy of their difference. The excess over what noise of level sigma * sqrt(1 + 1 / n)
      would give is a bias b of the average. It lowers the count: 1 / n becomes
      1 / n + 4 b^2 / sigma^2, as in a Kalman filter whose state has moved. Then the frame is
      averaged in with weight 1 / (n + 1).
    - A new average is used only when it has passed this test with several frames.
    - sigma is a function of brightness. It comes from the maps that the network finds where no
      average was used, and from the differences of frames where nothing moves.
    - Noise is clipped at black and white, which makes averages too gray: the average is corrected
      by the inverse of a clipped normal distribution's mean.
    - After a cut, or when the form of the frames changes, it starts anew. Where the level is below
      2/255, pictures are left as they are.

    Other dials of a call:

    - strength: whoever turns it down wants to see more of the *frame*, and at 0 the frame itself.
      So call the enhancer at strength 1 and use `blended`. At strength 0 it need not be called.
    - guidance: a map of the frame's noise level that the user gives replaces sigma; pass it as
      `noise_level`.
    - guidance_scale: as in any call; it scales the map that is given out here.

    limit: how many frames count at most. More make the average slower to follow small changes of
        light, and the result hardly better.
    motion: whether to look for motion. Without it, averages are made only where nothing moves.
    """

    def __init__(self, limit: int = 32, motion: bool = True) -> None:
        if limit < 1:
            raise HyperguideError(
                f"The number of frames to average must be at least 1, not {limit}."
            )
        self.limit = limit
        self._search = MotionSearch() if motion else None
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._past: _Past | None = None
        self._spare: np.ndarray | None = None  # memory for the next average
        self._curve = NoiseCurve()
        self._agreement = Agreement()

    def __call__(
        self, frame: Any, noise_level: float | np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Average the next frame with those before.

        frame: a picture as in `Enhancer.__call__`, not a batch.
        noise_level: of the frame, if known, full scale = 1: a number, or an array of shape (H, W).
        Returns the picture to enhance, of the frame's shape and type, alpha included; and the
        standard deviation of its noise, full scale = 1, float32, shape (H, W). If that is None,
        the picture is the frame itself, and its noise is not known better than the network can
        tell.
        Raises HyperguideError for batches, unusable pictures, NaN and infinity.
        """
        given = as_numpy(frame)
        frame = in_native_order(given)
        layout = layout_of(frame)
        if layout.batched:
            raise HyperguideError("Frames are averaged one after the other, not as a batch.")
        pixels = layout.pixels(frame)[0][..., : layout.color]
        values = _in_levels(pixels[..., 0] if layout.color == 1 else pixels)
        height, width = pixels.shape[:2]
        picture = self._averaged(values, (height, width), noise_level)
        if picture is None:
            return given, None
        assert self._past is not None
        noise = cv2.resize(self._past.noise / 255, values.shape[1::-1])
        picture = picture[:height, :width]
        noise = np.ascontiguousarray(noise[:height, :width])
        if layout.dtype == np.uint8 and not layout.alpha:
            return np.ascontiguousarray(picture).reshape(given.shape), noise
        if layout.dtype != np.uint8:
            picture = picture * np.float32(full_scale(layout.dtype) / 255)
        if layout.dtype == np.uint16:
            picture = np.rint(picture).clip(0, 65535)
        out = np.empty(given.shape, given.dtype)
        planes = layout.pixels(out)[0]
        planes[..., : layout.color] = picture.reshape(height, width, layout.color)
        planes[..., layout.color :] = layout.pixels(frame)[0][..., layout.color :]
        return out, noise

    def learn(self, guidance: np.ndarray | None) -> None:
        """Learn the noise level from the map of the last picture.

        guidance: `Result.guidance` of a call with the picture, and with the map at MIX if there was
            one. None teaches nothing.
        """
        past = self._past
        if guidance is None or past is None:
            return
        if tuple(past.size) != guidance.shape:
            height, width = past.size
            raise HyperguideError(
                f"The map has shape {guidance.shape}, but the frame is {height} x {width}."
            )
        found = reduced(_padded(np.asarray(guidance, np.float32) * 255))
        if past.noise.size:
            found = (found - MIX * past.noise) / (1 - MIX)
        averaged = (past.used < 0.9).astype(np.uint8)
        fresh = cv2.dilate(averaged, np.ones((_AROUND, _AROUND), np.uint8)) == 0
        self._learn(found, fresh, past.blocks, _OF_MAPS)

    def state(self) -> dict[str, np.ndarray]:
        """What `restore` needs to go on from here."""
        past = {} if self._past is None else vars(self._past)
        state = {name: values.copy() for name, values in past.items()}
        state["factors"] = self._agreement.factors
        if self._curve.levels is not None:
            state["curve"] = self._curve.levels
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state."""
        self.reset()
        rest = {name: values.copy() for name, values in state.items()}
        self._curve.levels = rest.pop("curve", None)
        self._agreement.factors = rest.pop("factors", self._agreement.factors)
        self._past = _Past(**rest) if rest else None

    def _averaged(
        self, values: np.ndarray, size: tuple[int, int], noise_level: float | np.ndarray | None
    ) -> np.ndarray | None:
        """The picture to enhance, in [0, 255], of the type of `values`; None if it is the frame."""
        bytes_ = values if values.dtype == np.uint8 else cv2.convertScaleAbs(np.maximum(values, 0))
        blocks = reduced(bytes_)
        past = self._past
        known = noise_level is not None or self._curve.levels is not None
        if past is None or not known or not _continues(past, values, blocks, size):
            self.reset()
            self._past = _started(values, blocks, size)
            return None
        if noise_level is None:
            assert self._curve.levels is not None
            if self._curve.levels.max() < _QUIET:
                self._past = _started(values, blocks, size)
                return None
        past = self._moved(past, blocks, noise_level)
        past, differences = _compared(past, bytes_)
        sigma = self._sigma(past.blocks, noise_level)
        count = np.maximum(past.count, np.float32(0.05))
        spread = 1 + 1 / count
        energy = energy_of_blocks(differences)
        variance = (sigma * sigma + np.float32(1e-3)) * spread
        bias = self._agreement.bias(blocks, past.blocks, energy, variance)
        kept = 1 / (1 / count + _CAUTION * bias / (sigma * sigma + 1e-6))
        kept[(kept < _FORGOTTEN) | (past.count == 0) | (sigma < _QUIET)] = 0
        if noise_level is None:
            agree = (past.count >= 2) & (kept > 0.5 * past.count)
            if self._agreement.coarse:  # maps show less than there is
                agree |= past.count > 0
            self._learn(np.sqrt(energy / spread), agree, past.blocks, _OF_DIFFERENCES)
        count = np.minimum(kept + 1, np.float32(self.limit))
        share = np.clip((kept - _TESTED[0]) / (_TESTED[1] - _TESTED[0]), 0, 1)
        used = 1 / (1 + np.minimum(kept, self.limit - 1) * share)
        none = bool(used.min() == 1)
        left = np.sqrt(used**2 + (1 - used) ** 2 / np.maximum(kept, 1))
        noise = np.zeros((0, 0), np.float32) if none else sigma * left
        self._past = replace(past, count=count, used=used, noise=noise)
        level = float(np.percentile(sigma[::4, ::4], 75))
        clipped = blocks.min() < 2 * level or blocks.max() > 255 - 2 * level
        means = unclipped_means(level) if clipped else None
        return _mixed(values, past.average, 1 / count, None if none else used, means)

    def _moved(
        self, past: _Past, blocks: np.ndarray, noise_level: float | np.ndarray | None
    ) -> _Past:
        if self._search is None:
            return past
        noise = float(np.median(self._sigma(past.blocks, noise_level)[::4, ::4]))
        motion = self._search(_gray(past.blocks), _gray(blocks), 1.2 * noise / BLOCK, BLOCK)
        if motion.still:
            return past
        if self._spare is None or self._spare.shape != past.average.shape:
            self._spare = np.empty_like(past.average)
        moved, self._spare = self._spare, past.average
        motion.applied(past.average, into=moved)
        count = motion.applied_to_reduced(past.count, outside=0)
        return replace(past, average=moved, count=count)

    def _sigma(self, blocks: np.ndarray, noise_level: float | np.ndarray | None) -> np.ndarray:
        """The noise level of each block, in [0, 255]."""
        if noise_level is None:
            return self._curve.at(_brightness(blocks))
        levels = np.asarray(noise_level, np.float32) * 255
        if levels.ndim == 0:
            return np.full(blocks.shape[:2], levels, np.float32)
        return cv2.resize(levels, blocks.shape[1::-1], interpolation=cv2.INTER_AREA)

    def _learn(
        self, levels: np.ndarray, where: np.ndarray, blocks: np.ndarray, percentile: float
    ) -> None:
        step = max(round(math.sqrt(where.size / _SAMPLES)), 1)
        some = (slice(None, None, step), slice(None, None, step))
        mask = where[some]
        self._curve.learn(levels[some][mask], _brightness(blocks)[some][mask], percentile)


def blended(
    frame: np.ndarray, enhanced: np.ndarray, strength: float | np.ndarray = 1.0
) -> np.ndarray:
    """The frame at strength 0, bit for bit; the enhanced picture at 1; in between, a blend.

    strength: a number, or an array of shape (H, W).
    """
    strength = np.asarray(strength, np.float32)
    if (strength == 1).all():
        return enhanced
    if not strength.any():
        return frame.copy()
    if strength.ndim == 2 and frame.ndim == 3:
        strength = strength[..., None]
    top = full_scale(frame.dtype)
    before = frame.astype(np.float32)
    mixed = (before + strength * (enhanced.astype(np.float32) - before)).clip(0, top)
    if frame.dtype.kind == "u":
        mixed = np.rint(mixed)
    return np.where(strength == 0, frame, mixed.astype(frame.dtype))


def _started(values: np.ndarray, blocks: np.ndarray, size: tuple[int, int]) -> _Past:
    """After the first frame."""
    ones = np.ones(blocks.shape[:2], np.float32)
    nothing = np.zeros((0, 0), np.float32)
    return _Past(values.astype(np.float32), blocks, ones, np.array(size), ones, nothing)


def _continues(past: _Past, values: np.ndarray, blocks: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether a frame shows the same scene as the frames before."""
    if past.average.shape != values.shape or tuple(past.size) != size:
        return False
    return cv2.norm(blocks, past.blocks, cv2.NORM_L1) / blocks.size < 255 * CUT


def _in_levels(pixels: np.ndarray) -> np.ndarray:
    """Padded to whole blocks; bytes as they are, others as float32 in [0, 255]."""
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(np.float32) * np.float32(255 / full_scale(pixels.dtype))
        if not np.isfinite(pixels).all():
            raise HyperguideError("The picture contains NaN or infinity.")
    return _padded(pixels)


def _padded(picture: np.ndarray) -> np.ndarray:
    """With whole blocks; the border is repeated."""
    down, right = -picture.shape[0] % BLOCK, -picture.shape[1] % BLOCK
    if not down and not right:
        return np.ascontiguousarray(picture)
    return cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE)


def _compared(past: _Past, frame: np.ndarray) -> tuple[_Past, np.ndarray]:
    """With its blocks; and the mean absolute difference from a frame, uint8, of each block."""
    blocks = np.empty_like(past.blocks)
    differences = np.empty_like(blocks)
    for rows, of_blocks in _strips(past.average):
        average = cv2.convertScaleAbs(past.average[rows])
        blocks[of_blocks] = reduced(average)
        differences[of_blocks] = reduced(cv2.absdiff(frame[rows], average))
    return replace(past, blocks=blocks), differences


def _mixed(
    frame: np.ndarray,
    average: np.ndarray,
    fresh: np.ndarray,
    used: np.ndarray | None,
    means: np.ndarray | None,
) -> np.ndarray | None:
    """Mix a frame into the average, and return the picture to enhance, of the frame's type.

    fresh: share of the frame in the new average, shape (h, w).
    used: share of the frame in the picture; the rest is the old average. None for no picture.
    means: of `unclipped_means`, to correct the old average in the picture; None for no correction.
    """
    picture = None if used is None else np.empty_like(frame)
    for rows, _ in _strips(average):
        strip = frame[rows].astype(np.float32)
        if picture is not None and used is not None:
            before = average[rows]
            if means is not None:
                before = cv2.LUT(cv2.convertScaleAbs(before), means)
            share = _enlarged(used, rows, average.shape)
            mixed = cv2.blendLinear(strip, before, share, 1 - share)
            if frame.dtype == np.uint8:
                cv2.convertScaleAbs(mixed, picture[rows])
            else:
                picture[rows] = mixed
        share = _enlarged(fresh, rows, average.shape)
        cv2.blendLinear(strip, average[rows], share, 1 - share, average[rows])
    return picture


def _strips(picture: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Rows of a picture, and of its blocks, that fit into the processor's cache."""
    step = 64
    for first in range(0, len(picture), step):
        last = min(first + step, len(picture))
        yield slice(first, last), slice(first // BLOCK, last // BLOCK)


def _enlarged(blocks: np.ndarray, rows: slice, shape: tuple[int, ...]) -> np.ndarray:
    """Some rows of blocks interpolated to the size of a picture."""
    first = max(rows.start // BLOCK - 1, 0)
    last = min(rows.stop // BLOCK + 1, len(blocks))
    enlarged = cv2.resize(blocks[first:last], (shape[1], (last - first) * BLOCK))
    return enlarged[rows.start - first * BLOCK : rows.stop - first * BLOCK]


def _gray(blocks: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(blocks, cv2.COLOR_RGB2GRAY) if blocks.ndim == 3 else blocks


def _brightness(blocks: np.ndarray) -> np.ndarray:
    return cv2.blur(_gray(blocks), (3, 3))
