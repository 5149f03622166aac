"""The guided pair: hyper-network and reconstruction as one model with dials."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hyperguide.tasks import find_task

from .networks import GuidedUNet, HyperNetwork
from .preset import Preset


class GuidedModel(nn.Module):
    """image -> (enhanced, guidance), the network pair with the dials of the model file.

    proxy: H_theta. None in the unguided twin.
    reconstruction: A_omega.
    """

    def __init__(self, proxy: HyperNetwork | None, reconstruction: GuidedUNet) -> None:
        super().__init__()
        self.proxy = proxy
        self.reconstruction = reconstruction

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this."""
        own = self.reconstruction.size_multiple
        return own if self.proxy is None else math.lcm(own, self.proxy.size_multiple)

    def forward(
        self,
        image: Tensor,
        guidance_in: Tensor,
        guidance_mix: Tensor,
        guidance_scale: Tensor,
        strength: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Enhance with dials; every dial broadcasts against (N, 1, H, W).

        g = scale (mix guidance_in + (1 - mix) H(image))
        enhanced = clip(image + strength (A(image; g) - image))

        Returns (enhanced, shape (N, C, H, W) in [0, 1]; the mixed map before the scale,
        shape (N, 1, H, W)).
        """
        assert self.proxy is not None, "an unguided model has no dials"
        # Where nothing of guidance_in is used it must not count, not even as NaN.
        given = torch.where(guidance_mix > 0, guidance_in, torch.zeros_like(guidance_in))
        guidance = guidance_mix * given + (1 - guidance_mix) * self.proxy(image)
        restored = self.reconstruction(image, guidance_scale * guidance)
        enhanced = image + strength * (restored - image)
        return enhanced.clamp(0, 1), guidance


def build_model(preset: Preset, guided: bool = True) -> GuidedModel:
    """Build the untrained pair of a preset; without guidance, its unguided twin."""
    maximum = find_task(preset.task).guidance.maximum
    p, r = preset.proxy, preset.reconstruction
    proxy = HyperNetwork(preset.channels, p.width, p.unshuffle, p.dilations, p.view, maximum)
    reconstruction = GuidedUNet(
        preset.channels, guided, r.unshuffle, r.widths, r.middle, r.output, maximum
    )
    return GuidedModel(proxy if guided else None, reconstruction)
