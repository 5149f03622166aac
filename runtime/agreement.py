"""Whether a frame shows what the average of frames before it shows, but for noise."""

from __future__ import annotations

import cv2
import numpy as np

# Side of the blocks that are compared, in pixels.
BLOCK = 4
# Sides of the squares of blocks whose mean colours are compared, and how many times the variance
# of noise the squared difference may be: for pictures of three channels, and of one.
_MEANS = ((1, 5.0, 9.8), (3, 3.0, 4.8), (5, 3.0, 4.8), (15, 3.0, 4.8))
# Sides of the squares whose energy of differences is compared, and how many times that of noise it
# may be, for three channels. What one square shows is not counted again in the larger ones.
_ENERGIES = ((3, 1.2), (9, 1.1), (15, 1.06))
# Median of the mean of three squared normal numbers, and of one.
_MEDIAN, _MEDIAN_GRAY = 0.789, 0.455
# The factors of coarse noise: how much they may grow from a square to the next, their bound, from
# where on noise is called coarse, and the share of each new measurement.
_ALIKE, _COARSEST, _COARSE, _PACE = 1.35, 16.0, 1.5, 0.3
# The energy of coarse noise varies more: the excess may be larger by the factor of the second
# squares, but not by more than this.
_ROUGHEST = 4.0
# Mean absolute value of a normal distribution of deviation 1, sqrt(2 / pi).
_MEAN_ABSOLUTE = 0.798


def energy_of_blocks(differences: np.ndarray) -> np.ndarray:
    """The mean squared difference around each block; float32, shape (h, w).

    differences: means of absolute differences in blocks, uint8, shape (h, w) or (h, w, C).
    """
    side = _ENERGIES[0][0]
    means = _mean_of_channels(differences.astype(np.float32))
    means = cv2.blur(means, (side, side)) * (1 / _MEAN_ABSOLUTE)
    return cv2.multiply(means, means)


class Agreement:
    """Tells motion from noise.

    What is left of white noise in the mean of a square falls with its area. Noise of cameras and
    compressed video is coarser: more is left, by a factor that does not grow from one large square
    to the next. What motion leaves does grow. So the factors are learned from frames in which they
    hardly grow.

    factors: float32, for the squares of each side.
    """

    def __init__(self) -> None:
        self.factors = np.ones(len(_MEANS), np.float32)

    def bias(
        self, frame: np.ndarray, average: np.ndarray, energy: np.ndarray, variance: np.ndarray
    ) -> np.ndarray:
        """The squared difference that noise does not explain around each block; float32, (h, w).

        frame, average: means of blocks, uint8, shape (h, w) or (h, w, C).
        energy: of `energy_of_blocks`.
        variance: of the noise of a pixel's difference.
        """
        difference = cv2.subtract(frame, average, dtype=cv2.CV_32F)
        if difference.ndim == 3 and (difference[..., :1] == difference).all():
            difference = np.ascontiguousarray(difference[..., 0])  # a gray picture in colour
        channels = 1 if difference.ndim == 2 else difference.shape[2]
        bias = np.zeros_like(energy)
        medians = []
        for (side, for_color, for_gray), factor in zip(_MEANS, self.factors, strict=True):
            means = cv2.blur(difference, (side, side)) if side > 1 else difference
            squares = _mean_of_channels(cv2.multiply(means, means))
            share = 1 / (side * BLOCK) ** 2
            limit = (for_gray if channels == 1 else for_color) * share * float(factor)
            bias = cv2.max(bias, cv2.scaleAdd(variance, -limit, squares))
            medians.append(np.median(squares[::4, ::4] / (variance[::4, ::4] * share + 1e-6)))
        self._learn(np.array(medians, np.float32) / (_MEDIAN_GRAY if channels == 1 else _MEDIAN))
        rough = min(float(self.factors[1]), _ROUGHEST) * (3 / channels) ** 0.5
        limits = [1 + (limit - 1) * rough for _, limit in _ENERGIES]
        bias = cv2.max(bias, cv2.scaleAdd(variance, -limits[0], energy))
        unseen = (bias <= 0).astype(np.float32)
        ratios = np.minimum(cv2.divide(energy, variance), 2) * unseen
        for (side, _), limit in zip(_ENERGIES[1:], limits[1:], strict=True):
            total = cv2.blur(unseen, (side, side)) + np.float32(1e-3)
            mean = cv2.divide(cv2.blur(ratios, (side, side)), total)
            bias = cv2.max(bias, (mean - np.float32(limit)) * variance)
        return cv2.dilate(bias, np.ones((3, 3), np.uint8))

    @property
    def coarse(self) -> bool:
        """Whether the noise is coarser than white noise."""
        return bool(self.factors[-1] > _COARSE)

    def _learn(self, found: np.ndarray) -> None:
        alike = bool((found[2:] < _ALIKE * found[1:-1]).all())
        target = found.clip(1, _COARSEST) if alike else np.ones_like(found)
        self.factors = self.factors + np.float32(_PACE) * (target - self.factors)


def reduced(picture: np.ndarray) -> np.ndarray:
    """The mean of each block."""
    size = picture.shape[1], picture.shape[0]
    for factor in (2, 4):  # OpenCV is twice as fast at halving twice
        half = size[0] // factor, size[1] // factor
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    return picture


def _mean_of_channels(picture: np.ndarray) -> np.ndarray:
    if picture.ndim == 2:
        return picture
    channels = picture.shape[2]
    return cv2.transform(picture, np.full((1, channels), 1 / channels, np.float32))
