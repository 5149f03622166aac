"""int8 by explicit quantisation: calibrated, trained a little on, and its loss measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor

from hyperguide.model_file import ENHANCED, GUIDANCE, IMAGE, KERNEL
from hyperguide.tasks import find_task
from hyperguide.training.bilevel import Bilevel
from hyperguide.training.data.batches import Data, open_data
from hyperguide.training.data.sample import Sample
from hyperguide.training.losses import guidance_loss, task_loss
from hyperguide.training.metrics import MOST_PSNR, psnr
from hyperguide.training.model import GuidedModel
from hyperguide.training.optimizers import lr_factor, set_lr_factor
from hyperguide.training.precision import autocast, fastest_precision
from hyperguide.training.preset import Preset
from hyperguide.training.validation import HeldOut

from .quantized_layers import Steps, quantize_layers, to_floats

# From a graph's inputs to its outputs.
Runner = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]

# Pictures that the first ranges are found on.
_CROPS = 16
_COVERED = 0.999
# Step size of the weights; the ranges' logarithms move ten times as fast.
_LR = 1e-3


@dataclass(frozen=True)
class Calibration:
    """Pictures as a model will see them, with their truth.

    data: photos degraded as the preset says, or pairs; the last of them are held out.
    multiple, channels: of the model's sizes, and the planes that it is exported for.
    """

    preset: Preset
    data: Data
    multiple: int
    channels: int

    @cached_property
    def crops(self) -> list[Sample]:
        """Crops to find ranges on, each a batch of one."""
        stage = replace(self.preset.schedule.stages[-1], batch=1)
        return [self.data.draw("train", n, stage, seed=0).sample for n in range(_CROPS)]

    @cached_property
    def held_out(self) -> list[Sample]:
        """The crops that the run was validated on, in batches."""
        held_out = HeldOut(self.data, self.preset.schedule, self.multiple, torch.device("cpu"))
        return [sample for sample, _ in held_out.batches]


@dataclass(frozen=True)
class Quantized:
    """A pair that computes in int8.

    model: with the rounded weights, in floats.
    steps: of every convolution, by the name of its weights.
    """

    model: GuidedModel
    steps: dict[str, Steps]


@dataclass(frozen=True)
class Loss:
    """What int8 costs on held-out pictures.

    enhanced: mean PSNR in floats less that in int8, dB; a picture counts with at most
        MOST_PSNR.
    guidance: root of the mean squared difference of the maps, in the task's unit.
    """

    enhanced: float
    guidance: float

    def to_quality(self) -> dict[str, Any]:
        """What a model file says of it."""
        return {"int8": {"loss_db": self.enhanced, "guidance_rmse": self.guidance}}


def open_calibration(preset: Preset, folders: Sequence[Path], model: GuidedModel) -> Calibration:
    """Photos or pairs, see `sources.find_scenes`, and for the errors."""
    return Calibration(preset, open_data(preset, folders), model.size_multiple, model.channels)


def quantize(
    model: GuidedModel,
    calibration: Calibration,
    steps: int,
    report: Callable[[int], None],
) -> Quantized:
    """Quantise every convolution of a folded pair and let it get used to that.

    steps: of Algorithm 1 on rounded weights and activations. None leaves what rounding gives.
    report: called with the number of steps done.
    """
    quantized = quantize_layers(
        model, lambda pair, s: pair.restore(s.degraded, s.kernel), calibration.crops, _COVERED
    )
    if steps:
        _tune(quantized.train(), calibration, steps, report)
    return Quantized(*to_floats(quantized.eval()))


def _tune(
    model: GuidedModel, calibration: Calibration, steps: int, report: Callable[[int], None]
) -> None:
    preset, data = calibration.preset, calibration.data
    maximum = find_task(preset.task).guidance.maximum
    assert model.proxy is not None
    optimizers = _optimizer(model.proxy), _optimizer(model.reconstruction)
    device = torch.device("cpu")
    algorithm = Bilevel(
        model,
        guidance_loss(maximum),
        task_loss(preset.loss),
        *optimizers,
        stage_weight=preset.stage_weight,
        autocast=autocast(fastest_precision(device), device),
        clip=preset.schedule.clip,
    )
    schedule = replace(preset.schedule, steps=steps, shape="cosine")
    stage = schedule.stages[-1]
    for step in range(steps):
        for optimizer in optimizers:
            set_lr_factor(optimizer, lr_factor(schedule, step))
        algorithm.inner_step(data.draw("hyper", step, stage, seed=1).sample)
        algorithm.outer_step(data.draw("train", step, stage, seed=1).sample)
        report(step + 1)


def _optimizer(network: torch.nn.Module) -> torch.optim.Adam:
    ranges = [p for name, p in network.named_parameters() if name.endswith("log_step")]
    others = [p for name, p in network.named_parameters() if not name.endswith("log_step")]
    groups = [{"params": others, "base_lr": _LR}, {"params": ranges, "base_lr": 10 * _LR}]
    return torch.optim.Adam(groups, _LR)


def insert_pairs(proto: onnx.ModelProto, steps: dict[str, Steps]) -> onnx.ModelProto:
    """A copy of a graph with Q/DQ pairs at the convolutions.

    Explicit and symmetric, as TensorRT wants it: int8 weights with a scale for each output channel,
    one scale for each input, biases in floats. What lies between the convolutions, the path from
    `image` to `enhanced` and the dials among it, stays in floats.
    """
    quantized = onnx.ModelProto()
    quantized.CopyFrom(proto)
    graph = quantized.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    rounded: dict[str, str] = {}  # tensor -> what all that read it get instead

    def constant(name: str, value: np.ndarray | np.generic) -> str:
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(kind: str, inputs: list[str], output: str) -> str:
        # Of the weights' scales it is the axis; of a single one it is ignored.
        graph.node.append(onnx.helper.make_node(kind, inputs, [output], output, axis=0))
        return output

    def round_input(source: str, step: float, name: str) -> str:
        scale = constant(f"{name}.step", np.float32(step))
        zero = constant(f"{name}.zero", np.int8(0))
        units = add("QuantizeLinear", [source, scale, zero], f"{name}.int8")
        return add("DequantizeLinear", [units, scale, zero], name)

    def round_weight(name: str, steps: np.ndarray) -> str:
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
            if source not in rounded:
                result = round_input(source, step.activation, f"{name}.input")
                if step.shared:
                    rounded[source] = result
            node.input[0] = rounded.get(source, f"{name}.input")
            node.input[1] = round_weight(name, step.weights)
        else:
            for position, source in enumerate(node.input):
                node.input[position] = rounded.get(source, source)
        graph.node.append(node)
    onnx.checker.check_model(quantized, full_check=True)
    return quantized


def measure_loss(floats: Runner, int8: Runner, calibration: Calibration) -> Loss:
    """Compare what the pair computes in floats and in int8 on held-out crops."""
    losses, squares = [], []
    for sample in calibration.held_out:
        feeds = {IMAGE: _planes(sample.degraded, calibration.channels)}
        if sample.kernel is not None:
            feeds[KERNEL] = sample.kernel.numpy()
        before, after = floats(feeds), int8(feeds)
        clean = sample.clean.expand(-1, calibration.channels, -1, -1)
        scores = [
            psnr(torch.from_numpy(outputs[ENHANCED]), clean).clamp(max=MOST_PSNR)
            for outputs in (before, after)
        ]
        losses.append(scores[0] - scores[1])
        squares.append((before[GUIDANCE] - after[GUIDANCE]) ** 2)
    rmse = math.sqrt(np.concatenate(squares).mean())
    return Loss(round(float(torch.cat(losses).mean()), 4), round(rmse, 6))


def _planes(image: Tensor, channels: int) -> np.ndarray:
    """The image; a gray one in as many planes as the model is exported for."""
    return image.expand(-1, channels, -1, -1).contiguous().numpy()
