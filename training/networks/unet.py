"""The compact reconstruction network of the `fast` tier.

It works on pixel-unshuffled images: the same receptive field for a quarter (or a sixteenth) of
the work, which is the main reason why it runs in real time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.training.preset import Output, UNetShape

from .guided_input import BlockwiseMap, GuidedHead


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))).

    `entry` is an identity; an int8 export rounds there, since several operations read its output.

    width: channels.
    exact: whether an int8 export rounds only what the convolutions read.
    """

    def __init__(self, width: int, exact: bool = False) -> None:
        super().__init__()
        self.entry = _identity(exact)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, width, H, W); returns the same shape."""
        x = self.entry(x)
        return x + self.conv2(F.relu(self.conv1(x)))


def _identity(exact: bool) -> nn.Module:
    """A layer without effect; an int8 export rounds at it unless `exact`."""
    return nn.Sequential() if exact else nn.Identity()


def _residual_blocks(width: int, count: int, exact: bool) -> nn.Module:
    if count == 1:
        return ResidualBlock(width, exact)
    return nn.Sequential(*(ResidualBlock(width, exact) for _ in range(count)))


def _levels(widths: Sequence[int], depths: Sequence[int], exact: bool) -> nn.ModuleList:
    """The residual blocks of each level of an encoder or decoder."""
    levels = zip(widths, depths, strict=True)
    return nn.ModuleList(_residual_blocks(width, count, exact) for width, count in levels)


class UNetFeatures(nn.Module):
    """The U-Net without its last layer, over unshuffled pixels and the map.

    It has no normalisation layers: a result must not depend on other pictures in the batch or on
    distant parts of the picture.

    channels: channels of the image.
    guided: whether there is a guidance channel; without it this is the unguided twin.
    maximum: the map is divided by it, so that the networks see it in [0, 1].
    """

    in_floats: tuple[str, ...] = ("tail",)  # an int8 export does not round the last layer

    def __init__(self, channels: int, guided: bool, maximum: float, shape: UNetShape) -> None:
        super().__init__()
        widths, others = shape.widths, shape.widths[:-1]
        self.unshuffle = shape.unshuffle
        self.maximum = maximum
        self.channels = channels
        self.asks_per_stage = False
        exact = shape.precise_int8
        blockwise = guided and shape.blockwise_map
        self.head = GuidedHead(
            channels, guided and not blockwise, widths[0], shape.unshuffle, maximum, exact
        )
        self.blockwise_map = (
            BlockwiseMap(widths[1], 2 * shape.unshuffle, maximum) if blockwise else None
        )
        self.encoder = _levels(others, shape.encoder_depths, exact)
        self.exits = nn.ModuleList(_identity(exact) for _ in others)  # like `entry` of the blocks
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths)
        )
        self.middle = nn.ModuleList(ResidualBlock(widths[-1], exact) for _ in range(shape.middle))
        self.up = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairwise(widths))
        self.decoder = _levels(others, shape.decoder_depths, exact)

    def encode(self, image: Tensor, guidance: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The features of the coarsest level, and those of the others, finest first."""
        return self.encode_features(self.first_features(image, guidance), guidance)

    def first_features(self, image: Tensor, guidance: Tensor | None) -> Tensor:
        """The output of the first layer."""
        features: Tensor = self.head(image, None if self.blockwise_map is not None else guidance)
        return features

    def encode_features(self, x: Tensor, guidance: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """As `encode`, from the output of the first layer."""
        skips: list[Tensor] = []
        for block, leave, down in zip(self.encoder, self.exits, self.down, strict=True):
            x = leave(block(x))
            skips.append(x)
            x = down(x)
            if len(skips) == 1 and self.blockwise_map is not None:
                x = x + self.blockwise_map(guidance)
        for block in self.middle:
            x = block(x)
        return x, skips

    def decode(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """The features of the finest level."""
        for level in reversed(range(len(self.up))):
            x = F.pixel_shuffle(self.up[level](x), 2) + skips[level]
            x = self.decoder[level](x)
        return x

    def last_layer(self, outputs: int) -> nn.Conv2d:
        """A convolution from the finest features to output planes, initialised with zeros."""
        assert isinstance(self.head, nn.Conv2d)
        layer = nn.Conv2d(self.head.out_channels, outputs * self.unshuffle**2, 3, padding=1)
        assert layer.bias is not None
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer


class GuidedUNet(UNetFeatures):
    """A_omega(y; g): the U-Net on the image at its own resolution.

    With one width it is a plain residual stack.

    output: `residual` adds the output of the last layer to the image; `affine` also multiplies the
        image, K y - B + y, the form of the inverted scattering model.
    Other arguments: see `UNetFeatures`.
    """

    def __init__(
        self, channels: int, guided: bool, maximum: float, shape: UNetShape, output: Output
    ) -> None:
        super().__init__(channels, guided, maximum, shape)
        self.output = output
        # Training starts at the identity.
        self.tail = self.last_layer(channels * (2 if output == "affine" else 1))

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this."""
        return int(self.unshuffle * 2 ** len(self.down))

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Restore the image, not clipped.

        image: shape (N, C, H, W) in [0, 1]; H and W multiples of `size_multiple`.
        guidance: shape (N, 1, H, W) in the task's unit; absent for the unguided twin.
        Returns shape (N, C, H, W).
        """
        x = self.decode(*self.encode(image, guidance))
        x = F.pixel_shuffle(self.tail(x), self.unshuffle)
        if self.output == "affine":
            gain, offset = x.split(self.channels, 1)
            return image + (gain * image - offset)
        return image + x
