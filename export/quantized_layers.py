"""Convolutions in int8, simulated in torch for training.

Rounding has no useful gradient, so gradients pass straight through (Y. Bengio et al., arXiv
1308.3432), and the range of the activations is learned along with the weights (S. Esser et al.,
Learned Step Size Quantization, ICLR 2020).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.training.networks.guided_input import PixelConvolution

Module = TypeVar("Module", bound=nn.Module)
Crop = TypeVar("Crop")

_LOWEST, _HIGHEST = -128, 127
# Processors without int8 instructions (VNNI) add the products of two neighbouring inputs in 16 bits
# and saturate the sum; 255 * 128 still fits. Otherwise OpenVINO loses half a decibel on them.
_LARGEST_PAIR = 126  # two units less, because rounding raises each weight of a pair by up to one
_LEAST_STEP = 1e-8  # for channels whose weights are zero
# Dehazing signals that there is nothing to remove by extreme values. The few such crops must not
# set the range: clipped values have the same meaning. Strong noise is in more crops, and must.
CROPS_COVERED = 0.97


@dataclass(frozen=True)
class Steps:
    """The step sizes (value of one int8 unit) of a convolution.

    activation: step of its input.
    weights: steps of each output channel's weights, shape (O,).
    shared: whether all other readers of the input get it rounded too.
    """

    activation: float
    weights: np.ndarray
    shared: bool


class Rounding(nn.Module):
    """Rounds activations to int8.

    step: initial step size.
    learned: whether the step size is trained.
    """

    def __init__(self, step: float, learned: bool = True) -> None:
        super().__init__()
        self.log_step = nn.Parameter(torch.tensor(step).log(), requires_grad=learned)

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape."""
        return _round(x.float(), self.log_step.exp(), _LOWEST, _HIGHEST)


class QuantizedConvolution(nn.Module):
    """A convolution of rounded activations with rounded weights.

    convolution: the convolution in floats, whose weights are trained further.
    rounding: rounding of its input; if that is already rounded, the same layer, which then has no
        effect.
    """

    def __init__(self, convolution: nn.Conv2d, rounding: Rounding) -> None:
        super().__init__()
        self.convolution = convolution
        self.rounding = rounding

    def forward(self, x: Tensor) -> Tensor:
        """x: shape (N, C, H, W)."""
        conv = self.convolution
        return conv._conv_forward(self.rounding(x), self.rounded_weight(), conv.bias)

    def rounded_weight(self) -> Tensor:
        """The rounded weights, whose sums over the taps are right, see `round_keeping_sums`."""
        steps = self.weight_steps().view(-1, 1, 1, 1)
        units = self.convolution.weight / steps
        rounded = round_keeping_sums(units.detach())
        return (units + (rounded - units).detach()) * steps

    def weight_steps(self) -> Tensor:
        """The step size of each output channel, shape (O,)."""
        largest = largest_pair(self.convolution.weight.detach())
        return (largest / _LARGEST_PAIR).clamp(min=_LEAST_STEP)


def largest_pair(weight: Tensor) -> Tensor:
    """The largest absolute sum of two neighbouring weights of one sign, of each output channel.

    Neighbours are inputs 2n and 2n + 1 of a tap, and in a filter whose odd number of inputs is
    stored without padding, values 2n and 2n + 1 of the filter, tap by tap.

    weight: shape (O, I, kh, kw). Returns shape (O,).
    """
    taps = weight.permute(0, 2, 3, 1)
    orders = [F.pad(taps, (0, taps.shape[3] % 2)).flatten(1)]
    if taps.shape[3] % 2:
        orders.append(F.pad(taps.flatten(1), (0, taps[0].numel() % 2)))
    sums = [
        signed.clamp(min=0).unflatten(1, (-1, 2)).sum(2).amax(1)
        for order in orders
        for signed in (order, -order)
    ]
    return torch.stack(sums).amax(0)


def round_keeping_sums(units: Tensor) -> Tensor:
    """Round so that the sum over the taps of each input channel is off by half a unit at most.

    units: shape (O, I, kh, kw).
    """
    taps = units.flatten(2)
    rounded = taps.round()
    missing = (taps.sum(2) - rounded.sum(2)).round()[..., None]
    order = (taps - rounded).argsort(2, descending=True)
    rank = torch.empty_like(order).scatter_(
        2, order, torch.arange(taps.shape[2], device=units.device).expand_as(order)
    )
    raised = (rank < missing).to(units.dtype)
    lowered = (rank >= taps.shape[2] + missing).to(units.dtype)
    return (rounded + raised - lowered).view_as(units)


