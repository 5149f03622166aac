"""The noise level as a function of brightness, learned from frame to frame."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

_BINS = 16
# Blocks at which a bin counts as much as the whole picture.
_TRUSTED = 20
# Fewer blocks than this teach nothing.
_FEWEST = 64
# Share of each new measurement.
_PACE = 0.2


class NoiseCurve:
    """The standard deviation of noise at each brightness, in [0, 255].

    Camera noise depends on the brightness, and what is clipped at black and white varies less.
    levels: float32, 256 values, or None as long as nothing is known.
    """

    def __init__(self) -> None:
        self.levels: np.ndarray | None = None

    def at(self, brightness: np.ndarray) -> np.ndarray:
        """The levels of blocks; brightness: uint8."""
        assert self.levels is not None
        return cv2.LUT(brightness, self.levels)

    def learn(self, measured: np.ndarray, brightness: np.ndarray, percentile: float) -> None:
        """Follow measurements of blocks.

        measured: levels, shape (blocks,).
        brightness: of the same blocks, uint8.
        percentile: which of the measurements of a bin is its level.
        """
        if len(measured) < _FEWEST:
            return
        whole = np.percentile(measured, percentile)
        levels = np.full(_BINS, whole)
        bins = brightness // (256 // _BINS)
        order = np.argsort(bins, kind="stable")
        ends = np.cumsum(np.bincount(bins, minlength=_BINS))
        for i, members in enumerate(np.split(measured[order], ends[:-1])):
            if len(members):
                level = np.percentile(members, percentile)
                trust = len(members) / (len(members) + _TRUSTED)
                levels[i] += trust * (level - whole)
        middles = (np.arange(_BINS) + 0.5) * (256 / _BINS) - 0.5
        new = np.interp(np.arange(256), middles, levels).astype(np.float32)
        old = new if self.levels is None else self.levels
        self.levels = old + np.float32(_PACE) * (new - old)


def unclipped_means(level: float) -> np.ndarray:
    """The values whose noisy and clipped copies have the means 0 to 255; float32, 256 values.

    Averaged frames are too bright near black and too dark near white, because noise is cut off
    there: the mean of a normal distribution that is clipped at both ends is inverted.
    level: standard deviation, in [0, 255].
    """
    return _unclipped_means(max(round(level, 1), 0.1))


@lru_cache(maxsize=16)
def _unclipped_means(level: float) -> np.ndarray:
    values = np.arange(0, 255.5, 0.5)
    low, high = -values / level, (255 - values) / level
    within = _cumulative(high) - _cumulative(low)
    means = values * within + level * (_density(low) - _density(high))
    means += 255 * (1 - _cumulative(high))
    return np.interp(np.arange(256), means, values).astype(np.float32)


def _density(places: np.ndarray) -> np.ndarray:
    return np.exp(-(places**2) / 2) / math.sqrt(2 * math.pi)


def _cumulative(places: np.ndarray) -> np.ndarray:
    return np.array([math.erfc(-place / math.sqrt(2)) / 2 for place in places])
