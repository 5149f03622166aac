"""Quality metrics for pictures and maps.

`psnr` is for training, on batches of tensors. The others are for evaluation: one picture as a
numpy array of shape (H, W) or (H, W, 3), computed in float64 without clipping. PSNR for evaluation
is in `hyperguide.psnr`.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from hyperguide.errors import HyperguideError
from hyperguide.psnr import mean_square_error

# Wang et al. 2004: an 11x11 Gaussian window of deviation 1.5, K1 = 0.01, K2 = 0.03.
SSIM_WINDOW = 11
_SSIM_DEVIATION = 1.5
_SSIM_K1, _SSIM_K2 = 0.01, 0.03

# First row of the matrix in MATLAB's rgb2ycbcr, for full scale 1; ITU-R BT.601, studio range.
_Y_WEIGHTS = np.array([65.481, 128.553, 24.966])
_Y_OFFSET = 16.0

# In dB. Differences beyond it are invisible, so means over pictures cap each picture here:
# clean ones, which are restored almost exactly, would otherwise dominate.
MOST_PSNR = 45.0


def psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture, shape (N,); peak 1.

    restored, clean: shape (N, C, H, W). Restored values are clipped to [0, 1], as in a file.
    Equal pictures give infinity.
    """
    error = (restored.float().clamp(0, 1) - clean).square().mean((1, 2, 3))
    return -10 * torch.log10(error)


def picture_ssim(restored: np.ndarray, clean: np.ndarray, peak: float = 1.0) -> float:
    """Structural similarity (Wang et al. 2004), averaged over the planes.

    Gaussian window, population moments, only windows inside the picture. `peak` is the range of
    the data. Raises HyperguideError for pictures smaller than a window.
    """
    if min(clean.shape[:2]) < SSIM_WINDOW:
        raise HyperguideError(
            f"SSIM needs pictures of at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels, "
            f"not {clean.shape[1]}x{clean.shape[0]}: leave out the small ones."
        )
    a, b = (np.atleast_3d(p).astype(np.float64) for p in (restored, clean))
    return float(np.mean([_plane_ssim(a[..., i], b[..., i], peak) for i in range(b.shape[2])]))


def matlab_y(picture: np.ndarray) -> np.ndarray:
    """The Y plane of MATLAB's rgb2ycbcr on the 8-bit scale, not rounded, 16..235, float64.

    picture: RGB in [0, 255], shape (H, W, 3). A gray picture, (H, W), is returned as it is.
    """
    if picture.ndim == 2:
        return picture.astype(np.float64)
    return _Y_OFFSET + picture.astype(np.float64) @ _Y_WEIGHTS / 255


def root_mean_square(values: np.ndarray) -> float:
    """The root mean square of a map or a change, computed in float64."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def root_mean_square_error(predicted: np.ndarray, true: np.ndarray) -> float:
    """Root of the mean squared difference, in the unit of the values."""
    return float(np.sqrt(mean_square_error(predicted, true)))


def _plane_ssim(a: np.ndarray, b: np.ndarray, peak: float) -> float:
    mean_a, mean_b = _blur(a), _blur(b)
    var_a = _blur(a * a) - mean_a**2
    var_b = _blur(b * b) - mean_b**2
    cov = _blur(a * b) - mean_a * mean_b
    c1, c2 = (_SSIM_K1 * peak) ** 2, (_SSIM_K2 * peak) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * cov + c2) / (var_a + var_b + c2)
    return float((luminance * structure).mean())


def _blur(plane: np.ndarray) -> np.ndarray:
    """The Gaussian-weighted mean of each window inside a float64 plane."""
    window = cv2.getGaussianKernel(SSIM_WINDOW, _SSIM_DEVIATION, cv2.CV_64F)
    edge = SSIM_WINDOW // 2
    return cv2.sepFilter2D(plane, cv2.CV_64F, window, window)[edge:-edge, edge:-edge]
