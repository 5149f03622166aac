"""The guided pair: hyper-network and reconstruction network as one model with dials."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parallel import DistributedDataParallel

from hyperguide.errors import HyperguideError
from hyperguide.tasks import find_task
from hyperguide.training.networks.griddehazenet import GridDehazeNet
from hyperguide.training.networks.hyper import (
    ConstantMap,
    HyperNetwork,
    PlainHyperNetwork,
    ProxyNetwork,
    StageHyperNetworks,
)
from hyperguide.training.networks.prenet import PReNet
from hyperguide.training.networks.refinement import GuidedRefinement
from hyperguide.training.networks.scattering import Dehazed, ScatteringUNet
from hyperguide.training.networks.scene_hyper import SceneHyperNetwork
from hyperguide.training.networks.stack import GuidedStack
from hyperguide.training.networks.unet import GuidedUNet
from hyperguide.training.networks.unfolded import DilatedDenoiser, UnfoldedDeconvolution

from .preset import (
    CompactProxySettings,
    DilatedSettings,
    GridDehazeNetSettings,
    PlainProxySettings,
    PReNetSettings,
    Preset,
    Proxy,
    Reconstruction,
    RefinementSettings,
    ScatteringSettings,
    StackSettings,
    UNetSettings,
    UnfoldedSettings,
)

# Of both networks. The largest here has a million; the largest published about 70 million.
MOST_WEIGHTS = 100_000_000

# A reconstruction network calls it for its map: (input of H, stage) -> map. Both are on the grid
# of the image, (N, C, H, W) and (N, 1, H, W).
Guide = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Restoration:
    """The output of a pair.

    iterates: each stage's picture, shape (N, C, H, W), not clipped; the last is the result.
    maps: the maps that guided the stages, shape (N, 1, H, W); empty for the unguided twin.
    haze: airlight and transmission, if the network inverts the scattering model.
    """

    iterates: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]
    haze: tuple[Tensor, Tensor] | None = None

    @property
    def restored(self) -> Tensor:
        """The result, shape (N, C, H, W), not clipped."""
        return self.iterates[-1]


class GuidedModel(nn.Module):
    """image -> (enhanced, guidance), the network pair with the dials of the model file.

    proxy: H_theta, called with its input (and the stage, if it has several). None in the unguided
        twin.
    reconstruction: A_omega, called with image, map and, for deblurring, kernel. An unfolded
        network may take a `Guide` instead of the map, and calls it for each stage.
    """

    def __init__(self, proxy: nn.Module | None, reconstruction: nn.Module) -> None:
        super().__init__()
        self.proxy = proxy
        self.reconstruction = reconstruction

    @property
    def has_theta(self) -> bool:
        """Whether there is a hyper-network with trainable parameters."""
        return self.proxy is not None and any(True for _ in self.proxy.parameters())

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this number."""
        own: int = bare(self.reconstruction).size_multiple  # type: ignore[assignment]
        if self.proxy is None:
            return own
        return math.lcm(own, bare(self.proxy).size_multiple)  # type: ignore[arg-type]

    @property
    def channels(self) -> int:
        """Number of channels that the pair is exported with: 3, unless it is gray only."""
        network = bare(self.reconstruction)
        if isinstance(network, UnfoldedDeconvolution):
            return 3  # accepts any number of channels
        return int(network.channels)  # type: ignore[arg-type]

    @property
    def maximum(self) -> float:
        """Upper end of the map's range."""
        return float(bare(self.reconstruction).maximum)  # type: ignore[arg-type]

    def predict(self, image: Tensor, stage: int = 0) -> Tensor:
        """H_theta's map for an image or a stage's iterate, shape (N, 1, H, W).

        A one-channel hyper-network reads each colour plane separately; the maps are averaged.
        """
        assert self.proxy is not None, "the unguided twin predicts nothing"
        planes = image.shape[1] if bare(self.proxy).channels == 1 else 1
        if planes > 1:
            image = image.flatten(0, 1)[:, None]
        several = isinstance(bare(self.proxy), StageHyperNetworks)
        guidance: Tensor = self.proxy(image, stage) if several else self.proxy(image)
        return guidance.unflatten(0, (-1, planes)).mean(1) if planes > 1 else guidance

    def predictions(self, image: Tensor, kernel: Tensor | None = None) -> tuple[Tensor, ...]:
        """Every map that H_theta predicts for an image at fixed omega, for g.

        If H_theta reads the iterates of an unfolded network, their dependence on theta is kept:
        the gradient of a stage's g reaches the hyper-networks of earlier stages.
        """
        reconstruction = bare(self.reconstruction)
        if not reconstruction.asks_per_stage:
            return (self.predict(image),)
        maps: list[Tensor] = []

        def ask(read: Tensor, stage: int) -> Tensor:
            maps.append(self.predict(read, stage))
            return maps[-1]

        frozen = {name: p.detach() for name, p in reconstruction.named_parameters()}
        more = () if kernel is None else (kernel,)
        functional_call(
            reconstruction, frozen, (image, ask, *more), {"maps_only": True}, strict=True
        )
        return tuple(maps)

    def restore(
        self, image: Tensor, kernel: Tensor | None = None, guide: Guide | None = None
    ) -> Restoration:
        """Restore an image, guided by the predicted maps or by those from `guide`.

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
        if isinstance(result, Dehazed):
            return Restoration((result.picture,), tuple(maps), result[:2])
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
        """Enhance an image with dials, each of which broadcasts against (N, 1, H, W).

        g = scale (mix guidance_in + (1 - mix) H(image))
        enhanced = clip(image + strength (A(image; g) - image))

        Returns (enhanced, shape (N, C, H, W) in [0, 1]; the mixed map before scaling, of the last
        stage if there are several, shape (N, 1, H, W)).
        """
        assert self.proxy is not None, "an unguided model has no dials"
        # An unused guidance_in must have no effect, not even if it is NaN.
        given = torch.where(guidance_mix > 0, guidance_in, torch.zeros_like(guidance_in))
        mixed: list[Tensor] = []

        def turn(read: Tensor, stage: int) -> Tensor:
            mixed.append(guidance_mix * given + (1 - guidance_mix) * self.predict(read, stage))
            return guidance_scale * mixed[-1]

        restored = self.restore(image, kernel, turn).restored
        enhanced = image + strength * (restored - image)
        return enhanced.clamp(0, 1), mixed[-1]


def bare(network: nn.Module) -> nn.Module:
    """The network without the wrapper of distributed training."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def build_model(preset: Preset, guided: bool = True, level: float | None = None) -> GuidedModel:
    """Build the untrained pair of a preset.

    guided: False builds the unguided twin.
    level: value of a constant map that replaces the hyper-network.
    Raises HyperguideError for networks with more than MOST_WEIGHTS weights.
    """
    with torch.device("meta"):  # uses no memory and draws no random numbers
        weights = sum(p.numel() for p in _build(preset, guided, level).parameters())
    if weights > MOST_WEIGHTS:
        raise HyperguideError(
            f"The preset's networks have {weights} weights, more than {MOST_WEIGHTS}: reduce their "
            "widths or their number of blocks."
        )
    return _build(preset, guided, level)