def _round(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    units = (x / step).clamp(low, high)
    return (units + (units.round() - units).detach()) * step


@dataclass
class _Seen:
    """The inputs of a layer during calibration.

    reaches: for each crop, the absolute value that the covered share of the values does not exceed.
    source: the identity layer whose output it read, if any.
    """

    reaches: list[float]
    source: nn.Module | None

    @property
    def step(self) -> float:
        return max(float(np.quantile(self.reaches, CROPS_COVERED)) / _HIGHEST, _LEAST_STEP)


def quantize_layers(
    module: Module, run: Callable[[Module, Crop], object], crops: Sequence[Crop], covered: float
) -> Module:
    """A copy whose convolutions are quantised and whose identity layers round.

    Layers that a module names in `in_floats` are unchanged.

    run: runs a module on a crop, so that every layer sees typical input.
    covered: share of the absolute values that the initial ranges cover, in [0, 1].
    """
    module = copy.deepcopy(module)
    seen = _watch(module, run, crops, covered)
    roundings: dict[nn.Module, Rounding] = {
        layer: Rounding(of.step) for layer, of in seen.items() if isinstance(layer, nn.Identity)
    }
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if child in roundings:
                setattr(parent, name, roundings[child])
            elif child in seen:
                assert isinstance(child, nn.Conv2d)
                source = seen[child].source
                # Pixels keep their range: most training pictures lie in [0, 1], and a range that is
                # fitted to them clips noise beyond.
                learned = not isinstance(child, PixelConvolution)
                rounding = roundings[source] if source else Rounding(seen[child].step, learned)
                setattr(parent, name, QuantizedConvolution(child, rounding))
    return module


def _watch(
    module: Module, run: Callable[[Module, Crop], object], crops: Sequence[Crop], covered: float
) -> dict[nn.Module, _Seen]:
    """Record the inputs of the convolutions and identity layers on the crops."""
    seen: dict[nn.Module, _Seen] = {}
    sources: dict[int, tuple[nn.Module, Tensor]] = {}  # keeps the tensor, and so its id

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        source, _ = sources.get(id(inputs[0]), (None, None))
        of = seen.setdefault(layer, _Seen([], source))
        of.reaches.append(float(reach(inputs[0].flatten(), covered)))
        if isinstance(layer, nn.Identity):  # returns the same tensor
            sources[id(inputs[0])] = layer, inputs[0]

    exact = {getattr(m, name) for m in module.modules() for name in getattr(m, "in_floats", ())}
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Identity)]
    layers = [layer for layer in layers if layer not in exact]
    with watching(layers, watch):
        for crop in crops:
            run(module, crop)
            sources.clear()
    return seen


def reach(values: Tensor, covered: float) -> Tensor:
    """The absolute value that the covered share of each row does not exceed.

    values: shape (..., n). Returns shape (...).
    """
    kept = max(1, round(covered * values.shape[-1]))
    return values.abs().kthvalue(kept).values


@contextmanager
def watching(
    layers: Iterable[nn.Module], watch: Callable[[nn.Module, tuple[Tensor, ...]], None]
) -> Iterator[None]:
    """Call `watch` with each of the layers and its inputs before it runs, without gradients."""
    hooks = [layer.register_forward_pre_hook(watch) for layer in layers]
    try:
        with torch.no_grad():
            yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def to_floats(module: Module) -> tuple[Module, dict[str, Steps]]:
    """A copy with plain layers and rounded weights, and the steps by the weights' names."""
    module = copy.deepcopy(module)
    parents = [m for m in module.modules() if not isinstance(m, QuantizedConvolution)]
    shared = {child for m in parents for child in m.children() if isinstance(child, Rounding)}
    steps = {}
    for path, parent in list(module.named_modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, QuantizedConvolution):
                key = ".".join(part for part in (path, name, "weight") if part)
                step = float(child.rounding.log_step.exp())
                steps[key] = Steps(step, child.weight_steps().numpy(), child.rounding in shared)
                plain = child.convolution
                plain.weight.copy_(child.rounded_weight())
                setattr(parent, name, plain)
            elif child in shared and parent in parents:
                setattr(parent, name, nn.Identity())
    return module, steps
