"""A sigmoid that training cannot lose: where it is nearly 0, it can still rise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Below this, a sigmoid and its slope are less than 0.0025.
_LOWEST = -6.0


def unsaturated(x: Tensor) -> Tensor:
    """x, to be given to a sigmoid.

    Most pixels of most maps are 0, and large steps drive x so far down that the slope of the
    sigmoid vanishes. Then the map is 0 everywhere, for good. So with gradients, x counts as -6
    where it is below, and is never pushed further down. Not for use in exported graphs.
    """
    if not x.requires_grad:
        return x
    bounded: Tensor = _Bounded.apply(x)
    return bounded


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=_LOWEST)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] * ((x > _LOWEST) | (gradients[0] < 0))
