"""The compact networks of the `fast` tier: hyper-network H_theta and reconstruction A_omega.

Both work on pixel-unshuffled images: the same receptive field for a quarter (or a sixteenth) of
the work, the main reason why they run in real time.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .preset import Output, View


class HyperNetwork(nn.Module):
    """H_theta, the proxy: four convolutions that predict the guidance map from the image.

    The paper (Sec. 4.1) asks for a four-layer fully convolutional network. The output passes a
    sigmoid scaled to [0, maximum], because the paper assumes a bounded proxy (Sec. 3.2).

    channels: of the image.
    width: feature channels.
    unshuffle: side of the pixel blocks folded into channels.
    dilations: of the four convolutions.
    view: what the first layer sees. `detail` is the image minus its 5x5 mean, in which noise
        stands out; `image+detail` is both; `context` is the half-size image with its channels'
        mean and deviation and its mean darkest channel, so that one pixel knows the whole scene.
    maximum: upper end of the map's range.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        unshuffle: int,
        dilations: tuple[int, int, int, int],
        view: View,
        maximum: float,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.view = view
        self.unshuffle = unshuffle
        self.maximum = maximum
        self.reduction = 2 if view == "context" else 1
        planes = {"detail": channels, "image+detail": 2 * channels, "context": channels}[view]
        statistics = 2 * channels + 1 if view == "context" else 0
        # In a reduced context the map is smooth: one value a block, interpolated.
        out = 1 if view == "context" else unshuffle**2
        sizes = [planes * unshuffle**2 + statistics, width, width, width, out]
        self.convs = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], 3, padding=dilations[i], dilation=dilations[i])
            for i in range(4)
        )

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.unshuffle * self.reduction

    def forward(self, image: Tensor) -> Tensor:
        """Predict the map.

        image: shape (N, C, H, W) in [0, 1].
        Returns shape (N, 1, H, W) in [0, maximum].
        """
        x = F.pixel_unshuffle(self._view(image), self.unshuffle)
        if self.view == "context":
            x = torch.cat([x, _scene_statistics(image).expand(-1, -1, *x.shape[2:])], 1)
        for conv in self.convs[:-1]:
            x = F.relu(conv(x))
        x = self.convs[-1](x)
        if self.view == "context":
            x = F.interpolate(
                x, scale_factor=float(self.size_multiple), mode="bilinear", align_corners=False
            )
        else:
            x = F.pixel_shuffle(x, self.unshuffle)
        return self.maximum * torch.sigmoid(x)

    def _view(self, image: Tensor) -> Tensor:
        if self.view == "context":
            return F.avg_pool2d(image, self.reduction) - 0.5
        mean = F.avg_pool2d(image, 5, 1, 2, count_include_pad=False)
        detail = 5 * (image - mean)
        return detail if self.view == "detail" else torch.cat([image - 0.5, detail], 1)


def _scene_statistics(image: Tensor) -> Tensor:
    """Mean and deviation of each channel and the mean darkest channel, shape (N, 2C+1, 1, 1)."""
    mean = image.mean((2, 3), keepdim=True)
    deviation = ((image - mean) ** 2).mean((2, 3), keepdim=True).add(1e-6).sqrt()
    dark = image.amin(1, keepdim=True).mean((2, 3), keepdim=True)
    return torch.cat([mean, deviation, dark], 1)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, width, H, W); returns the same shape."""
        return x + self.conv2(F.relu(self.conv1(x)))


class GuidedUNet(nn.Module):
    """A_omega(y; g): a U-Net over unshuffled pixels, the guidance map one more input channel.

    With one width it is a plain residual stack. No normalisation layers: a picture's result must
    not depend on its batch or on what stands elsewhere in it.

    channels: of the image.
    guided: whether there is a guidance channel; without it the unguided twin.
    unshuffle: side of the pixel blocks folded into channels.
    widths: feature channels per level, finest first.
    middle: residual blocks at the coarsest level; every other level has one each way.
    output: `residual` adds the tail to the image; `affine` also multiplies it,
        K y - B + y, the form of the inverted scattering model.
    maximum: the map is divided by it, so that the networks see it in [0, 1].
    """

    def __init__(
        self,
        channels: int,
        guided: bool,
        unshuffle: int,
        widths: tuple[int, ...],
        middle: int,
        output: Output,
        maximum: float,
    ) -> None:
        super().__init__()
        self.guided = guided
        self.unshuffle = unshuffle
        self.output = output
        self.maximum = maximum
        self.channels = channels
        pixels = unshuffle**2
        outputs = channels * (2 if output == "affine" else 1)
        self.head = nn.Conv2d((channels + guided) * pixels, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(ResidualBlock(w) for w in widths[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths)
        )
        self.middle = nn.ModuleList(ResidualBlock(widths[-1]) for _ in range(middle))
        self.up = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairwise(widths))
        self.decoder = nn.ModuleList(ResidualBlock(w) for w in widths[:-1])
        self.tail = nn.Conv2d(widths[0], outputs * pixels, 3, padding=1)
        nn.init.zeros_(self.tail.weight)  # training starts at the identity
        assert self.tail.bias is not None
        nn.init.zeros_(self.tail.bias)

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
        inputs = [image - 0.5]
        if self.guided:
            assert guidance is not None
            inputs.append(guidance / self.maximum)
        x = self.head(F.pixel_unshuffle(torch.cat(inputs, 1), self.unshuffle))
        skips = []
        for block, down in zip(self.encoder, self.down, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        for block in self.middle:
            x = block(x)
        for level in reversed(range(len(self.up))):
            x = F.pixel_shuffle(self.up[level](x), 2) + skips[level]
            x = self.decoder[level](x)
        x = F.pixel_shuffle(self.tail(x), self.unshuffle)
        if self.output == "affine":
            gain, offset = x.split(self.channels, 1)
            return image + gain * image - offset
        return image + x
