"""A classical baseline: the Wiener filter, for a known kernel and noise level."""

from __future__ import annotations

import numpy as np
import torch

from hyperguide.training.deconvolution import crop, pad_for, taper, transfer_function

from .rivals.planes import to_kernel, to_picture, to_planes

# Weight of the regulariser for noise of variance 1, the best constant on the Levin suite.
STRENGTH = 100.0

_LAPLACIAN = np.array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])

# Without noise, still avoids division by the zeros of the blur's spectrum.
_LEAST_VARIANCE = 1e-10


def wiener(observed: np.ndarray, kernel: np.ndarray | None, variance: float) -> np.ndarray:
    """Restore a picture in closed form with a quadratic regulariser, in float64.

        x = F^-1(conj(K) F(y) / (|K|^2 + STRENGTH variance |L|^2)),      L the Laplacian

    The borders are padded by half a kernel and edgetapered three times first.

    observed: y, shape (H, W) or (H, W, 3); channels are restored separately.
    kernel: shape (kh, kw), odd sides, sum 1; None for no blur.
    variance: noise variance, full scale = 1.
    """
    k, y = to_kernel(kernel), to_planes(observed)
    margins = pad_for(k, *y.shape[2:])
    padded = taper(y, k)
    height, width = padded.shape[2:]
    transfer = transfer_function(k, height, width)
    weight = STRENGTH * max(variance, _LEAST_VARIANCE)
    smoothness = transfer_function(to_kernel(_LAPLACIAN), height, width).abs().square()
    spectrum = transfer.conj() * torch.fft.rfft2(padded)
    spectrum = spectrum / (transfer.abs().square() + weight * smoothness)
    restored = crop(torch.fft.irfft2(spectrum, s=(height, width)), margins)
    return to_picture(restored, observed.shape)
