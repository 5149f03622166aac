"""GridDehazeNet, the attention-based grid network for haze removal, guided by a depth map.

X. Liu et al., GridDehazeNet: Attention-Based Multi-Scale Network for Image Dehazing, ICCV 2019.
Parameters are named as in the authors' repository (proteus1991/GridDehazeNet), so that their
weights load as they are.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ROWS, _COLUMNS = 3, 6  # scales; half of the columns go down, the other half up
_WIDTHS = tuple(16 * 2**row for row in range(_ROWS))
_GROWTH = 16
_DENSE_LAYERS = 4


class DenseLayer(nn.Module):
    """Appends `_GROWTH` channels to its input."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, _GROWTH, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, inputs, H, W); returns shape (N, inputs + 16, H, W)."""
        return torch.cat([x, F.relu(self.conv(x))], 1)


class ResidualDenseBlock(nn.Module):
    """x + conv1x1(dense layers of x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inputs = [width + _GROWTH * i for i in range(_DENSE_LAYERS + 1)]
        self.residual_dense_layers = nn.Sequential(*map(DenseLayer, inputs[:-1]))
        self.conv_1x1 = nn.Conv2d(inputs[-1], width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, width, H, W); returns the same shape."""
        return x + self.conv_1x1(self.residual_dense_layers(x))


class Downsampling(nn.Module):
    """From one row to the coarser row below: half the size, twice the channels."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(fine, fine, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(fine, coarse, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, fine, H, W); returns shape (N, coarse, H / 2, W / 2)."""
        return F.relu(self.conv2(F.relu(self.conv1(x))))


class Upsampling(nn.Module):
    """From one row to the finer row above: twice the size, half the channels."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        # The original passes the output size at every call. If height and width are multiples of
        # four, it is always twice the input size, which this padding gives.
        self.deconv = nn.ConvTranspose2d(coarse, coarse, 3, stride=2, padding=1, output_padding=1)
        self.conv = nn.Conv2d(coarse, fine, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, coarse, H, W); returns shape (N, fine, 2 H, 2 W)."""
        return F.relu(self.conv(F.relu(self.deconv(x))))


class GridDehazeNet(nn.Module):
    """A_omega for haze removal: a grid of three scales and six columns, joined by attention.

    guided: whether there is a depth map, appended to the three input channels of the first
        convolution; without it this is the original.
    maximum: the map is divided by it, so that the network sees it in [0, 1].
    """

    channels = 3
    size_multiple = 2 ** (_ROWS - 1)
    asks_per_stage = False

    def __init__(self, guided: bool, maximum: float) -> None:
        super().__init__()
        self.guided = guided
        self.maximum = maximum
        # The attention weights at each joint, for the inputs along the row and along the column.
        self.coefficient = nn.Parameter(torch.ones(_ROWS, _COLUMNS, 2, _WIDTHS[-1]))
        self.conv_in = nn.Conv2d(3 + guided, _WIDTHS[0], 3, padding=1)
        self.rdb_in = ResidualDenseBlock(_WIDTHS[0])
        self.rdb_module = nn.ModuleDict()
        self.downsample_module = nn.ModuleDict()
        self.upsample_module = nn.ModuleDict()
        for row, width in enumerate(_WIDTHS):
            for column in range(_COLUMNS - 1):
                self.rdb_module[f"{row}_{column}"] = ResidualDenseBlock(width)
        for row, (fine, coarse) in enumerate(pairwise(_WIDTHS)):
            for column in range(_COLUMNS // 2):
                self.downsample_module[f"{row}_{column}"] = Downsampling(fine, coarse)
            for column in range(_COLUMNS // 2, _COLUMNS):
                self.upsample_module[f"{row}_{column}"] = Upsampling(coarse, fine)
        self.rdb_out = ResidualDenseBlock(_WIDTHS[0])
        self.conv_out = nn.Conv2d(_WIDTHS[0], 3, 3, padding=1)

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Remove the haze.

        image: shape (N, 3, H, W) in [0, 1]; H and W multiples of four. The original expects input
            normalised with mean and deviation 0.5; here the network normalises it.
        guidance: shape (N, 1, H, W), relative depth; absent for the unguided twin.
        Returns shape (N, 3, H, W), at least 0, not clipped at 1.
        """
        inputs = [2 * image - 1]
        if self.guided:
            assert guidance is not None
            inputs.append(guidance / self.maximum)
        column = [self.rdb_in(self.conv_in(torch.cat(inputs, 1)))]
        for row in range(1, _ROWS):
            column.append(self.downsample_module[f"{row - 1}_0"](column[-1]))
        for number in range(1, _COLUMNS // 2):
            column = self._downwards(number, column)
        for number in range(_COLUMNS // 2, _COLUMNS):
            column = self._upwards(number, column)
        return F.relu(self.conv_out(self.rdb_out(column[0])))

    def _downwards(self, number: int, before: list[Tensor]) -> list[Tensor]:
        """A column of the left half, finest row first, from the column before it."""
        along = self._along_rows(number, before)
        column = [along[0]]
        for row in range(1, _ROWS):
            across = self.downsample_module[f"{row - 1}_{number}"](column[-1])
            column.append(self._join(row, number, along[row], across))
        return column

    def _upwards(self, number: int, before: list[Tensor]) -> list[Tensor]:
        """A column of the right half, finest row first, from the column before it."""
        along = self._along_rows(number, before)
        column = [along[-1]]
        for row in reversed(range(_ROWS - 1)):
            across = self.upsample_module[f"{row}_{number}"](column[0])
            column.insert(0, self._join(row, number, along[row], across))
        return column

    def _along_rows(self, number: int, before: list[Tensor]) -> list[Tensor]:
        return [self.rdb_module[f"{row}_{number - 1}"](x) for row, x in enumerate(before)]

    def _join(self, row: int, column: int, along: Tensor, across: Tensor) -> Tensor:
        """The sum of both, each channel weighted by the attention."""
        weights = self.coefficient[row, column, :, : along.shape[1], None, None]
        return weights[0] * along + weights[1] * across
