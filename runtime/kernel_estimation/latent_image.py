"""A sharp picture with few edges that explains a blurred one.

Xu, Lu, Xu, Jia, "Image smoothing via L0 gradient minimization" (2011), as Xu, Zheng, Jia,
"Unnatural L0 sparse representation for natural image deblurring" (2013) use it.
"""

from __future__ import annotations

import numpy as np

from .periodic import canvas_of, difference_spectra, differences, spectrum, transfer_function

_STIFFEST = 1e5  # where differences and their sparse copies are one


def latent_image(blurred: np.ndarray, kernel: np.ndarray, sparsity: float) -> np.ndarray:
    """Minimise |kernel * x - blurred|^2 + sparsity * (number of pixels with a gradient).

    By half-quadratic splitting: sparse copies of the differences are drawn closer and closer.

    blurred: canvas, (H, W), full scale = 1. Returns x on the same canvas.
    """
    transfer = transfer_function(kernel, blurred.shape)
    across, down = difference_spectra(blurred.shape)
    data = np.conj(transfer) * spectrum(blurred)
    power = np.abs(transfer) ** 2
    roughness = np.abs(across) ** 2 + np.abs(down) ** 2
    latent, stiffness = blurred, 2 * sparsity
    while stiffness < _STIFFEST:
        dx, dy = differences(latent)
        kept = dx * dx + dy * dy >= sparsity / stiffness
        sparse = np.conj(across) * spectrum(dx * kept) + np.conj(down) * spectrum(dy * kept)
        solved = (data + stiffness * sparse) / (power + stiffness * roughness)
        latent = canvas_of(solved, blurred.shape)
        stiffness *= 2
    return latent
