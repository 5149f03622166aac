"""Hyper-networks H_theta: the proxies that predict a guidance map from a picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.training.preset import ImageView

from .guided_input import DETAIL_GAIN, MIDDLE, DetailHead, UnshuffledConvolution
from .scene_hyper import SceneHyperNetwork
from .surroundings import Surroundings
from .unsaturated import unsaturated
from .upsampling import Upsampling


class HyperNetwork(nn.Module):
    """H_theta, the proxy: four convolutions that predict the guidance map from the image.

    The paper (Sec. 4.1) uses a four-layer fully convolutional network. The output passes through a
    sigmoid scaled to [0, maximum], because the paper assumes a bounded proxy (Sec. 3.2).

    channels: channels of the image.
    width: feature channels.
    unshuffle: side of the pixel blocks folded into channels.
    dilations: of the four convolutions; the first must be 1.
    view: input of the first layer. `image` is the image, with half of the first layer's filters
        initialised with zero mean, so that they see only detail; `detail` is the image minus its
        5x5 mean, in which noise stands out; `image+detail` is both.
    smooth: whether the map has one value per pixel block, interpolated, rather than one per pixel.
    maximum: upper end of the map's range.
    coarse: whether to also use half the resolution, which shows noise that was demosaicked,
        downscaled or enlarged, and larger structures of texture.
    reach: with `coarse`, how many cells of four blocks to each side of a place are averaged, see
        `Surroundings`; 0 for none.
    patches: for the view `image`, whether the first convolution sees one block at a time, which
        costs a ninth of seeing its neighbours too.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        unshuffle: int,
        dilations: tuple[int, int, int, int],
        view: ImageView,
        smooth: bool,
        maximum: float,
        *,
        coarse: bool = False,
        reach: int = 0,
        patches: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.view = view
        self.unshuffle = unshuffle
        self.maximum = maximum
        self.coarse = CoarseFeatures(width, reach) if coarse else None
        first: nn.Module
        if dilations[0] == 1 and view == "image+detail":
            first = DetailHead(channels, width, unshuffle)
        elif dilations[0] == 1:
            first = UnshuffledConvolution(channels, width, unshuffle, 1 if patches else 3)
        else:
            raise HyperguideError("The first of the proxy's dilations must be 1 in the preset.")
        out = 1 if smooth else unshuffle**2
        self.enlarge = Upsampling(unshuffle) if smooth else nn.PixelShuffle(unshuffle)
        self.convs = nn.ModuleList(
            [
                first,
                _convolution(width, width, dilations[1]),
                _convolution(width, width, dilations[2]),
                _convolution(width, out, dilations[3]),
            ]
        )
        if view == "image":
            assert isinstance(first, UnshuffledConvolution)
            first.look_at_detail()

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.unshuffle * (1 if self.coarse is None else self.coarse.size_multiple)

    def forward(self, image: Tensor) -> Tensor:
        """Predict the map.

        image: shape (N, C, H, W) in [0, 1].
        Returns shape (N, 1, H, W) in [0, maximum].
        """
        enlarged: Tensor = self.enlarge(self._map(*self._view(image)))
        return enlarged

    def _map(self, *seen: Tensor) -> Tensor:
        """The map at the resolution of the convolutions, from the inputs of the first one."""
        x: Tensor = self.convs[0](*seen)
        x = self.convs[1](F.relu(x))
        if self.coarse is not None:
            x = x + self.coarse(x)
        for conv in self.convs[2:]:
            x = conv(F.relu(x))
        return self.maximum * torch.sigmoid(unsaturated(x) if self.training else x)

    def _view(self, image: Tensor) -> tuple[Tensor, ...]:
        if self.view == "image":
            return (image - MIDDLE,)
        mean = F.avg_pool2d(image, 5, 1, 2, count_include_pad=False)
        detail = DETAIL_GAIN * (image - mean)
        return (detail,) if self.view == "detail" else (image - MIDDLE, detail)


class CoarseFeatures(nn.Module):
    """Features computed at half the resolution and upsampled to the full one.

    width: channels of input and output.
    reach: of the `Surroundings`, 0 for none.
    """

    def __init__(self, width: int, reach: int = 0) -> None:
        super().__init__()
        self.convs = nn.ModuleList([_convolution(width, width, 1) for _ in range(2)])
        self.surroundings = Surroundings(width, reach) if reach else None
        self.up = nn.Conv2d(width, 4 * width, 1)

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this."""
        return 2 if self.surroundings is None else 4

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, width, H, W), multiples of `size_multiple`; returns the same shape."""
        x = F.avg_pool2d(F.relu(x), 2)
        for conv in self.convs:
            x = F.relu(conv(x))
        if self.surroundings is not None:
            x = x + self.surroundings(x)
        return F.pixel_shuffle(self.up(x), 2)


def _convolution(planes: int, width: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(planes, width, 3, padding=dilation, dilation=dilation)


class PlainHyperNetwork(nn.Module):
    """The paper's own proxy (Sec. 4.1): four 3x3 convolutions of 64 channels.

    As in the authors' code, there is a ReLU after the last convolution too. It could not recover
    from a map that is zero everywhere, so the last bias starts at a tenth of the range. The map is
    clipped at the range's upper end (Sec. 3.2 assumes a bounded proxy), but gradients pass through
    the clipping.

    channels: channels of the image.
    width: feature channels.
    maximum: upper end of the map's range.
    """

    size_multiple = 1

    def __init__(self, channels: int, width: int, maximum: float) -> None:
        super().__init__()
        self.channels = channels
        self.maximum = maximum
        sizes = [channels, width, width, width, 1]
        self.convs = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], 3, padding=1) for i in range(4)
        )
        last = self.convs[-1].bias
        assert isinstance(last, Tensor)
        nn.init.constant_(last, 0.1 * maximum)

    def forward(self, image: Tensor) -> Tensor:
        """Predict the map.

        image: shape (N, C, H, W) in [0, 1].
        Returns shape (N, 1, H, W) in [0, maximum].
        """
        x = image
        for conv in self.convs:
            x = F.relu(conv(x))
        return x + (x.clamp(max=self.maximum) - x).detach()


class ConstantMap(nn.Module):
    """A constant map set by the user in place of a hyper-network; has no parameters."""

    size_multiple = 1

    def __init__(self, level: float, maximum: float) -> None:
        super().__init__()
        self.channels = 0  # reads no planes
        self.level = level
        self.maximum = maximum

    def forward(self, image: Tensor) -> Tensor:
        """The map for an image of shape (N, C, H, W), shape (N, 1, H, W)."""
        return torch.full_like(image[:, :1], self.level)


ProxyNetwork = HyperNetwork | SceneHyperNetwork | PlainHyperNetwork


class StageHyperNetworks(nn.ModuleList):
    """One hyper-network per stage of an unfolded network, each reading its stage's iterate."""

    def __init__(self, networks: Sequence[ProxyNetwork]) -> None:
        super().__init__(networks)
        self.channels = networks[0].channels
        self.maximum = networks[0].maximum
        self.size_multiple = networks[0].size_multiple

    def forward(self, iterate: Tensor, stage: int) -> Tensor:
        """Predict the map of a stage from its iterate, shape (N, 1, H, W)."""
        predicted: Tensor = self[stage](iterate)
        return predicted
