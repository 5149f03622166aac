"""How good a picture is."""

from __future__ import annotations

import torch
from torch import Tensor


def psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture, shape (N,); peak 1.

    restored, clean: shape (N, C, H, W). Restored values are clipped to [0, 1] as a file clips
    them. Equal pictures give infinity.
    """
    error = (restored.float().clamp(0, 1) - clean).square().mean((1, 2, 3))
    return -10 * torch.log10(error)
