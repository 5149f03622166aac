"""`export_model`: from a run folder's pair to a sealed, proven model file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from hyperguide.atomic import refuse_existing, refuse_missing_folder, write_atomically
from hyperguide.engines import Engine, OnnxRuntimeCpu
from hyperguide.errors import HyperguideError
from hyperguide.golden import Golden
from hyperguide.model_file import (
    DIALS,
    ENHANCED,
    GUIDANCE,
    IMAGE,
    KERNEL,
    ModelFile,
    ModelInfo,
    digest_entries,
    read_model_file,
)
from hyperguide.pixels import next_multiple
from hyperguide.tasks import find_task
from hyperguide.training.checkpoint import TrainedModel
from hyperguide.training.model import GuidedModel
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.networks.hyper import StageHyperNetworks
from hyperguide.training.networks.unfolded import UnfoldedDeconvolution
from hyperguide.verify import compare_golden, seal_breaks

from .calibration import Calibration, Loss, measure_loss, open_calibration
from .cost import cost
from .graph import export_graph
from .half_precision import choose, largest_values, to_half
from .probe import receptive_field
from .quantization import insert_pairs, quantize

# Two engines sum in different orders; measured differences stay under 1e-6 on these networks.
TOLERANCE = 1e-4
# Of lower precisions, in parts of the range. Engines round differently before they quantise, and a
# value that falls on the other side moves everything behind it by a step.
LOWER_TOLERANCES = {"fp16": 0.01, "int8": 0.05}

# A file of lower precision that loses more dB is refused unless the user accepts it.
MOST_LOSS = 0.3


@dataclass(frozen=True)
class Difference:
    """Worst absolute difference between torch and the exported file, at one picture size."""

    size: tuple[int, int]
    enhanced: float
    guidance: float


@dataclass(frozen=True)
class Exported:
    """What an export found out.

    differences: of the graph in fp32 from torch.
    loss: what a lower precision costs; None for a file in fp32.
    islands: convolutions that fp16 leaves in fp32, with the largest size of their values.
    """

    differences: list[Difference]
    loss: Loss | None = None
    islands: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Lower:
    """How to make a file of lower precision.

    calibration: folders of photos or pairs as training takes them, see `sources.find_scenes`.
    steps: for which an int8 pair goes on learning; see `quantization.quantize`.
    accept_loss: write a file that loses more than MOST_LOSS dB.
    """

    precision: Literal["fp16", "int8"]
    calibration: Sequence[Path]
    steps: int = 1000
    accept_loss: bool = False


def export_model(
    trained: TrainedModel,
    path: Path,
    force: bool = False,
    lower: Lower | None = None,
    report: Callable[[int], None] = lambda step: None,
    plain: bool = False,
) -> Exported:
    """Export a trained pair to `path`, in fp32 unless `lower` is given.

    The graph in fp32 is compared with torch at three sizes, with and without dials, before the
    file appears under its name.

    report: called with the number of steps done for int8.
    plain: fuse nothing, to compare with; fp32 only.
    Raises HyperguideError if the pair is unguided, the output exists, a difference exceeds the
    tolerance, or the loss is too high.
    """
    refuse_existing(path, force)
    refuse_missing_folder(path)
    if trained.model.proxy is None:
        raise HyperguideError(
            "This run is an unguided twin for comparisons and has no map to offer: "
            "export a guided run."
        )
    info = _describe(trained)
    model = trained.model.eval() if plain else fold_layers(trained.model).eval()
    blurs = trained.preset.task == "deblur"
    if lower is None:
        proto, differences = _proven_graph(model, path, blurs, plain)
        info = replace(info, cost=cost(trained.model, proto))
        content = _sealed(proto, info, _golden_samples(model, blurs))
        write_atomically(path, lambda temporary: _write_proven(temporary, content))
        return Exported(differences)
    calibration = open_calibration(trained.preset, lower.calibration, model)
    proto, exported = _lower(model, path, blurs, lower, calibration, report)
    engine = OnnxRuntimeCpu(_as_file(proto, path))
    loss = measure_loss(lambda feeds: run_torch(model, feeds), engine.run, calibration)
    if loss.enhanced > MOST_LOSS and not lower.accept_loss:
        more = "more --steps or --accept-loss" if lower.precision == "int8" else "--accept-loss"
        raise HyperguideError(
            f"In {lower.precision} the model loses {loss.enhanced:.2f} dB on held-out pictures of "
            f"--calib, more than {MOST_LOSS} dB: nothing was written; give {more}."
        )
    quality = info.quality | {lower.precision: loss.to_quality()}
    costs = cost(trained.model, proto)
    info = replace(info, precision=lower.precision, quality=quality, cost=costs)
    tolerance = LOWER_TOLERANCES[lower.precision]
    golden = [
        _computed_by(engine, sample, tolerance, model.maximum)
        for sample in _golden_samples(model, blurs)
    ]
    content = _sealed(proto, info, golden)
    write_atomically(path, lambda temporary: _write_proven(temporary, content))
    return replace(exported, loss=loss)


def _lower(
    model: GuidedModel,
    path: Path,
    blurs: bool,
    lower: Lower,
    calibration: Calibration,
    report: Callable[[int], None],
) -> tuple[onnx.ModelProto, Exported]:
    """The graph of a folded pair in lower precision."""
    if lower.precision == "int8":
        quantized = quantize(model, calibration, lower.steps, report)
        proto, differences = _proven_graph(quantized.model, path, blurs)
        return insert_pairs(proto, quantized.steps), Exported(differences)
    proto, differences = _proven_graph(model, path, blurs)
    feeds = [calibration.feeds(sample) for sample in calibration.crops]
    halves = choose(proto, largest_values(proto, feeds))
    return to_half(proto, halves), Exported(differences, islands=halves.islands)


def _proven_graph(
    model: GuidedModel, path: Path, takes_kernel: bool, plain: bool = False
) -> tuple[onnx.ModelProto, list[Difference]]:
    """The graph of a pair, and how far it is from torch."""
    proto = export_graph(model, takes_kernel, plain)
    engine = OnnxRuntimeCpu(_as_file(proto, path))
    return proto, compare_with_torch(model, engine, takes_kernel)


def _sealed(proto: onnx.ModelProto, info: ModelInfo, samples: Sequence[Golden]) -> bytes:
    """The file's bytes."""
    metadata = info.to_metadata()
    for sample in samples:
        metadata |= sample.to_metadata()
    onnx.helper.set_model_props(proto, metadata)
    seal(proto)
    return bytes(proto.SerializeToString())


