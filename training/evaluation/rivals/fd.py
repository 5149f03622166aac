"""Fast deconvolution with a hyper-Laplacian prior, FD.

D. Krishnan, R. Fergus, Fast Image Deconvolution using Hyper-Laplacian Priors, NIPS 2009:

    x = argmin_x  lambda / 2 |k * x - y|^2 + sum |d x|^(2/3),

where d are the horizontal and vertical differences. It must be told the kernel, but no noise level.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hyperguide.training.deconvolution import crop, edgetaper, pad_for, transfer_function

from .planes import to_kernel, to_picture, to_planes

# The authors' settings in test_fast_deconv.m, for full scale 1 and 1 % noise, except for the
# exponent: 1/2 there, while the paper treats both.
DATA_WEIGHT = 2e3
_TAPERS = 4
# beta, which ties the auxiliary differences to those of the picture, grows from 1 to below 256.
_BETAS = tuple((2 * 2**0.5) ** step for step in range(6))

_DIFFERENCES = (np.array([[1.0, -1.0, 0.0]]), np.array([[1.0], [-1.0], [0.0]]))

# Newton's method starts above the root and doubles its digits in each step.
_NEWTON_STEPS = 8


def fd(
    observed: np.ndarray, kernel: np.ndarray | None, data_weight: float = DATA_WEIGHT
) -> np.ndarray:
    """Restore a picture, each plane by itself, in float64.

    Pads by half a kernel and applies edgetaper four times, then alternates between the differences
    and the picture (Eqs. 4 and 5 of the paper), once for each beta.

    observed: y, shape (H, W) or (H, W, C), full scale = 1.
    kernel: shape (kh, kw), odd sides, sum 1; None for no blur.
    data_weight: lambda.
    """
    blur = to_kernel(kernel)
    planes = to_planes(observed)
    margins = pad_for(blur, *planes.shape[2:])
    estimate = edgetaper(torch.nn.functional.pad(planes, margins, mode="replicate"), blur, _TAPERS)
    size = estimate.shape[2:]
    transfer = transfer_function(blur, *size)
    data, power = transfer.conj() * torch.fft.rfft2(estimate), transfer.abs().square()
    differences = [transfer_function(to_kernel(taps), *size) for taps in _DIFFERENCES]
    for beta in _BETAS:
        spectrum = torch.fft.rfft2(estimate)
        above, below = data, power
        for difference in differences:
            values = torch.fft.irfft2(difference * spectrum, s=size)
            shrunk = torch.fft.rfft2(shrink(values, beta))
            above = above + beta / data_weight * difference.conj() * shrunk
            below = below + beta / data_weight * difference.abs().square()
        estimate = torch.fft.irfft2(above / below, s=size)
    return to_picture(crop(estimate, margins), observed.shape)


def shrink(values: Tensor, beta: float) -> Tensor:
    """argmin_w |w|^(2/3) + beta / 2 (w - v)^2 for each v, exactly.

    With |w| = r^3 the stationary points besides 0 are the roots of r^4 - |v| r + 2 / (3 beta). The
    larger one is the minimum, if its value is below the one at 0.

    values: v, any shape.
    """
    size = values.abs()
    root = size.pow(1 / 3)  # at or above the larger root
    for _ in range(_NEWTON_STEPS):
        slope = 4 * root**3 - size
        step = (root**4 - size * root + 2 / (3 * beta)) / slope.clamp(min=1e-12)
        # Without a real root it would wander off; such values are set to 0 below.
        root = (root - step).clamp(min=0)
    shrunk = root**3
    better = root**2 + beta / 2 * (shrunk - size) ** 2 < beta / 2 * size**2
    return torch.where(better, shrunk, 0) * values.sign()
