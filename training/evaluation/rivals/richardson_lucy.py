"""Deconvolution by Richardson and Lucy, for a known kernel.

W. Richardson, Bayesian-Based Iterative Method of Image Restoration, 1972; L. Lucy, An iterative
technique for the rectification of observed distributions, 1974. The number of iterations is the
only regularisation; it needs no noise level.
"""

from __future__ import annotations

import numpy as np
import torch

from hyperguide.training.deconvolution import crop, pad_for, taper, transfer_function

from .planes import to_kernel, to_picture, to_planes

# As many as MATLAB's deconvlucy does unless told otherwise. More of them amplify the noise.
ITERATIONS = 10

# Light is positive, but noise is not.
_LEAST = 1e-6


def richardson_lucy(
    observed: np.ndarray, kernel: np.ndarray | None, iterations: int = ITERATIONS
) -> np.ndarray:
    """Restore a picture, each plane by itself, in float64:

        x' = x conj(k) * (y / (k * x)),      x = y at first.

    Pads by half a kernel and applies edgetaper three times first.

    observed: y, shape (H, W) or (H, W, C), full scale = 1; values below 0 count as 0.
    kernel: shape (kh, kw), odd sides, sum 1; None for no blur.
    """
    blur = to_kernel(kernel)
    margins = pad_for(blur, *observed.shape[:2])
    padded = taper(to_planes(observed), blur).clamp(min=_LEAST)
    size = padded.shape[2:]
    transfer = transfer_function(blur, *size)
    estimate = padded
    for _ in range(iterations):
        blurred = torch.fft.irfft2(transfer * torch.fft.rfft2(estimate), s=size)
        ratio = padded / blurred.clamp(min=_LEAST)
        correction = torch.fft.irfft2(transfer.conj() * torch.fft.rfft2(ratio), s=size)
        estimate = estimate * correction.clamp(min=0)
    return to_picture(crop(estimate, margins), observed.shape)
