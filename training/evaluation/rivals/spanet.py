"""SPANet, a deraining network with spatial attention, trained on real rain.

T. Wang et al., Spatial Attentive Single-Image Deraining with a High Quality Real Rain Dataset, CVPR
2019. Parameters are named as in the authors' repository, github.com/stevewongv/SPANet, whose file
model/latest is meant here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTH = 32
_BLOCKS = 17
# Blocks before which the attention is computed anew; it weighs three blocks each time.
_ATTENTIVE = (4, 7, 10, 13)


def _conv(inputs: int, outputs: int, side: int, dilation: int = 1, bias: bool = False) -> nn.Conv2d:
    padding = dilation * (side // 2)
    return nn.Conv2d(inputs, outputs, side, padding=padding, dilation=dilation, bias=bias)


class SPANet(nn.Module):
    """The network; it was trained on pictures in the order blue, green, red."""

    channels = 3
    size_multiple = 1

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Sequential(_conv(3, _WIDTH, 3))
        self.SAM1 = _Attention()
        for number in range(1, _BLOCKS + 1):
            setattr(self, f"res_block{number}", _Block())
        self.conv_out = nn.Sequential(_conv(_WIDTH, 3, 3))

    def forward(self, image: Tensor) -> Tensor:
        """Remove the rain.

        image: RGB, shape (N, 3, H, W) in [0, 1]. Returns the same shape, not clipped.
        """
        x = F.relu(self.conv_in(image.flip(1)))
        attention: Tensor | float = 1.0
        for number in range(1, _BLOCKS + 1):
            if number in _ATTENTIVE:
                attention = self.SAM1(x)
            elif number == _ATTENTIVE[-1] + 3:
                attention = 1.0
            x = F.relu(getattr(self, f"res_block{number}")(x) * attention + x)
        restored: Tensor = self.conv_out(x)
        return restored.flip(1)


class _Block(nn.Module):
    """A residual branch with a dilated convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.group1 = nn.Sequential(
            OrderedDict(
                conv1=_conv(_WIDTH, _WIDTH, 1),
                relu1=nn.ReLU(),
                conv2=_conv(_WIDTH, _WIDTH, 3, dilation=2),
                relu2=nn.ReLU(),
                conv3=_conv(_WIDTH, _WIDTH, 1),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.group1(x)
        return branch


class _Attention(nn.Module):
    """The map of where rain is, shape (N, 1, H, W) in [0, 1].

    `attention_layer` should weigh the four directions, but the authors' program discards its
    result, so it is only loaded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.irnn1, self.irnn2 = _Recurrence(), _Recurrence()
        self.conv_in = _conv(_WIDTH, _WIDTH, 3)
        self.conv2 = _conv(4 * _WIDTH, _WIDTH, 3)
        self.conv3 = _conv(4 * _WIDTH, _WIDTH, 3)
        half = _WIDTH // 2
        self.attention_layer = nn.ModuleDict(
            {
                "conv1": _conv(_WIDTH, half, 3, bias=True),
                "conv2": _conv(half, half, 3, bias=True),
                "conv3": _conv(half, 4, 1, bias=True),
            }
        )
        self.conv_out = _conv(_WIDTH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.irnn1(self.conv_in(x)))
        x = F.relu(self.conv3(self.irnn2(x)))
        return torch.sigmoid(self.conv_out(x))


class _Recurrence(nn.Module):
    """Passes features across the picture in four directions, each channel by itself.

    h_0 = relu(x_0),   h_i = relu(w h_(i-1) + b + x_i)
    """

    def __init__(self) -> None:
        super().__init__()
        self.up_weight, self.right_weight, self.down_weight, self.left_weight = (
            nn.Conv2d(_WIDTH, _WIDTH, 1, groups=_WIDTH) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 4 C, H, W): towards the top, the right, the bottom and the left."""
        rows, columns = x.unbind(2), x.unbind(3)
        up = torch.stack(self._pass(reversed(rows), self.up_weight)[::-1], 2)
        right = torch.stack(self._pass(columns, self.right_weight), 3)
        down = torch.stack(self._pass(rows, self.down_weight), 2)
        left = torch.stack(self._pass(reversed(columns), self.left_weight)[::-1], 3)
        return torch.cat([up, right, down, left], 1)

    @staticmethod
    def _pass(lines: Iterable[Tensor], layer: nn.Conv2d) -> list[Tensor]:
        assert layer.bias is not None
        weight, bias = layer.weight[:, 0, :, 0], layer.bias[:, None]
        passed: list[Tensor] = []
        for line in lines:
            passed.append(F.relu(weight * passed[-1] + bias + line if passed else line))
        return passed
