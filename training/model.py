"""The guided pair: hyper-network and reconstruction as one model with dials."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hyperguide.tasks import find_task

from .networks.hyper import HyperNetwork, PlainHyperNetwork, StageHyperNetworks
from .networks.unet import GuidedUNet
from .preset import (
    CompactProxySettings,
    PlainProxySettings,
    Preset,
    Proxy,
    Reconstruction,
    UnfoldedSettings,
    UNetSettings,
)

# What a reconstruction network asks for its map: (what H may read, stage) -> map. Both lie on the
# grid of the image, (N, C, H, W) and (N, 1, H, W).
Guide = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Restoration:
    """What a pair computes.

    iterates: each stage's picture, shape (N, C, H, W), not clipped; the last is the result.
    maps: the map that each stage was guided by, shape (N, 1, H, W); none for the unguided twin.
    """

    iterates: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]

    @property
    def restored(self) -> Tensor:
        """The result, shape (N, C, H, W), not clipped."""
        return self.iterates[-1]


class GuidedModel(nn.Module):
    """image -> (enhanced, guidance), the network pair with the dials of the model file.

    proxy: H_theta, called with what it reads (and the stage, if it has several). None in the
        unguided twin.
    reconstruction: A_omega, called with image, map and, for deblurring, kernel. An unfolded
        network asks a `Guide` for the map of each stage instead.
    """

    def __init__(self, proxy: nn.Module | None, reconstruction: nn.Module) -> None:
        super().__init__()
        self.proxy = proxy
        self.reconstruction = reconstruction

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this."""
        own: int = bare(self.reconstruction).size_multiple  # type: ignore[assignment]
        if self.proxy is None:
            return own
        return math.lcm(own, bare(self.proxy).size_multiple)  # type: ignore[arg-type]

    def predict(self, image: Tensor, stage: int = 0) -> Tensor:
        """H_theta's map of an image or of a stage's iterate, shape (N, 1, H, W).

        A hyper-network of one plane sees each colour plane by itself; they share the mean map.
        """
        assert self.proxy is not None, "the unguided twin predicts nothing"
        planes = image.shape[1] if bare(self.proxy).channels == 1 else 1
        if planes > 1:
            image = image.flatten(0, 1)[:, None]
        several = isinstance(bare(self.proxy), StageHyperNetworks)
        guidance: Tensor = self.proxy(image, stage) if several else self.proxy(image)
        return guidance.unflatten(0, (-1, planes)).mean(1) if planes > 1 else guidance

    def restore(
        self, image: Tensor, kernel: Tensor | None = None, guide: Guide | None = None
    ) -> Restoration:
        """Restore an image, guided by the predicted maps or by those of `guide`.

        image: shape (N, C, H, W) in [0, 1]; H and W multiples of `size_multiple`.
        kernel: shape (N, 1, kh, kw), for deblurring.
        """
        more = () if kernel is None else (kernel,)
        maps: list[Tensor] = []
        answer = guide or self.predict

        def ask(read: Tensor, stage: int) -> Tensor:
            maps.append(answer(read, stage))
            return maps[-1]

        if self.proxy is None:
            result = self.reconstruction(image, None, *more)
        elif bare(self.reconstruction).asks_per_stage:
            result = self.reconstruction(image, ask, *more)
        else:
            result = self.reconstruction(image, ask(image, 0), *more)
        return Restoration(result if isinstance(result, tuple) else (result,), tuple(maps))

    def forward(
        self,
        image: Tensor,
        guidance_in: Tensor,
        guidance_mix: Tensor,
        guidance_scale: Tensor,
        strength: Tensor,
        kernel: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Enhance with dials; every dial broadcasts against (N, 1, H, W).

        g = scale (mix guidance_in + (1 - mix) H(image))
        enhanced = clip(image + strength (A(image; g) - image))

        Returns (enhanced, shape (N, C, H, W) in [0, 1]; the mixed map before the scale, that of
        the last stage where there are several, shape (N, 1, H, W)).
        """
        assert self.proxy is not None, "an unguided model has no dials"
        maximum: float = bare(self.proxy).maximum  # type: ignore[assignment]
        # Where nothing of guidance_in is used it must not count, not even as NaN.
        given = torch.where(guidance_mix > 0, guidance_in, torch.zeros_like(guidance_in))
        mixed: list[Tensor] = []

        def turn(read: Tensor, stage: int) -> Tensor:
            predicted = self.predict(read, stage).clamp(0.0, maximum)
            mixed.append(guidance_mix * given + (1 - guidance_mix) * predicted)
            return guidance_scale * mixed[-1]

        restored = self.restore(image, kernel, turn).restored
        enhanced = image + strength * (restored - image)
        return enhanced.clamp(0, 1), mixed[-1]


def bare(network: nn.Module) -> nn.Module:
    """The network itself, without the wrapper of distributed training."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def build_model(preset: Preset, guided: bool = True) -> GuidedModel:
    """Build the untrained pair of a preset; without guidance, its unguided twin."""
    maximum = find_task(preset.task).guidance.maximum
    reconstruction = _reconstruction(preset.reconstruction, preset.channels, guided, maximum)
    if not guided:
        return GuidedModel(None, reconstruction)
    if reconstruction.asks_per_stage:
        assert isinstance(preset.reconstruction, UnfoldedSettings)
        stages = range(preset.reconstruction.stages)
        networks = [_proxy(preset.proxy, preset.channels, maximum) for _ in stages]
        return GuidedModel(StageHyperNetworks(networks), reconstruction)
    return GuidedModel(_proxy(preset.proxy, preset.channels, maximum), reconstruction)


def _proxy(settings: Proxy, channels: int, maximum: float) -> HyperNetwork | PlainHyperNetwork:
    match settings:
        case CompactProxySettings(view, width, unshuffle, dilations):
            return HyperNetwork(channels, width, unshuffle, dilations, view, maximum)
        case PlainProxySettings(width=width):
            return PlainHyperNetwork(channels, width, maximum)


def _reconstruction(
    settings: Reconstruction, channels: int, guided: bool, maximum: float
) -> nn.Module:
    match settings:
        case UNetSettings(unshuffle, widths, middle, output):
            return GuidedUNet(channels, guided, unshuffle, widths, middle, output, maximum)
    raise NotImplementedError(settings.network)
