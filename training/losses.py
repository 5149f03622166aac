"""Losses: g for the guidance map (Eq. 6) and the reconstruction losses f of the tasks (Eq. 5)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .perceptual import load_perceptual_distance

Loss = Callable[[Tensor, Tensor], Tensor]


def guidance_loss(maximum: float, floor: float = 0.0, too_low: float = 1.0) -> Loss:
    """Make g = ||sigma - sigma_gt||^2, the mean over pixels, in units of the map's range.

    floor: in the map's unit. Above 0, g compares log(sigma + floor) instead, so that weak noise is
        estimated with the same relative accuracy as strong noise; values below the floor hardly
        count. (Dividing errors by the true value would do the same, but predicting 0 stays cheap.)
    too_low: weight of pixels whose map is below the true one. Where noise may be texture, the
        squared error is least in between, and underestimated noise remains in the result: half
        the true level costs more than twice the true level. A larger weight raises the map
        where it is uncertain, and changes little where the noise is obvious.
    """

    def loss(predicted: Tensor, true: Tensor) -> Tensor:
        predicted = predicted.float()
        if floor:
            error = ((predicted + floor) / (true + floor)).log()
        else:
            error = (predicted - true) / maximum
        weight = torch.where(error < 0, too_low, 1.0)
        return (weight * error.square()).mean()

    return loss


def log_mse(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean over samples of log(MSE), proportional to the negated mean PSNR.

    All samples weigh the same, however strong their noise, except beyond 40 dB, where the weight
    falls off: clean samples would otherwise dominate the gradient for invisible differences.
    """
    error = (restored.float() - clean).square().mean((1, 2, 3))
    return (error + 1e-4).log().mean()


def haze_loss(
    airlight: Tensor, transmission: Tensor, true_airlight: Tensor, true_transmission: Tensor
) -> Tensor:
    """The `log_mse` of the transmission plus that of the airlight.

    airlight: shape (N, C, 1, 1); transmission: shape (N, 1, H, W). The airlight is weighted by its
    share in the picture: without haze it cannot be estimated, and need not be.
    """
    share = (1 - true_transmission).mean((2, 3), keepdim=True)
    of_light = log_mse(share * airlight, share * true_airlight)
    return log_mse(transmission, true_transmission) + of_light


def l1(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute error."""
    return (restored.float() - clean).abs().mean()


def l1_ssim(restored: Tensor, clean: Tensor) -> Tensor:
    """L1 + 0.2 (1 - SSIM of the luma plane)."""
    restored = restored.float()
    return l1(restored, clean) + 0.2 * (1 - ssim(luma(restored), luma(clean)).mean())


def luma(image: Tensor) -> Tensor:
    """Luma of RGB with BT.601 weights, full range, shape (N, 1, H, W); gray stays unchanged."""
    if image.shape[1] == 1:
        return image
    weights = image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) of planes in [0, 1], per sample, shape (N,).

    a, b: shape (N, C, H, W), at least 11x11. Gaussian window 11x11, sigma 1.5, K1 = 0.01,
    K2 = 0.03, population moments, valid windows only. The window is applied as two banded
    matrix products, which are faster than a convolution on a CPU for small crops.
    """
    rows = _gaussian_band(a.shape[2], a.device)
    columns = _gaussian_band(a.shape[3], a.device).mT

    def blur(x: Tensor) -> Tensor:
        return rows @ x @ columns

    mean_a, mean_b = blur(a), blur(b)
    var_a = blur(a * a) - mean_a**2
    var_b = blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * cov + c2) / (var_a + var_b + c2)
    return (luminance * structure).mean((1, 2, 3))


@lru_cache(maxsize=16)
def _gaussian_band(size: int, device: torch.device, window: int = 11, sigma: float = 1.5) -> Tensor:
    """The matrix of a valid Gaussian blur, shape (size - window + 1, size)."""
    offsets = torch.arange(window, dtype=torch.float32) - window // 2
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    band = torch.zeros(size - window + 1, size)
    for i in range(band.shape[0]):
        band[i, i : i + window] = kernel
    return band.to(device)


def mse(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean squared error."""
    return (restored.float() - clean).square().mean()


def negative_ssim(restored: Tensor, clean: Tensor) -> Tensor:
    """-SSIM, averaged over samples and channels, each channel as a separate plane.

    PReNet's loss (csdwren/PReNet), except at the border: PReNet's windows reach into zeros outside
    the picture, here only windows inside it count.
    """
    return -ssim(restored.float(), clean).mean()


def perceptual_loss(weights: Path | None = None) -> Loss:
    """Make GridDehazeNet's loss: smooth L1 + 0.04 times the perceptual distance.

    weights: VGG16 file; see `perceptual.load_perceptual_distance`, also for its errors.
    """
    distance = load_perceptual_distance(weights)

    def loss(restored: Tensor, clean: Tensor) -> Tensor:
        restored = restored.float()
        far = distance.to(clean.device)(restored, clean)
        return F.smooth_l1_loss(restored, clean) + 0.04 * far

    return loss


TASK_LOSSES: dict[str, Loss] = {
    "log_mse": log_mse,
    "l1": l1,
    "l1_ssim": l1_ssim,
    "mse": mse,
    "negative_ssim": negative_ssim,
}


def task_loss(
    name: str, vgg_weights: Path | None = None, border: int = 0, border_weight: float = 0.0
) -> Loss:
    """The reconstruction loss f with a name from a preset.

    vgg_weights: for `smooth_l1_perceptual`, the only one that needs a file.
    border, border_weight: see `within`.
    """
    loss = perceptual_loss(vgg_weights) if name == "smooth_l1_perceptual" else TASK_LOSSES[name]
    return within(loss, border, border_weight) if border else loss


def within(loss: Loss, border: int, border_weight: float) -> Loss:
    """Make the loss ignore `border` pixels on each side, and add the whole by `border_weight`."""

    def inner(restored: Tensor, clean: Tensor) -> Tensor:
        value = loss(inside(restored, border), inside(clean, border))
        if border_weight:
            value = value + border_weight * loss(restored, clean)
        return value

    return inner


def inside(image: Tensor, border: int) -> Tensor:
    """The image, shape (N, C, H, W), without `border` pixels on each side."""
    height, width = image.shape[2:]
    return image[:, :, border : height - border, border : width - border]
