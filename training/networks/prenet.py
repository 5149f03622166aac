"""PReNet, the progressive recurrent network for rain removal, with a map of the rain.

D. Ren et al., Progressive Image Deraining Networks: A Better and Simpler Baseline, CVPR 2019: the
version with an LSTM and five residual blocks. Parameters are named as in the authors' repository
(csdwren/PReNet), so that their weights load as they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTH = 32


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _residual_branch() -> nn.Sequential:
    return nn.Sequential(_conv(_WIDTH, _WIDTH), nn.ReLU(), _conv(_WIDTH, _WIDTH), nn.ReLU())


def _gate(activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(_conv(2 * _WIDTH, _WIDTH), activation)


class PReNet(nn.Module):
    """A_omega of rain removal: the same small network over and over, joined by an LSTM.

    guided: whether there is a map of the rain, one more channel behind the six that the first
        convolution of the original reads; without it the original.
    maximum: the map is divided by it, so that the network sees it in [0, 1].
    stages: how often the network is applied; six in the paper. They share all parameters.
    """

    channels = 3
    size_multiple = 1
    asks_per_stage = False

    def __init__(self, guided: bool, maximum: float, stages: int = 6) -> None:
        super().__init__()
        self.guided = guided
        self.maximum = maximum
        self.stages = stages
        self.conv0 = nn.Sequential(_conv(6 + guided, _WIDTH), nn.ReLU())
        self.res_conv1 = _residual_branch()
        self.res_conv2 = _residual_branch()
        self.res_conv3 = _residual_branch()
        self.res_conv4 = _residual_branch()
        self.res_conv5 = _residual_branch()
        self.conv_i = _gate(nn.Sigmoid())
        self.conv_f = _gate(nn.Sigmoid())
        self.conv_g = _gate(nn.Tanh())
        self.conv_o = _gate(nn.Sigmoid())
        self.conv = nn.Sequential(_conv(_WIDTH, 3))

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Remove the rain; the last stage's picture, not clipped.

        image: shape (N, 3, H, W) in [0, 1].
        guidance: shape (N, 1, H, W), the probability of rain; absent for the unguided twin.
        Returns shape (N, 3, H, W).
        """
        constant = []
        if self.guided:
            assert guidance is not None
            constant.append(guidance / self.maximum)
        count, _, height, width = image.shape
        hidden = cell = image.new_zeros(count, _WIDTH, height, width)
        restored = image
        for _ in range(self.stages):
            x = self.conv0(torch.cat([image, restored, *constant], 1))
            hidden, cell = self._remember(torch.cat([x, hidden], 1), cell)
            restored = image + self._residue(hidden)
        return restored

    def _remember(self, x: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The convolutional LSTM: (hidden state, cell) of the next stage, both (N, 32, H, W)."""
        cell = self.conv_f(x) * cell + self.conv_i(x) * self.conv_g(x)
        return self.conv_o(x) * torch.tanh(cell), cell

    def _residue(self, x: Tensor) -> Tensor:
        """What is added to the rainy image, shape (N, 3, H, W)."""
        blocks = (self.res_conv1, self.res_conv2, self.res_conv3, self.res_conv4, self.res_conv5)
        for branch in blocks:
            x = F.relu(x + branch(x))
        residue: Tensor = self.conv(x)
        return residue
