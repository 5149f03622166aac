"""Measures the receptive field of a network by propagating a NaN through it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyperguide.padding import next_multiple

# Least length of the strips; a network that reaches their ends counts as having global context.
_STRIP = 2048


def receptive_field(network: nn.Module, channels: list[int], probed: int) -> int | None:
    """Distance in pixels over which an input pixel reaches output pixels.

    NaN passes through every operation that uses it, whatever the weights, so the extent of NaN
    in the output is the exact reach. It is measured on narrow horizontal and vertical strips, one
    strip per position of a pixel in the network's blocks.

    channels: planes of each of the network's inputs.
    probed: index of the input that gets the NaN.
    Returns the reach, or None (global context) if it extends to an end of the strip.
    """
    lying = _reach(network, channels, probed, along=3)
    standing = _reach(network, channels, probed, along=2)
    return None if lying is None or standing is None else max(lying, standing)


def _reach(network: nn.Module, channels: list[int], probed: int, along: int) -> int | None:
    multiple: int = network.size_multiple  # type: ignore[assignment]  # Module's __getattr__
    length = next_multiple(_STRIP, multiple)
    size = [multiple, multiple]
    size[along - 2] = length
    inputs = [torch.zeros(multiple, planes, *size) for planes in channels]
    center = length // 2 + torch.arange(multiple)
    for phase in range(multiple):
        inputs[probed][phase].select(along - 1, int(center[phase]))[:, phase] = torch.nan
    with torch.no_grad():
        result = network(*inputs)
    output: Tensor = result[-1] if isinstance(result, tuple) else result
    hit = output.isnan().any(1).any(5 - along - 1)  # (phase, position along the strip)
    if not hit.any():
        return 0
    phases, positions = hit.nonzero(as_tuple=True)
    if positions.min() == 0 or positions.max() == length - 1:
        return None
    return int((positions - center[phases]).abs().max())
