"""Grain of a picture, at its own resolution: haze damps it with the rest of the scene."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .resampling import SCENE, average

# Squares of small differences must not vanish in fp16.
_SCALE = 16.0
# Of scaled squares: a quarter of an 8-bit step, less than what rounding leaves.
_LEAST = (_SCALE / (4 * 255)) ** 2
# Bring the logarithms to the magnitude of a picture's values.
_GAIN, _MEAN = 0.25, -3.0


def grain(image: Tensor) -> Tensor:
    """How much pixels differ from their neighbours in each cell, on a logarithmic scale.

    The mean over the cell of d^2, where d is the mixed difference of the brightness of 2x2 pixels:
    edges along rows and columns do not count. J. Immerkaer, Fast Noise Variance Estimation,
    Computer Vision and Image Understanding 64(2), 1996, measures noise by a similar difference.

    image: shape (N, C, H, W), any size. Returns shape (N, 1, *SCENE), about -1 to 1.
    """
    brightness = _SCALE * image.mean(1, keepdim=True)
    brightness = torch.cat([brightness, brightness[:, :, -1:]], 2)
    brightness = torch.cat([brightness, brightness[..., -1:]], 3)
    across = brightness[..., 1:] - brightness[..., :-1]
    mixed = across[:, :, 1:] - across[:, :, :-1]
    variance = F.relu(average(mixed * mixed, *SCENE))  # rounding may leave less than zero
    return _GAIN * (variance.add(_LEAST).log() - _MEAN)
