"""IRCNN: 25 denoisers for noise of 2 to 50 of 255, used as the prior of a deblurring.

K. Zhang et al., Learning Deep CNN Denoiser Prior for Image Restoration, CVPR 2017. Weights in the
format of github.com/cszn/DPIR and cszn/KAIR, ircnn_gray.pth or ircnn_color.pth: a dict of 25 state
dicts under the names 0 to 24. It must be told the noise level.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from hyperguide.training.deconvolution import ClosedForm, crop, pad_for, taper

from .planes import to_kernel, to_picture, to_planes

_DENOISERS = 25
_STEP = 2  # the denoisers' levels, of 255
_WIDTH = 64
_DILATIONS = (1, 2, 3, 4, 3, 2, 1)

# Demo_deblur.m of cszn/IRCNN: the levels fall geometrically from the first one in so many
# iterations, and the prior's weight is the noise's variance through three times that of the level.
# There the last level is set by hand; here it is the noise's, as in main_dpir_deblur.py of DPIR.
_ITERATIONS = 30
_FIRST_LEVEL = 49.0
_SHARE = 1 / 3
# Without noise the prior would have no weight; also from main_dpir_deblur.py, of 255.
_LEAST_NOISE = 0.255


class IRCNN(nn.ModuleList):
    """The denoisers in the order of their levels.

    channels: 1 for gray pictures, 3 for colour.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(_Denoiser(channels) for _ in range(_DENOISERS))
        self.channels = channels

    def denoise(self, noisy: Tensor, level: float) -> Tensor:
        """Remove noise by the first denoiser for at least this level, which is of 255."""
        number = min(max(math.ceil(level / _STEP) - 1, 0), _DENOISERS - 1)
        denoised: Tensor = self[number](noisy)
        return denoised


class _Denoiser(nn.Module):
    """Seven dilated convolutions that predict the noise."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [channels, *[_WIDTH] * (len(_DILATIONS) - 1), channels]
        layers: list[nn.Module] = []
        for index, dilation in enumerate(_DILATIONS):
            inputs, outputs = widths[index : index + 2]
            layers += [nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)]
            layers += [nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        noise: Tensor = self.model(x)
        return x - noise


def restore(
    network: IRCNN, observed: np.ndarray, kernel: np.ndarray | None, noise_level: float
) -> np.ndarray:
    """Deblur or, without a kernel, denoise a picture, in float32.

    Deblurring pads by half a kernel and applies edgetaper three times, then alternates between the
    closed form z = argmin |k * z - y|^2 + rho |z - x|^2 and the denoisers.

    observed: shape (H, W) or (H, W, 3), full scale = 1. Denoisers for gray pictures restore each
        plane by itself; those for colour take a gray picture as three equal planes.
    kernel: shape (kh, kw), odd sides, sum 1.
    noise_level: standard deviation, full scale = 1.
    """
    planes = to_planes(observed).float()
    count = len(planes)
    if network.channels == 3:
        planes = planes.expand(3, -1, -1, -1).transpose(0, 1)
    level = max(255 * noise_level, _LEAST_NOISE)
    with torch.inference_mode():
        if kernel is None:
            restored = network.denoise(planes, level)
        else:
            blur = to_kernel(kernel).float()
            margins = pad_for(blur, *planes.shape[2:])
            restored = crop(_deblur(network, taper(planes, blur), blur, level), margins)
    if network.channels == 3:
        restored = restored.transpose(0, 1)
        restored = restored if count == 3 else restored.mean(0, keepdim=True)
    return to_picture(restored, observed.shape)


def _deblur(network: IRCNN, observed: Tensor, kernel: Tensor, level: float) -> Tensor:
    """level: of the noise, of 255."""
    solve, estimate = ClosedForm(observed, kernel), observed
    for prior in np.geomspace(_FIRST_LEVEL, level, _ITERATIONS):
        estimate = solve(estimate, float(_SHARE * (level / prior) ** 2))
        estimate = network.denoise(estimate, float(prior))
    return estimate
