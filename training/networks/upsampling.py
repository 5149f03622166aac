"""Bilinear upsampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Upsampling(nn.Module):
    """Bilinear upsampling of planes by an integer factor, with aligned pixel centres."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, 1, H, W); returns shape (N, 1, factor H, factor W)."""
        return F.interpolate(
            x, scale_factor=float(self.factor), mode="bilinear", align_corners=False
        )

    def fold(self) -> FoldedUpsampling:
        """The equivalent convolution with one output channel per pixel of a block."""
        return FoldedUpsampling(self.factor)


class FoldedUpsampling(nn.Module):
    """The same function as `Upsampling`, without an operation that is slow in engines."""

    kernel: Tensor

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        # Pixel i of a block lies (i + 0.5) / factor - 0.5 from the centre of its source.
        away = (torch.arange(factor) + 0.5) / factor - 0.5
        weights = torch.stack([(-away).clamp(min=0), 1 - away.abs(), away.clamp(min=0)], 1)
        kernel = weights[:, None, :, None] * weights[None, :, None, :]
        self.register_buffer("kernel", kernel.reshape(factor**2, 1, 3, 3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """See `Upsampling.forward`."""
        blocks = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.kernel)
        return F.pixel_shuffle(blocks, self.factor)
