"""Scoring of restored pictures by the published protocols, which differ by up to 2 dB.

All take the restored and the clean picture, shape (H, W) or (H, W, 3) in [0, 1], and compute in
float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.psnr import psnr
from hyperguide.training.metrics import matlab_y, picture_ssim

# From comp_upto_shift.m of Levin et al. 2009, which tries all shifts in steps of a quarter pixel;
# here only those around the best whole one.
_ALIGNED_MARGIN = 15
_MOST_SHIFT = 5


@dataclass(frozen=True)
class Score:
    """PSNR in dB (infinite for equal pictures) and SSIM of one picture."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class ScoringProtocol:
    """A scoring method.

    about: what it does with the output, in one line.
    score: (restored, clean, border) -> Score; `border` is the spoilt width on each side, which
        only `levin` cuts off.
    """

    about: str
    score: Callable[[np.ndarray, np.ndarray, int], Score]


def _y_matlab(restored: np.ndarray, clean: np.ndarray, border: int) -> Score:
    # Truncate in float32, as the authors' `np.uint8(255 * out)` does: in float64, not all 8-bit
    # values divided by 255 would round-trip.
    full = np.float32(255)
    files = (
        (restored.astype(np.float32).clip(0, 1) * full).astype(np.uint8),
        np.rint(clean * 255).astype(np.uint8),
    )
    # The authors' script converts files to double before rgb2ycbcr (statistic_rain100L.m), so Y
    # is not rounded. Rounding would cost 0.06 dB at 37 dB.
    y, true = (matlab_y(file) for file in files)
    return Score(psnr(y, true, 255), picture_ssim(y, true, 255))


def _rgb(restored: np.ndarray, clean: np.ndarray, border: int) -> Score:
    clipped = restored.astype(np.float64).clip(0, 1)
    return Score(psnr(clipped, clean, 1), picture_ssim(clipped, clean))


def _levin(restored: np.ndarray, clean: np.ndarray, border: int) -> Score:
    height, width = clean.shape[:2]
    inside = slice(border, height - border), slice(border, width - border)
    return _rgb(restored[inside], clean[inside], 0)


def _levin_aligned(restored: np.ndarray, clean: np.ndarray, border: int) -> Score:
    inner = slice(_ALIGNED_MARGIN, -_ALIGNED_MARGIN)
    true = clean[inner, inner]
    if not true.size:
        raise HyperguideError(
            f"The protocol levin-aligned is for pictures of more than {2 * _ALIGNED_MARGIN} pixels."
        )
    clipped = restored.astype(np.float64).clip(0, 1)

    def error(down: float, right: float) -> float:
        return float(np.mean((_shifted(clipped, down, right) - true) ** 2))

    whole = range(-_MOST_SHIFT, _MOST_SHIFT + 1)
    row, column = min(product(whole, whole), key=lambda shift: error(*shift))
    parts = [part / 4 for part in range(-3, 4)]
    near = [(row + down, column + right) for down, right in product(parts, parts)]
    near = [shift for shift in near if max(map(abs, shift)) <= _MOST_SHIFT]
    return _rgb(_shifted(clipped, *min(near, key=lambda shift: error(*shift))), true, 0)


def _shifted(picture: np.ndarray, down: float, right: float) -> np.ndarray:
    """The inner part of a picture, moved by a part of a pixel with linear interpolation."""
    for axis, shift in enumerate((down, right)):
        first, share = int(np.floor(shift)), shift % 1
        places = np.arange(_ALIGNED_MARGIN, picture.shape[axis] - _ALIGNED_MARGIN) + first
        picture = (1 - share) * picture.take(places, axis) + (
            share * picture.take(places + 1, axis) if share else 0
        )
    return picture


PROTOCOLS = {
    "y-matlab": ScoringProtocol(
        "output clipped and truncated to 8 bits; Y of MATLAB's rgb2ycbcr (PReNet's protocol)",
        _y_matlab,
    ),
    "rgb": ScoringProtocol(
        "float output clipped to [0, 1]; PSNR over all planes, SSIM averaged over planes",
        _rgb,
    ),
    "levin": ScoringProtocol(
        "float output clipped to [0, 1], half a kernel cut off each side; SSIM of data range 1",
        _levin,
    ),
    "levin-aligned": ScoringProtocol(
        "float output clipped to [0, 1] and moved by up to 5 pixels to where it fits best; 15 "
        "pixels cut off each side (Levin et al. 2009)",
        _levin_aligned,
    ),
}