def _write_proven(path: Path, content: bytes) -> None:
    """Write a file and read it back, as `hyperguide verify` does."""
    path.write_bytes(content)
    file = read_model_file(path)
    deviations = compare_golden(file, OnnxRuntimeCpu(file))
    if seal_breaks(file) or not all(deviation.passed for deviation in deviations):
        raise HyperguideError(f"{path} came out damaged: export it again.")


def _as_file(proto: onnx.ModelProto, path: Path) -> ModelFile:
    """A graph as the runtime sees it, before there is a file."""
    inputs, outputs = (
        [v.name for v in values] for values in (proto.graph.input, proto.graph.output)
    )
    return ModelFile(path, proto.SerializeToString(), {}, tuple(inputs), tuple(outputs))


def seal(proto: onnx.ModelProto) -> None:
    """Store the digests of weights, graph and metadata, which `hyperguide verify` compares."""
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    metadata |= digest_entries(proto.SerializeToString())
    onnx.helper.set_model_props(proto, metadata)


def compare_with_torch(
    model: GuidedModel, engine: Engine, takes_kernel: bool = False
) -> list[Difference]:
    """Compare image and map with torch at three sizes. Raises HyperguideError on a deviation."""
    rng = np.random.default_rng(0)
    differences = []
    for count, rows, columns in ((1, 1, 1), (2, 3, 5), (1, 7, 2)):  # in multiples
        multiple = model.size_multiple
        shape = (count, multiple * rows, multiple * columns)
        worst = {ENHANCED: 0.0, GUIDANCE: 0.0}
        for feeds in _feed_variants(model, shape, rng, takes_kernel):
            expected = run_torch(model, feeds)
            actual = engine.run(feeds)
            for name in worst:
                difference = float(np.abs(actual[name] - expected[name]).max())
                if not difference <= TOLERANCE:
                    raise HyperguideError(
                        f"The exported {name} differs from torch by {difference:.2g} at "
                        f"{shape[2]}x{shape[1]}, more than {TOLERANCE:g}: nothing was written."
                    )
                worst[name] = max(worst[name], difference)
        differences.append(Difference((shape[1], shape[2]), worst[ENHANCED], worst[GUIDANCE]))
    return differences


