"""How much work a pair does for a pixel."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from hyperguide.training.model import GuidedModel


def kilo_macs(model: GuidedModel) -> float:
    """Multiply-accumulates per pixel in thousands: convolutions and matrix products, both networks.

    Fourier transforms are not counted.
    """
    side = 256
    planes = int(model.reconstruction.channels)  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.restore(torch.rand(1, planes, side, side))
    return counter.get_total_flops() / 2 / side**2 / 1000
