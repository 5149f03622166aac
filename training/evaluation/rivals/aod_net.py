"""AOD-Net, the small dehazing network, for the weights of its reimplementation in PyTorch.

B. Li et al., AOD-Net: All-in-One Dehazing Network, ICCV 2017. Parameters are named as in
github.com/MayankSingal/PyTorch-Image-Dehazing, whose snapshots/dehazer.pth is meant here; the
authors' own weights are for Caffe.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AODNet(nn.Module):
    """Estimates K, into which the paper's Eq. 5 joins transmission and airlight."""

    channels = 3
    size_multiple = 1

    def __init__(self) -> None:
        super().__init__()
        self.e_conv1 = nn.Conv2d(3, 3, 1)
        self.e_conv2 = nn.Conv2d(3, 3, 3, padding=1)
        self.e_conv3 = nn.Conv2d(6, 3, 5, padding=2)
        self.e_conv4 = nn.Conv2d(6, 3, 7, padding=3)
        self.e_conv5 = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Remove the haze: J = K I - K + 1.

        image: shape (N, 3, H, W) in [0, 1]. Returns the same shape, at least 0.
        """
        first = F.relu(self.e_conv1(image))
        second = F.relu(self.e_conv2(first))
        third = F.relu(self.e_conv3(torch.cat([first, second], 1)))
        fourth = F.relu(self.e_conv4(torch.cat([second, third], 1)))
        k = F.relu(self.e_conv5(torch.cat([first, second, third, fourth], 1)))
        return F.relu(k * image - k + 1)
