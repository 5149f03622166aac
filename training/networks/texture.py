"""What the texture of each part of a scene says: haze takes grain and fine contrast away."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .guided_input import MIDDLE, UnshuffledConvolution
from .resampling import SCENE, average

# What lies within a cell is told from so many parts of it each way, whatever the picture's size.
PARTS = 4
# Convolutions work on blocks of so many parts each way.
_BLOCK = 2


def scene_parts(image: Tensor) -> Tensor:
    """The mean of each part of a cell, shape (N, C, PARTS * 96, PARTS * 128).

    image: shape (N, C, H, W), any size.
    """
    return average(image, *(PARTS * side for side in SCENE))


class Texture(nn.Module):
    """Learned features of each cell's parts: three convolutions, averaged over the cell.

    Means of cells hide what haze does to grain and edges, which are finer. Half of the first
    filters start with zero mean, blind to all but detail.

    channels: of the image.
    width: of the features.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = UnshuffledConvolution(channels, width, _BLOCK)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.third = nn.Conv2d(width, width, 3, padding=1)
        self.first.look_at_detail()

    def forward(self, parts: Tensor) -> Tensor:
        """From what `scene_parts` gives, shape (N, width, *SCENE), not negative."""
        x = F.relu(self.first(parts - MIDDLE))
        x = F.relu(self.second(x))
        x = F.relu(self.third(x))
        return F.avg_pool2d(x, PARTS // _BLOCK)
