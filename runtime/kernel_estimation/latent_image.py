"""A sharp picture with few edges that explains a blurred one.

Xu, Lu, Xu, Jia, "Image smoothing via L0 gradient minimization" (2011), as Xu, Zheng, Jia,
"Unnatural L0 sparse representation for natural image deblurring" (2013) use it.
"""

from __future__ import annotations

import numpy as np

from .periodic import (
    against_differences,
    canvas_of,
    correlated,
    differences,
    power,
    roughness,
    spectrum,
    transfer_function,
)

_STIFFEST = 1e5  # where differences and their sparse copies are one


def latent_image(blurred: np.ndarray, kernel: np.ndarray, sparsity: float) -> np.ndarray:
    """Minimise |kernel * x - blurred|^2 + sparsity * (number of pixels with a gradient).

    By half-quadratic splitting: sparse copies of the differences are drawn closer and closer.

    blurred: canvas, (H, W), full scale = 1. Returns x on the same canvas.
    """
    transfer = transfer_function(kernel, blurred.shape)
    data, of_kernel = correlated(transfer, spectrum(blurred)), power(transfer)
    of_differences = roughness(blurred.shape)
    latent, stiffness = blurred, 2 * sparsity
    while stiffness < _STIFFEST:
        dx, dy = differences(latent)
        kept = dx * dx + dy * dy >= sparsity / stiffness
        sparse = spectrum(against_differences(dx * kept, dy * kept))
        solved = (data + stiffness * sparse) / (of_kernel + stiffness * of_differences)
        latent = canvas_of(solved)
        stiffness *= 2
    return latent
