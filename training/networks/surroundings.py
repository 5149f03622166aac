"""Features of the surroundings: what flat places nearby say about places full of detail."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Where no place in the window shows anything, the mean is zero rather than arbitrary.
_FLOOR = 1e-2


class Surroundings(nn.Module):
    """Features averaged over a window, each place with learned weights, and upsampled.

    Sharp leaves look like noise. The sky above them shows that the photo has none, so a map needs
    to see further than texture extends, and to count the places that show the noise.

    width: channels of input and output.
    reach: the window extends this many cells to each side; a cell is 2x2 places of the input.
    """

    in_floats = ("weigh", "mix", "up")  # small, and a Div of rounded values is not exact

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.convs = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in range(2)])
        self.weigh = nn.Conv2d(width, width, 1)
        self.mix = nn.Conv2d(2 * width, width, 1)
        self.up = nn.Conv2d(width, 4 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, width, H, W), H and W even; returns the same shape."""
        x = F.avg_pool2d(x, 2)
        for conv in self.convs:
            x = F.relu(conv(x))
        weights = torch.sigmoid(self.weigh(x))
        mean = self._average(weights * x) / (self._average(weights) + _FLOOR)
        x = F.relu(self.mix(torch.cat([x, mean], 1)))
        return F.pixel_shuffle(self.up(x), 2)

    def _average(self, x: Tensor) -> Tensor:
        """The mean over the window, or over the part of it that lies in the picture."""
        side, reach = 2 * self.reach + 1, self.reach
        x = F.avg_pool2d(x, (side, 1), 1, (reach, 0), count_include_pad=False)
        return F.avg_pool2d(x, (1, side), 1, (0, reach), count_include_pad=False)
