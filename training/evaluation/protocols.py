"""Scoring of restored pictures by the published protocols, which differ by up to 2 dB.

All take the restored and the clean picture, shape (H, W) or (H, W, 3) in [0, 1], and compute in
float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hyperguide.psnr import psnr
from hyperguide.training.metrics import matlab_y, picture_ssim


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
}
