"""The unfolded restoration network, which alternates closed-form deconvolution and denoising.

Stage i of Sec. 4.1 and the authors' code:

    z_i = F^-1((conj(K) F(y) + rho_i F(x_{i-1})) / (|K|^2 + rho_i)),   x_0 = y
    g_i = H_i(z_i)                                    (or a map given by the user)
    x_i = D_i(z_i, g_i)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.training.deconvolution import (
    ClosedForm,
    DirectForm,
    Margins,
    crop,
    edgetaper,
    pad_for,
    pad_with_ramps,
)

# IRCNN's half-quadratic splitting (K. Zhang et al., CVPR 2017): rho_i = (sigma^2 / 3) (255 / s_i)^2
# with s_i decreasing geometrically from 49 to 13, and sigma fixed at 0.01 in the paper's code.
_FIRST_LEVEL, _LAST_LEVEL = 49.0, 13.0
_NOISE_LEVEL = 0.01
_LEAST_LEVEL = 0.29 / 255  # rounding noise of 8-bit pictures


def rho_factors(stages: int) -> list[float]:
    """rho_i / sigma^2 of each stage."""
    ratio = _LAST_LEVEL / _FIRST_LEVEL
    levels = [_FIRST_LEVEL * ratio ** (i / max(stages - 1, 1)) for i in range(stages)]
    return [(255 / level) ** 2 / 3 for level in levels]


class DilatedDenoiser(nn.Module):
    """The paper's denoiser: dilated 3x3 convolutions that predict the residual to add to z.

    guided: whether there is a map channel.
    dilations: one per convolution; nine for the paper's `general` network, six for `tiny`.
    width: feature channels.
    maximum: the map is divided by it.
    """

    size_multiple = 1

    def __init__(self, guided: bool, dilations: Sequence[int], width: int, maximum: float) -> None:
        super().__init__()
        self.maximum = maximum
        sizes = [1 + guided, *[width] * (len(dilations) - 1), 1]
        self.convs = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], 3, padding=d, dilation=d)
            for i, d in enumerate(dilations)
        )
        last = self.convs[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.weight)  # training starts from pure deconvolution
        nn.init.zeros_(last.bias)

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Denoise planes, shape (N, 1, H, W), guided by maps of the same shape."""
        x = image if guidance is None else torch.cat([image, guidance / self.maximum], 1)
        for conv in self.convs[:-1]:
            x = F.relu(conv(x))
        return image + self.convs[-1](x)


