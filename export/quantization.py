"""Explicit int8 quantisation: calibration, then a fit to the float pair with rounded values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor

from hyperguide.tasks import find_task
from hyperguide.training.data.sample import Sample
from hyperguide.training.model import GuidedModel, Restoration
from hyperguide.training.optimizers import lr_factor, set_lr_factor
from hyperguide.training.precision import autocast, fastest_precision

from .calibration import Calibration
from .equalization import equalize
from .quantized_layers import Steps, quantize_layers, to_floats
from .turned_dials import turn_dials

# Share of the absolute values that the initial ranges cover.
_COVERED = 0.9995
# Operators through which OpenVINO moves pairs to a Concat.
_TRANSPARENT = {"Add", "AveragePool", "Clip", "Div", "Mul", "Relu", "Sub"}
# Step size of the weights and of the ranges' logarithms.
_LR = 3e-4
# Mean squared differences below which maps count as equal, and at which errors of pictures begin to
# count, 47 dB. Without it, those of almost clean pictures would count most.
_EQUAL, _LEAST_ERROR = (0.25 / 255) ** 2, 2e-5
# Of a batch. Presets for GPUs have larger ones, with which deblurring took 16 GB.
_MOST_PIXELS = 150_000


@dataclass(frozen=True)
class Quantized:
    """A pair that computes in int8.

    model: the pair with rounded weights, stored as floats.
    steps: the steps of every convolution, by the name of its weights.
    """

    model: GuidedModel
    steps: dict[str, Steps]


def quantize(
    model: GuidedModel, calibration: Calibration, steps: int, report: Callable[[int], None]
) -> Quantized:
    """Quantise every convolution of a folded pair and fit it to the float pair.

    steps: steps with rounded weights and activations towards the float pair's pictures and maps.
        With 0, the pair is not fitted.
    report: called with the number of steps done.
    """

    def run(pair: GuidedModel, sample: Sample) -> Restoration:
        return pair.restore(sample.degraded, sample.kernel)

    even = equalize(model, run, calibration.crops, _COVERED)
    quantized = quantize_layers(even, run, calibration.crops, _COVERED)
    if steps:
        _fit(quantized.train(), model, calibration, steps, report)
    return Quantized(*to_floats(quantized.eval()))


def _fit(
    model: GuidedModel,
    in_floats: GuidedModel,
    calibration: Calibration,
    steps: int,
    report: Callable[[int], None],
) -> None:
    """Train a quantised pair to return what the float pair does.

    The targets are not the clean pictures: more training would change the pair, so that its
    measured qualities, such as how true its map is and that it leaves clean pictures alone, would
    no longer be those of the fp32 file.
    """
    preset, data = calibration.preset, calibration.data
    maximum = find_task(preset.task).guidance.maximum
    optimizer = torch.optim.Adam([{"params": list(model.parameters()), "base_lr": _LR}], _LR)
    device = torch.device("cpu")
    in_lower_precision = autocast(fastest_precision(device), device)
    schedule = replace(preset.schedule, steps=steps, shape="cosine")
    last = schedule.stages[-1]
    stage = replace(last, batch=max(min(last.batch, _MOST_PIXELS // last.crop**2), 1))
    rng = torch.Generator().manual_seed(0)
    for step in range(steps):
        set_lr_factor(optimizer, lr_factor(schedule, step))
        optimizer.zero_grad()
        sample = data.draw("hyper", step, stage, seed=1).sample
        with torch.no_grad():
            wanted = in_floats.restore(sample.degraded, sample.kernel)
        with in_lower_precision():
            found = model.restore(sample.degraded, sample.kernel)
        _added_loss(found, wanted, sample.clean, maximum).backward()
        sample = data.draw("train", step, stage, seed=2).sample
        turned = turn_dials(sample, calibration.channels, maximum, rng)
        with in_lower_precision():
            found = turned.restore(model)
        _added_loss(found, turned.wanted(in_floats), turned.clean, maximum).backward()
        optimizer.step()
        report(step + 1)


def _added_loss(found: Restoration, wanted: Restoration, clean: Tensor, maximum: float) -> Tensor:
    """How much a quantised pair adds to the float pair's error, on a logarithmic scale.

    For the picture it is what PSNR loses, log(1 + MSE(found, wanted) / MSE(wanted, clean)), except
    beyond 47 dB. log(MSE(found, wanted)) would lose at strong noise, where errors are large and
    samples few, what it gains at weak noise. To it comes log(MSE) of the maps, relative to their
    range.
    """
    own, added = (_mse(wanted.restored, other) for other in (clean, found.restored))
    losses = [(1 + added / (own + _LEAST_ERROR)).log()]
    for mine, other in zip(found.maps, wanted.maps, strict=True):
        losses.append((_mse(mine / maximum, other / maximum) + _EQUAL).log())
    return torch.stack([loss.mean() for loss in losses]).sum()


def _mse(one: Tensor, other: Tensor) -> Tensor:
    """Of each picture, shape (N,)."""
    return (one.float() - other).square().mean((1, 2, 3))


def insert_pairs(proto: onnx.ModelProto, steps: dict[str, Steps]) -> onnx.ModelProto:
    """A copy of a graph with Q/DQ pairs at the convolutions.

    Explicit and symmetric, as TensorRT requires: int8 weights with one scale per output channel,
    one scale per input, biases in floats. Everything between the convolutions, including the path
    from `image` to `enhanced` and the dials, stays in floats.

    OpenVINO (2026.4) moves pairs in front of a Concat and then computes the convolution after it
    wrongly. A Max with the lowest float prevents this, because OpenVINO moves no pairs through it.

    Raises ValueError if weights are not found: their convolutions would silently stay in floats.
    """
    quantized = onnx.ModelProto()
    quantized.CopyFrom(proto)
    graph = quantized.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = list(graph.node)
    makers = {name: node for node in nodes for name in node.output}
    del graph.node[:]
    done: set[str] = set()
    uses: Counter[str] = Counter()
    rounded: dict[str, str] = {}  # tensor -> its rounded form, which replaces it for all readers

    def constant(name: str, value: np.ndarray | np.generic) -> str:
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(kind: str, inputs: list[str], output: str) -> str:
        # The axis applies to the weights' scales; it is ignored for a single scale.
        graph.node.append(onnx.helper.make_node(kind, inputs, [output], output, axis=0))
        return output

    def is_joined(source: str) -> bool:
        maker = makers.get(source)
        if maker is None or maker.op_type not in _TRANSPARENT:
            return maker is not None and maker.op_type == "Concat"
        return any(is_joined(name) for name in maker.input)

    def round_input(source: str, step: float, reader: str) -> str:
        uses[reader] += 1
        name = f"{reader}.input" + (f".{uses[reader]}" if uses[reader] > 1 else "")
        if is_joined(source):
            least = constant(f"{name}.least", np.finfo(np.float32).min)
            graph.node.append(onnx.helper.make_node("Max", [source, least], [f"{name}.joined"]))
            source = f"{name}.joined"
        scale = constant(f"{name}.step", np.float32(step))
        zero = constant(f"{name}.zero", np.int8(0))
        units = add("QuantizeLinear", [source, scale, zero], f"{name}.int8")
        return add("DequantizeLinear", [units, scale, zero], name)

    def round_weight(name: str, steps: np.ndarray) -> str:
        if name in done:  # recurrent networks reuse their weights
            return f"{name}.floats"
        done.add(name)
        floats = onnx.numpy_helper.to_array(weights[name])
        units = np.rint(floats / steps[:, None, None, None]).astype(np.int8)
        graph.initializer.remove(weights[name])
        scale = constant(f"{name}.step", steps.astype(np.float32))
        zeros = constant(f"{name}.zero", np.zeros(len(units), np.int8))
        return add("DequantizeLinear", [constant(name, units), scale, zeros], f"{name}.floats")

    for node in nodes:
        if node.op_type == "Conv" and node.input[1] in steps:
            source, name = node.input[0], node.input[1]
            step = steps[name]
            result = rounded.get(source)
            if result is None:
                result = round_input(source, step.activation, name)
                if step.shared:
                    rounded[source] = result
            node.input[0] = result
            node.input[1] = round_weight(name, step.weights)
        else:
            for position, source in enumerate(node.input):
                node.input[position] = rounded.get(source, source)
        graph.node.append(node)
    forgotten = steps.keys() - done
    if forgotten:
        raise ValueError(f"The graph has no convolution with the weights {sorted(forgotten)[0]}.")
    onnx.checker.check_model(quantized, full_check=True)
    return quantized
