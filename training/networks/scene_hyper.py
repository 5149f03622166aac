"""The hyper-network that reads the whole scene at low resolution: H_theta of dehazing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError

from .grain import grain
from .guided_input import MIDDLE
from .resampling import SCENE, average, interpolate
from .texture import Texture, scene_parts


class SceneHyperNetwork(nn.Module):
    """H_theta over a picture of any size, averaged down to SCENE cells; the map is as coarse.

    Like `hyper.HyperNetwork` it has four convolutions and a bounded map. They see blocks of cells,
    and the mean and deviation of each channel and the mean darkest channel of the whole picture.

    channels: channels of the image.
    width: feature channels.
    unshuffle: side of the blocks of cells folded into channels.
    dilations: of the four convolutions.
    maximum: upper end of the map's range.
    texture, texture_stride: width and stride of the learned features of each cell's parts, see
        `Texture`; width 0 for none.
    grain: whether the network sees each cell's grain, see `grain.grain`.
    edges: whether the map depends on the brightness of the pixel within a block, as depth often
        does at the edges of objects. Otherwise it is interpolated, and ignores them.
    """

    size_multiple = 1

    def __init__(
        self,
        channels: int,
        width: int,
        unshuffle: int,
        dilations: tuple[int, int, int, int],
        maximum: float,
        *,
        texture: int = 0,
        grain: bool = False,
        edges: bool = False,
        texture_stride: int = 1,
    ) -> None:
        super().__init__()
        if any(side % unshuffle for side in SCENE):
            raise HyperguideError(
                f"The proxy's scene of {SCENE[0]}x{SCENE[1]} cannot be unshuffled by "
                f"{unshuffle}: give 1, 2, 4 or 8 in the preset."
            )
        self.channels = channels
        self.unshuffle = unshuffle
        self.maximum = maximum
        self.texture = Texture(channels, texture, texture_stride) if texture else None
        self.grain = grain
        self.edges = edges
        planes = channels * unshuffle**2 + 2 * channels + 1 + texture + grain
        sizes = [planes, width, width, width, 1 + edges]
        self.convs = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], 3, padding=dilation, dilation=dilation)
            for i, dilation in enumerate(dilations)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Predict the map.

        image: shape (N, C, H, W) in [0, 1], any size.
        Returns shape (N, 1, H, W) in [0, maximum].
        """
        height, width = image.shape[2:]
        x = self._look(image)
        for i, conv in enumerate(self.convs):
            x = conv(F.relu(x) if i else x)
        if not self.edges:
            return interpolate(self.maximum * torch.sigmoid(x), height, width)
        base, slope = interpolate(x.float(), height, width).split(1, 1)
        brightness = image.mean(1, keepdim=True) - MIDDLE
        return self.maximum * torch.sigmoid(base + slope * brightness)

    def _look(self, image: Tensor) -> Tensor:
        """The input of the first convolution, one value per block."""
        scene = average(image, *SCENE)
        blocks = F.pixel_unshuffle(scene - MIDDLE, self.unshuffle)
        statistics = _scene_statistics(scene)
        seen = [blocks, statistics.expand(-1, -1, *blocks.shape[2:])]
        if self.texture is not None:
            seen.append(F.avg_pool2d(self.texture(scene_parts(image)), self.unshuffle))
        if self.grain:
            seen.append(F.avg_pool2d(grain(image), self.unshuffle))
        return torch.cat(seen, 1)


def _scene_statistics(image: Tensor) -> Tensor:
    """Mean and deviation of each channel and the mean darkest channel, shape (N, 2C+1, 1, 1)."""
    mean = image.mean((2, 3), keepdim=True)
    deviation = ((image - mean) ** 2).mean((2, 3), keepdim=True).add(1e-6).sqrt()
    dark = image.amin(1, keepdim=True).mean((2, 3), keepdim=True)
    return torch.cat([mean, deviation, dark], 1)