def run_torch(model: GuidedModel, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run the pair in torch on the feeds of a graph; dials that are absent take their default."""
    values = {name: np.full((1, 1, 1, 1), value, np.float32) for name, value in DIALS.items()}
    tensors = {name: torch.from_numpy(value) for name, value in {**values, **feeds}.items()}
    with torch.no_grad():
        enhanced, guidance = model(**tensors)
    return {ENHANCED: enhanced.numpy(), GUIDANCE: guidance.numpy()}


def _feed_variants(
    model: GuidedModel, shape: tuple[int, int, int], rng: np.random.Generator, takes_kernel: bool
) -> list[dict[str, np.ndarray]]:
    """The picture alone; a map of its own; everything partly, per pixel; each with its kernel."""
    count, height, width = shape
    maximum = model.maximum

    def draw(planes: int, high: float) -> np.ndarray:
        return rng.uniform(0, high, (count, planes, height, width)).astype(np.float32)

    def one(value: float) -> np.ndarray:
        return np.full((1, 1, 1, 1), value, np.float32)

    image = draw(model.channels, 1)
    own = {"guidance_in": draw(1, maximum), "guidance_mix": one(1)}
    mixed = {
        "guidance_in": draw(1, maximum),
        "guidance_mix": draw(1, 1),
        "guidance_scale": one(1.5),
        "strength": draw(1, 1.5),
    }
    variants = [{IMAGE: image}, {IMAGE: image, **own}, {IMAGE: image, **mixed}]
    if takes_kernel:
        for feeds, sides in zip(variants, ((1, 1), (5, 3), (7, 9)), strict=True):
            kernel = rng.random((count, 1, *sides), np.float32)
            feeds[KERNEL] = kernel / kernel.sum((2, 3), keepdims=True)
    return variants


def _describe(trained: TrainedModel) -> ModelInfo:
    model, preset, record = trained.model, trained.preset, trained.record
    reach, is_global = _reach(model, preset.task == "deblur")
    return ModelInfo(
        task=preset.task,
        tier=preset.tier,
        color="gray" if model.channels == 1 else "rgb",
        guidance=find_task(preset.task).guidance,
        size_multiple=model.size_multiple,
        receptive_field=reach,
        context="global" if is_global else "local",
        training=_training_record(record),
        quality={"validation": record["validation"]},
    )


def _reach(model: GuidedModel, blurs: bool) -> tuple[int, bool]:
    """How far the pair looks, with the map given if the hyper-network sees the whole picture.

    Of deblurring it is what the denoisers look at together.

    Returns (pixels, whether the hyper-network does).
    """
    assert model.proxy is not None
    network = model.reconstruction
    if blurs:  # a Fourier transform sees everything, with or without a map
        assert isinstance(network, UnfoldedDeconvolution)
        reaches = [receptive_field(denoise, [1, 1], 0) for denoise in network.denoisers]
        return sum(reach or 0 for reach in reaches), True
    own = receptive_field(model.reconstruction, [model.channels, 1], 0)
    of_map = receptive_field(model.reconstruction, [model.channels, 1], 1)
    if own is None or of_map is None:
        raise HyperguideError(
            "The reconstruction network must look at a bounded part of the picture: "
            "choose fewer levels or blocks in the preset."
        )
    if isinstance(model.proxy, StageHyperNetworks):
        pair = _Function(lambda image: model.restore(image).restored, model.size_multiple)
        whole = receptive_field(pair, [model.channels], 0)
        return (max(own, of_map), True) if whole is None else (whole, False)
    proxy = _Function(model.predict, model.size_multiple)
    of_proxy = receptive_field(proxy, [model.channels], 0)
    if of_proxy is None:
        return max(own, of_map), True
    return max(own, of_map + of_proxy), False


class _Function(nn.Module):
    """A function of tensors in the place of a network."""

    def __init__(self, function: Callable[..., Tensor], size_multiple: int) -> None:
        super().__init__()
        self._function = function
        self.size_multiple = size_multiple

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._function(*inputs)


def _training_record(record: dict[str, Any]) -> dict[str, Any]:
    kept = ("preset", "settings", "origin", "step", "seconds", "data")
    return {name: record[name] for name in kept}


def _golden_samples(model: GuidedModel, takes_kernel: bool) -> list[Golden]:
    """Two small synthetic pictures: one as it is, one with every dial turned (and blurred)."""
    multiple = model.size_multiple
    height, width = (next_multiple(least, multiple) for least in (24, 40))
    image = synthetic_picture(height, width, model.channels)[None]
    ramp = np.linspace(0, 1, width, dtype=np.float32) * np.ones((1, 1, height, 1), np.float32)
    turned = {
        "guidance_in": ramp * np.float32(model.maximum),
        "guidance_mix": np.full((1, 1, 1, 1), 0.75, np.float32),
        "guidance_scale": np.full((1, 1, 1, 1), 1.25, np.float32),
        "strength": ramp[..., ::-1].copy(),
    }
    if takes_kernel:
        turned[KERNEL] = np.full((1, 1, 3, 5), 1 / 15, np.float32)
    tolerance = {ENHANCED: TOLERANCE, GUIDANCE: TOLERANCE}
    return [
        Golden(name, feeds, run_torch(model, feeds), tolerance)
        for name, feeds in (("plain", {IMAGE: image}), ("dials", {IMAGE: image, **turned}))
    ]


def _computed_by(engine: Engine, sample: Golden, tolerance: float, maximum: float) -> Golden:
    """A golden sample with what a graph of lower precision computes."""
    outputs = engine.run(sample.feeds)
    accepted = {ENHANCED: tolerance, GUIDANCE: tolerance * maximum}
    return replace(sample, outputs=outputs, tolerance=accepted)


def synthetic_picture(height: int, width: int, channels: int) -> np.ndarray:
    """A picture of gradients, a disc, stripes and noise, 8-bit values in [0, 1], (C, H, W)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.stack([0.2 + 0.6 * x, 0.3 + 0.5 * y, 0.7 - 0.4 * x])
    picture[:, (x - 0.3) ** 2 + (y - 0.3) ** 2 < 0.03] = [[0.9], [0.4], [0.2]]
    picture += 0.15 * (np.sin(60 * (x + 0.3 * y)) > 0.9)
    picture += np.random.default_rng(0).normal(0, 0.06, picture.shape)
    return (np.rint(picture[:channels].clip(0, 1) * 255) / 255).astype(np.float32)
