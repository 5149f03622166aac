"""First layers of the compact networks, which fold blocks of pixels into channels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The networks subtract this from a picture. It is near the middle, so that values are around 0, and
# an 8-bit value, so that 8-bit pictures become k / 255 with integer k and are exact in int8.
MIDDLE = 128 / 255

DETAIL_GAIN = 5.0  # scales noise and grain to the magnitude of a picture's values


class PixelConvolution(nn.Conv2d):
    """A convolution that reads the pixels themselves, in a folded network.

    An int8 export keeps the range of its input as found on the calibration pictures.
    """


class UnshuffledConvolution(nn.Conv2d):
    """A convolution over blocks of pixels.

    planes: channels of the input.
    width: channels of the output.
    unshuffle: side of the blocks.
    kernel: blocks that it sees in each direction, an odd number.
    """

    def __init__(self, planes: int, width: int, unshuffle: int, kernel: int = 3) -> None:
        super().__init__(planes * unshuffle**2, width, kernel, padding=kernel // 2)
        self.unshuffle = unshuffle

    @torch.no_grad()
    def look_at_detail(self) -> None:
        """Make half of the filters high-pass; otherwise the network learns to see noise late."""
        planes = self.in_channels // self.unshuffle**2
        filters = self.weight[: len(self.weight) // 2].unflatten(1, (planes, -1))
        filters -= filters.mean((2, 3, 4), keepdim=True)  # of each plane
        filters *= DETAIL_GAIN

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, planes, H, W); returns shape (N, width, H / unshuffle, W / unshuffle)."""
        return super().forward(F.pixel_unshuffle(x, self.unshuffle))

    def fold(self) -> nn.Conv2d:
        """The equivalent strided convolution of pixels, which needs no pixel unshuffle."""
        return _strided(self.weight, self.bias, self.unshuffle)

    def unfold(self, folded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This layer's state from that of its folded form. Raises KeyError if it lacks a tensor."""
        weight = _over_blocks(folded["weight"], self.unshuffle)
        return {"weight": weight, "bias": folded["bias"]}


class GuidedHead(UnshuffledConvolution):
    """The first layer of a reconstruction network, over the image and, if guided, its map.

    channels: channels of the image.
    guided: whether there is a map.
    maximum: the map is divided by it, so that the network sees it in [0, 1].
    exact: whether the layer stays in floats in an int8 export.
    """

    def __init__(
        self,
        channels: int,
        guided: bool,
        width: int,
        unshuffle: int,
        maximum: float,
        exact: bool = False,
    ) -> None:
        super().__init__(channels + guided, width, unshuffle)
        self.channels = channels
        self.maximum = maximum
        self.exact = exact

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Convolve an image in [0, 1], shape (N, C, H, W), and a map of shape (N, 1, H, W)."""
        if guidance is None:
            return super().forward(image - MIDDLE)
        return super().forward(torch.cat([image - MIDDLE, guidance / self.maximum], 1))

    def fold(self) -> SplitHead:  # type: ignore[override]  # has two inputs itself
        """The equivalent strided convolutions, one of the image and one of the map."""
        return SplitHead(self)

    def unfold(self, folded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `UnshuffledConvolution.unfold`."""
        weight = _over_blocks(folded["image.weight"], self.unshuffle)
        if self.in_channels > weight.shape[1]:
            of_map = _over_blocks(folded["guidance.weight"], self.unshuffle)
            weight = torch.cat([weight, self.maximum * of_map], 1)
        return {"weight": weight, "bias": folded["image.bias"]}


class BlockwiseMap(nn.Module):
    """Features of a map at a lower resolution, which sees one value of it for each block of pixels.

    width: channels of the output.
    side: of the blocks.
    maximum: the map is divided by it, so that the network sees it in [0, 1].
    """

    in_floats = ("conv",)  # in int8, for the same reason as in `SplitHead`

    def __init__(self, width: int, side: int, maximum: float) -> None:
        super().__init__()
        self.side = side
        self.maximum = maximum
        self.conv = nn.Conv2d(1, width, 3, padding=1, bias=False)

    def forward(self, guidance: Tensor) -> Tensor:
        """guidance: shape (N, 1, H, W); returns shape (N, width, H / side, W / side)."""
        features: Tensor = self.conv(F.avg_pool2d(guidance, self.side) / self.maximum)
        return features


class DetailHead(UnshuffledConvolution):
    """The first layer of a hyper-network that sees the image and its detail.

    channels: channels of each of the two.
    """

    def __init__(self, channels: int, width: int, unshuffle: int) -> None:
        super().__init__(2 * channels, width, unshuffle)
        self.channels = channels

    def forward(self, image: Tensor, detail: Tensor) -> Tensor:  # type: ignore[override]
        """Convolve two pictures of shape (N, C, H, W)."""
        return super().forward(torch.cat([image, detail], 1))

    def fold(self) -> SplitConvolution:  # type: ignore[override]  # has two inputs itself
        """The equivalent strided convolutions, one of each picture."""
        return SplitConvolution(self, self.channels)

    def unfold(self, folded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `UnshuffledConvolution.unfold`; old files have a single weight for both pictures."""
        if "weight" in folded:
            return super().unfold(folded)
        weights = [folded["image.weight"], folded["other.weight"]]
        weight = torch.cat([_over_blocks(weight, self.unshuffle) for weight in weights], 1)
        return {"weight": weight, "bias": folded["image.bias"]}


class SplitConvolution(nn.Module):
    """A convolution over the blocks of two pictures, without concatenating them.

    In int8 each picture has its own range.

    channels: channels of the first picture.
    """

    def __init__(self, layer: UnshuffledConvolution, channels: int) -> None:
        super().__init__()
        of_first = channels * layer.unshuffle**2
        self.image = _strided(layer.weight[:, :of_first], layer.bias, layer.unshuffle)
        self.other = _strided(layer.weight[:, of_first:], None, layer.unshuffle)

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        """Convolve two pictures of shape (N, C, H, W)."""
        x: Tensor = self.image(image)
        return x + self.other(other)


class SplitHead(nn.Module):
    """The same function as `GuidedHead`, without concatenating image and map.

    The map's part is small and stays in floats when the rest is int8: with 255 steps from zero to
    four times the largest map, weak noise would get only three of them.
    """

    def __init__(self, head: GuidedHead) -> None:
        super().__init__()
        self.in_floats = ("image", "guidance") if head.exact else ("guidance",)
        of_image = head.channels * head.unshuffle**2
        self.image = _strided(head.weight[:, :of_image], head.bias, head.unshuffle)
        self.guidance: nn.Conv2d | None = None
        if head.in_channels > of_image:
            of_map = head.weight[:, of_image:] / head.maximum
            self.guidance = _strided(of_map, None, head.unshuffle)

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """See `GuidedHead.forward`."""
        x: Tensor = self.image(image - MIDDLE)
        if self.guidance is None:
            return x
        return x + self.guidance(guidance)


@torch.no_grad()
def _strided(weight: Tensor, bias: Tensor | None, unshuffle: int) -> PixelConvolution:
    """The strided convolution of pixels that is equivalent to one over their blocks.

    weight: shape (O, planes u^2, k, k), a block's pixels row by row as in `pixel_unshuffle`.
    """
    kernel = weight.shape[2]
    blocks = weight.unflatten(1, (-1, unshuffle, unshuffle))
    pixels = blocks.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
    conv = PixelConvolution(
        pixels.shape[1],
        len(pixels),
        kernel * unshuffle,
        stride=unshuffle,
        padding=kernel // 2 * unshuffle,
        bias=bias is not None,
    ).to(weight)
    conv.weight.copy_(pixels)
    if bias is not None:
        assert conv.bias is not None
        conv.bias.copy_(bias)
    return conv


def _over_blocks(weight: Tensor, unshuffle: int) -> Tensor:
    """The inverse of `_strided`: the weight of the convolution over blocks."""
    pixels = weight.unflatten(3, (-1, unshuffle)).unflatten(2, (-1, unshuffle))
    return pixels.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
