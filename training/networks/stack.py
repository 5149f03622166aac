"""A plain stack of re-parameterised convolutions, the fastest network of the `fast` tier.

Each layer is trained with several branches and run as one 3x3 convolution: the branches are linear,
so their sum is a single convolution (X. Ding et al., RepVGG, CVPR 2021).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError

from .guided_input import GuidedHead


class BranchedConvolution(nn.Module):
    """conv3x3(x) + conv1x1(x) + x, which `fold` turns into one 3x3 convolution.

    The branches have no batch normalisation: a picture's result must not depend on its batch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv3 = nn.Conv2d(width, width, 3, padding=1)
        self.conv1 = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, width, H, W); returns the same shape."""
        return self.conv3(x) + self.conv1(x) + x

    @torch.no_grad()
    def fold(self) -> nn.Conv2d:
        """The equivalent 3x3 convolution, including at the borders."""
        conv = copy.deepcopy(self.conv3)
        # 1x1 and identity are 3x3 kernels that are zero except at their centre.
        identity = torch.eye(conv.in_channels).to(conv.weight)
        conv.weight[:, :, 1, 1] += self.conv1.weight[:, :, 0, 0] + identity
        return conv

    def unfold(self, folded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state equivalent to that of a folded layer, whose branches cannot be separated again.

        Raises KeyError if a tensor is missing.
        """
        weight = folded["weight"].clone()
        weight[:, :, 1, 1] -= torch.eye(len(weight)).to(weight)
        branch = torch.zeros_like(self.conv1.weight)
        return {"conv3.weight": weight, "conv3.bias": folded["bias"], "conv1.weight": branch}


class GuidedStack(nn.Module):
    """A_omega(y; g): convolutions of one width over unshuffled pixels, with the map as a channel.

    channels: channels of the image.
    guided: whether there is a guidance channel; without it this is the unguided twin.
    unshuffle: side of the pixel blocks folded into channels.
    width: feature channels, a multiple of 16.
    depth: branched convolutions between head and tail, each followed by a ReLU.
    maximum: the map is divided by it, so that the network sees it in [0, 1].
    """

    asks_per_stage = False

    def __init__(
        self, channels: int, guided: bool, unshuffle: int, width: int, depth: int, maximum: float
    ) -> None:
        super().__init__()
        if width % 16:
            # Vector units and tensor cores process 16 channels at a time, and torch 2.13 returns
            # NaN as a bfloat16 gradient for some other widths.
            raise HyperguideError(
                f"The stack's width must be a multiple of 16 in the preset, not {width}."
            )
        self.channels = channels
        self.unshuffle = unshuffle
        self.maximum = maximum
        pixels = unshuffle**2
        self.head = GuidedHead(channels, guided, width, unshuffle, maximum)
        self.blocks = nn.ModuleList(BranchedConvolution(width) for _ in range(depth))
        self.tail = nn.Conv2d(width, channels * pixels, 3, padding=1)
        nn.init.zeros_(self.tail.weight)  # training starts at the identity
        assert self.tail.bias is not None
        nn.init.zeros_(self.tail.bias)

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.unshuffle

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Restore the image, not clipped.

        image: shape (N, C, H, W) in [0, 1]; H and W multiples of `size_multiple`.
        guidance: shape (N, 1, H, W) in the task's unit; absent for the unguided twin.
        Returns shape (N, C, H, W).
        """
        x = F.relu(self.head(image, guidance))
        for block in self.blocks:
            x = F.relu(block(x))
        return image + F.pixel_shuffle(self.tail(x), self.unshuffle)
