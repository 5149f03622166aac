"""Learned texture features of a scene; haze removes grain and fine contrast."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .guided_input import MIDDLE, UnshuffledConvolution
from .resampling import SCENE, average

# Parts of a cell in each direction, whatever the picture's size.
PARTS = 4
# Side of the blocks of parts that the convolutions work on.
_BLOCK = 2


def scene_parts(image: Tensor) -> Tensor:
    """The mean of each part of a cell, shape (N, C, PARTS * 96, PARTS * 128).

    image: shape (N, C, H, W), any size.
    """
    return average(image, *(PARTS * side for side in SCENE))


class Texture(nn.Module):
    """Learned features of each cell's parts: three convolutions, averaged over the cell.

    Cell means hide the effect of haze on grain and edges, which are finer. Half of the first
    layer's filters start with zero mean, so that they see only detail.

    channels: channels of the image.
    width: channels of the features.
    stride: of the second convolution. 2 leaves one value per cell, for a third of the work.
    """

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.first = UnshuffledConvolution(channels, width, _BLOCK)
        self.second = nn.Conv2d(width, width, 3, stride, padding=1)
        self.third = nn.Conv2d(width, width, 3, padding=1)
        self.first.look_at_detail()

    def forward(self, parts: Tensor) -> Tensor:
        """The features of the output of `scene_parts`, shape (N, width, *SCENE), at least 0."""
        x = F.relu(self.first(parts - MIDDLE))
        x = F.relu(self.second(x))
        x = F.relu(self.third(x))
        side = PARTS // _BLOCK // self.stride
        return F.avg_pool2d(x, side) if side > 1 else x
