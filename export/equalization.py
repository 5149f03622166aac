"""Makes the channels of a U-Net's features equally large: int8 has one range for all of them.

Cross-layer equalization (M. Nagel et al., Data-Free Quantization through Weight Equalization and
Bias Correction, ICCV 2019): what writes a channel is multiplied by a factor, what reads it is
divided by it. ReLU and addition let positive factors pass, so that the function stays the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from hyperguide.training.networks.guided_input import SplitHead
from hyperguide.training.networks.unet import GuidedUNet, ResidualBlock

from .quantized_layers import CROPS_COVERED, reach, watching

Module = TypeVar("Module", bound=nn.Module)
Crop = TypeVar("Crop")

# No channel is made larger than by this factor: the weights that read it become as much smaller.
_LARGEST_FACTOR = 8.0
_LEAST_RANGE = 1e-8  # of features that are always zero


@dataclass(frozen=True)
class Features:
    """Channels that convolutions write and read, and that are only added or clipped in between.

    writers: convolutions whose output channels these are, in order; several successive ones for
        each channel if a pixel shuffle follows.
    """

    writers: Sequence[nn.Conv2d]
    readers: Sequence[nn.Conv2d]


def equalize(
    module: Module, run: Callable[[Module, Crop], object], crops: Sequence[Crop], covered: float
) -> Module:
    """A copy of a folded module in which the channels of its U-Nets have equal ranges.

    Other networks are only copied. Arguments: see `quantized_layers.quantize_layers`.
    """
    module = copy.deepcopy(module)
    found = [
        features
        for network in module.modules()
        if isinstance(network, GuidedUNet)
        for features in _features(network)
    ]
    reaches: dict[nn.Module, list[Tensor]] = {
        layer: [] for features in found for layer in features.readers
    }

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        reaches[layer].append(reach(inputs[0].transpose(0, 1).flatten(1), covered))

    with watching(reaches, watch):
        for crop in crops:
            run(module, crop)
    with torch.no_grad():
        for features in found:
            _scale(features, [torch.stack(reaches[layer]) for layer in features.readers])
    return module


def _scale(features: Features, reaches: Sequence[Tensor]) -> None:
    """Make all channels as large as the largest, on average over what the readers see.

    reaches: of each reader's input, shape (crops, C).
    """
    sizes = []
    for of_reader in reaches:
        ranges = of_reader.quantile(CROPS_COVERED, 0)
        largest = ranges.max().clamp(min=_LEAST_RANGE)
        sizes.append((ranges / largest).clamp(min=1 / _LARGEST_FACTOR).log())
    factors = (-torch.stack(sizes).mean(0)).exp()
    for conv in features.writers:
        repeated = factors.repeat_interleave(conv.out_channels // len(factors))
        conv.weight *= repeated.view(-1, 1, 1, 1)
        if conv.bias is not None:
            conv.bias *= repeated
    for conv in features.readers:
        conv.weight /= factors.view(1, -1, 1, 1)


def _features(network: GuidedUNet) -> Iterator[Features]:
    """Those of each level, and those within each residual block."""
    depth = len(network.down)
    blocks = [
        [block for part in parts for block in _blocks(part)]
        for parts in zip(network.encoder, network.decoder, strict=True)
    ]
    blocks.append(list(_blocks(network.middle)))
    for level, at_level in enumerate(blocks):
        writers, readers = _entries(network, level), []
        if level < depth:
            writers += [network.up[level]]
            readers += [network.down[level]]
        readers += [network.up[level - 1] if level else network.tail]
        writers += [block.conv2 for block in at_level]
        readers += [block.conv1 for block in at_level]
        yield Features(_convolutions(writers), _convolutions(readers))
        for block in at_level:
            yield Features([block.conv1], [block.conv2])


def _entries(network: GuidedUNet, level: int) -> list[nn.Module | None]:
    """The layers whose outputs are added at the begin of a level of the encoder."""
    if level == 0:
        assert isinstance(network.head, SplitHead)
        return [network.head.image, network.head.guidance]
    of_map = network.blockwise_map if level == 1 else None
    return [network.down[level - 1], None if of_map is None else of_map.conv]


def _blocks(part: nn.Module) -> Iterator[ResidualBlock]:
    return (module for module in part.modules() if isinstance(module, ResidualBlock))


def _convolutions(layers: Sequence[nn.Module | None]) -> list[nn.Conv2d]:
    found = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert len(found) == sum(layer is not None for layer in layers)
    return found