class LearnedFactors(nn.Module):
    """rho_i / sigma^2 of each stage, positive, learned with the schedule's values as start."""

    def __init__(self, factors: Sequence[float]) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(factors).log())

    def forward(self, stage: int) -> Tensor:
        """The factor of a stage, shape ()."""
        return self.log[stage].exp()

    def fold(self) -> FoldedFactors:
        """The same factors as constants."""
        return FoldedFactors(self.log.detach().exp())

    def unfold(self, folded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state from that of the folded form. Raises KeyError if a stage is missing."""
        return {"log": torch.stack([folded[f"stages.{i}"] for i in range(len(self.log))]).log()}


class FoldedFactors(nn.Module):
    """The same function as `LearnedFactors`, with constants."""

    def __init__(self, factors: Tensor) -> None:
        super().__init__()
        self.stages = nn.ParameterList(factor.clone() for factor in factors)

    def forward(self, stage: int) -> Tensor:
        """See `LearnedFactors.forward`."""
        return self.stages[stage]


class UnfoldedDeconvolution(nn.Module):
    """A_omega for restoration; without a kernel (the unit impulse) it denoises.

    Colour planes share kernel and map. Padding and edgetaper are part of the network, so that every
    host gets the same borders.

    denoisers: D_i, one per stage.
    padding: least padding in pixels on each side, whatever the kernel's size.
    learned_rho: rho_i = a_i sigma^2 with learned a_i and the map's level sigma; else the fixed
        schedule.
    asks_per_stage: whether each stage has its own map.
    ramps: whether the image's margins lead evenly from each edge to the opposite one, rather than
        repeat the edge.
    """

    channels = 1  # planes are restored separately, any number of them

    def __init__(
        self,
        denoisers: Sequence[nn.Module],
        padding: int,
        learned_rho: bool,
        asks_per_stage: bool,
        maximum: float,
        ramps: bool = False,
    ) -> None:
        super().__init__()
        self.denoisers = nn.ModuleList(denoisers)
        self.padding = padding
        self.ramps = ramps
        self.asks_per_stage = asks_per_stage
        self.maximum = maximum
        self.multiple = int(denoisers[0].size_multiple)  # type: ignore[arg-type]
        factors = rho_factors(len(denoisers))
        self.factors = LearnedFactors(factors) if learned_rho else None
        self._schedule = [factor * _NOISE_LEVEL**2 for factor in factors]

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.multiple

    @property
    def canvas_multiples(self) -> tuple[int, int]:
        """Height and width of the padded canvas must be multiples of these.

        With ramps, heights are multiples of 16 and widths of 4, by which exported transforms are
        split (see `export.matrix_fourier`). Repeated edges lose quality by larger margins.
        """
        if not self.ramps:
            return self.multiple, self.multiple
        return math.lcm(self.multiple, 16), math.lcm(self.multiple, 4)

    def forward(
        self,
        image: Tensor,
        guidance: Tensor | Callable[[Tensor, int], Tensor] | None,
        kernel: Tensor | None = None,
        maps_only: bool = False,
    ) -> tuple[Tensor, ...]:
        """Restore an image, not clipped.

        image: shape (N, C, H, W).
        guidance: a map for all stages, shape (N, 1, H, W), noise level with full scale = 1; or a
            function of (z_i as an image, i) that returns it; None for the unguided twin.
        kernel: shape (N or 1, 1, kh, kw), odd sides, sum 1.
        maps_only: skip the last denoiser, after which no map is needed.
        Returns each stage's x_i, shape (N, C, H, W).
        """
        channels = image.shape[1]
        observed = image.flatten(0, 1)[:, None] if channels > 1 else image
        of = image.new_ones(1, 1, 1, 1) if kernel is None else kernel
        margins = pad_for(of, image.shape[2], image.shape[3], self.canvas_multiples, self.padding)
        if self.ramps:
            observed = pad_with_ramps(observed, margins)
        elif any(margins):
            observed = F.pad(observed, margins, mode="replicate")
        solve: ClosedForm | DirectForm
        # Fourier transforms exist only in full precision, and the division needs it.
        with torch.autocast(image.device.type, enabled=False):
            if kernel is None:
                solve = DirectForm(observed)
            else:
                kernel = kernel.expand(len(image), -1, -1, -1).repeat_interleave(channels, 0)
                observed = edgetaper(observed, kernel)
                solve = ClosedForm(observed, kernel)
        x, iterates = observed, []
        for stage, denoise in enumerate(self.denoisers):
            with torch.autocast(image.device.type, enabled=False):
                z = solve(x, self._rho(stage, guidance, channels))
            used = guidance
            if callable(guidance):
                used = guidance(_as_image(crop(z, margins), channels), stage)
            if maps_only and stage == len(self.denoisers) - 1:
                break
            x = denoise(z, _as_planes(used, channels, margins))
            iterates.append(_as_image(crop(x, margins), channels))
        return tuple(iterates)

    def _rho(self, stage: int, guidance: object, channels: int) -> Tensor | float:
        if self.factors is None:
            return self._schedule[stage]
        factor: Tensor = self.factors(stage)
        if not isinstance(guidance, Tensor):
            return factor * _NOISE_LEVEL**2
        level = guidance.square().mean((1, 2, 3), keepdim=True)
        # Keep rho above 0 without noise: where the spectrum is zero, it is the divisor.
        return factor * level.clamp(min=_LEAST_LEVEL**2).repeat_interleave(channels, 0)


def _as_image(planes: Tensor, channels: int) -> Tensor:
    return planes.unflatten(0, (-1, channels)).squeeze(2) if channels > 1 else planes


def _as_planes(guidance: object, channels: int, margins: Margins) -> Tensor | None:
    """The map on the padded canvas, once for each plane."""
    if guidance is None:
        return None
    assert isinstance(guidance, Tensor)
    planes = guidance.repeat_interleave(channels, 0) if channels > 1 else guidance
    return F.pad(planes, margins, mode="replicate") if any(margins) else planes
