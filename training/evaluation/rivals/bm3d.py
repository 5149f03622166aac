"""BM3D through the package `bm3d`, which users install themselves: it is for research only.

K. Dabov et al., Image Denoising by Sparse 3-D Transform-Domain Collaborative Filtering, 2007.
"""

from __future__ import annotations

import numpy as np

from hyperguide.errors import HyperguideError


def bm3d(noisy: np.ndarray, noise_level: float) -> np.ndarray:
    """Denoise a picture.

    noisy: shape (H, W) or (H, W, 3), full scale = 1; noise may exceed [0, 1].
    noise_level: standard deviation, full scale = 1.
    Returns the same shape, float32, not clipped.
    Raises HyperguideError if the package is not installed.
    """
    try:
        import bm3d as package
    except ImportError:
        raise HyperguideError(
            "BM3D needs its authors' package, which is for research only: pip install bm3d."
        ) from None
    denoise = package.bm3d if noisy.ndim == 2 else package.bm3d_rgb
    return np.asarray(denoise(noisy, noise_level), np.float32)