def _build(preset: Preset, guided: bool, level: float | None) -> GuidedModel:
    maximum = find_task(preset.task).guidance.maximum
    settings = preset.reconstruction
    reconstruction = _reconstruction(settings, preset.channels, guided, maximum)
    if not guided:
        return GuidedModel(None, reconstruction)
    if level is not None:
        return GuidedModel(ConstantMap(level, maximum), reconstruction)
    if isinstance(settings, UnfoldedSettings) and settings.maps == "stage":
        networks = [_proxy(preset.proxy, 1, maximum) for _ in range(settings.stages)]
        return GuidedModel(StageHyperNetworks(networks), reconstruction)
    # The hyper-network of a refinement reads the observation and the last result.
    pictures = 2 if isinstance(settings, RefinementSettings) else 1
    return GuidedModel(_proxy(preset.proxy, pictures * preset.channels, maximum), reconstruction)


def _proxy(settings: Proxy, channels: int, maximum: float) -> ProxyNetwork:
    match settings:
        case CompactProxySettings():
            return _compact_proxy(settings, channels, maximum)
        case PlainProxySettings(width=width):
            return PlainHyperNetwork(channels, width, maximum)


def _compact_proxy(
    settings: CompactProxySettings, channels: int, maximum: float
) -> HyperNetwork | SceneHyperNetwork:
    shape = (channels, settings.width, settings.unshuffle, settings.dilations)
    if settings.view == "scene":
        return SceneHyperNetwork(
            *shape,
            maximum,
            texture=settings.texture,
            grain=settings.grain,
            edges=settings.edges,
            texture_stride=settings.texture_stride,
        )
    return HyperNetwork(
        *shape,
        settings.view,
        settings.smooth,
        maximum,
        coarse=settings.coarse,
        reach=settings.reach,
        patches=settings.patches,
    )


def _reconstruction(
    settings: Reconstruction, channels: int, guided: bool, maximum: float
) -> nn.Module:
    match settings:
        case UNetSettings(output=output):
            return GuidedUNet(channels, guided, maximum, settings, output)
        case ScatteringSettings():
            return ScatteringUNet(
                channels,
                guided,
                maximum,
                settings,
                settings.texture,
                exposure=settings.exposure,
                grain=settings.grain,
                texture_stride=settings.texture_stride,
            )
        case RefinementSettings(stages=stages):
            return GuidedRefinement(channels, guided, maximum, settings, stages)
        case StackSettings(_, unshuffle, width, depth):
            return GuidedStack(channels, guided, unshuffle, width, depth, maximum)
        case PReNetSettings(stages=stages):
            return PReNet(guided, maximum, stages)
        case GridDehazeNetSettings():
            return GridDehazeNet(guided, maximum)
        case UnfoldedSettings(stages=stages, denoiser=denoiser):
            return UnfoldedDeconvolution(
                [_denoiser(denoiser, guided, maximum) for _ in range(stages)],
                padding=settings.padding,
                learned_rho=settings.rho == "predicted",
                asks_per_stage=guided and settings.maps == "stage",
                maximum=maximum,
                ramps=settings.margins == "ramp",
            )


def _denoiser(settings: DilatedSettings | UNetSettings, guided: bool, maximum: float) -> nn.Module:
    match settings:
        case DilatedSettings(dilations, width):
            return DilatedDenoiser(guided, dilations, width, maximum)
        case UNetSettings():
            return _reconstruction(settings, 1, guided, maximum)
