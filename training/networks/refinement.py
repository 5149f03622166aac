"""Progressive refinement for deraining: stages that each see the observation and the last result.

    r_i = (y, x_{i-1}),   x_0 = y
    g_i = H(r_i)                                      (or a map given by the user)
    x_i = A_i(r_i, g_i, features of stage i-1)

What one stage has removed shows the next hyper-network where rain is left, so its loss depends on
omega, and the two problems of Algorithm 1 are coupled. Stages as in D. Ren et al., Progressive
Image Deraining Networks, CVPR 2019, here U-Nets without recurrent weights: at equal cost, weights
of their own are the larger network.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.training.preset import UNetShape

from .unet import UNetFeatures


class Refiner(UNetFeatures):
    """A_i: one stage.

    channels: of the image; the network reads twice as many, observation and last result.
    carries: whether it continues from the features of the stage before.
    Other arguments: see `UNetFeatures`.
    """

    def __init__(
        self, channels: int, guided: bool, maximum: float, shape: UNetShape, carries: bool
    ) -> None:
        super().__init__(2 * channels, guided, maximum, shape)
        self.carry = nn.Conv2d(shape.widths[0], shape.widths[0], 1) if carries else None
        self.tail = self.last_layer(channels)  # training starts at the identity

    def forward(
        self, read: Tensor, guidance: Tensor | None, features: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The residual to add to the observation, and the features for the next stage."""
        x = self.first_features(read, guidance)
        if self.carry is not None:
            x = x + self.carry(features)
        x = self.decode(*self.encode_features(x, guidance))
        return F.pixel_shuffle(self.tail(x), self.unshuffle), x


class GuidedRefinement(nn.Module):
    """A_omega(y; g) in stages.

    stages: number of stages.
    Other arguments: see `UNetFeatures`.
    """

    def __init__(
        self, channels: int, guided: bool, maximum: float, shape: UNetShape, stages: int
    ) -> None:
        super().__init__()
        self.channels = channels
        self.maximum = maximum
        self.asks_per_stage = guided
        self.stages = nn.ModuleList(
            Refiner(channels, guided, maximum, shape, carries=stage > 0) for stage in range(stages)
        )
        self.size_multiple = int(shape.unshuffle * 2 ** (len(shape.widths) - 1))

    def forward(
        self,
        image: Tensor,
        guidance: Tensor | Callable[[Tensor, int], Tensor] | None = None,
        maps_only: bool = False,
    ) -> tuple[Tensor, ...]:
        """Restore an image, not clipped.

        image: shape (N, C, H, W) in [0, 1]; H and W multiples of `size_multiple`.
        guidance: a map for all stages, shape (N, 1, H, W), or a function of (r_i, i) that returns
            it; None for the unguided twin.
        maps_only: skip the last stage, after which no map is needed.
        Returns each stage's x_i, shape (N, C, H, W).
        """
        iterates: list[Tensor] = []
        result, features = image, None
        for stage, refine in enumerate(self.stages):
            read = torch.cat([image, result], 1)
            used = guidance(read, stage) if callable(guidance) else guidance
            if maps_only and stage == len(self.stages) - 1:
                break
            residual, features = refine(read, used, features)
            result = image + residual
            iterates.append(result)
        return tuple(iterates)
