"""`export_model`: exports a trained pair as a sealed, verified model file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from hyperguide.engines import Engine, OnnxRuntimeCpu
from hyperguide.engines.proof import compare_golden, refuse_changed
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE, KERNEL
from hyperguide.model_format.golden import Golden
from hyperguide.model_format.model_file import ModelFile, digest_entries, read_model_file
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.storage.atomic import refuse_existing, refuse_missing_folder, write_atomically
from hyperguide.training.checkpoint import TrainedModel
from hyperguide.training.data.sources import silent
from hyperguide.training.model import GuidedModel
from hyperguide.training.networks.folding import fold_layers

from .byte_pictures import prove_bytes, sample_of_bytes, take_bytes
from .calibration import Calibration, Loss, measure_loss, open_calibration
from .cost import cost
from .description import describe
from .golden_samples import golden_samples, run_torch
from .graph import export_graph, widen_convolutions
from .half_precision import choose, largest_values, to_half
from .quantization import insert_pairs, quantize

# Engines sum in different orders; measured differences stay under 1e-6 on these networks.
TOLERANCE = 1e-4
# For lower precisions, relative to the range. Engines round differently before quantising, and a
# value that falls on the other side shifts everything after it by a step.
LOWER_TOLERANCES = {"fp16": 0.01, "int8": 0.05}

# A file in lower precision that loses more dB is refused unless the user accepts it.
MOST_LOSS = 0.3


# What a file takes and gives: planes of floats, bytes, or floats for ONNX Runtime in JavaScript,
# which does not see inputs that have defaults.
Io = Literal["float", "uint8", "web"]


@dataclass(frozen=True)
class Difference:
    """Worst absolute difference between torch and the exported file, at one picture size."""

    size: tuple[int, int]
    enhanced: float
    guidance: float


@dataclass(frozen=True)
class Exported:
    """The results of an export.

    differences: between the graph in fp32 and torch.
    loss: loss of a lower precision; None for a file in fp32.
    islands: convolutions left in fp32 by fp16, with their largest absolute values.
    """

    differences: list[Difference]
    loss: Loss | None = None
    islands: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Lower:
    """The settings for a file in lower precision.

    calibration: folders of photos or pairs as for training, see `sources.find_scenes`.
    steps: steps that fit an int8 pair to the float pair, see `quantization.quantize`.
    accept_loss: write the file even if it loses more than MOST_LOSS dB.
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
    io: Io = "float",
    tell: Callable[[str], object] = silent,
) -> Exported:
    """Export a trained pair to `path`, in fp32 unless `lower` is given.

    The graph in fp32 is compared with torch at three sizes, with and without dials, before the
    file appears under its name.

    report: called with the number of steps done for int8.
    tell: called with a sentence for each calibration folder, saying what was found there.
    plain: fuse and split nothing, for comparisons; fp32 only.
    io: type of the pictures, see `ModelInfo`; `web` is `float` with dials that have no defaults.
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
    # Whether dials have defaults is seen in the graph, and readers of float files feed them anyway.
    info = replace(describe(trained), io="uint8" if io == "uint8" else "float")
    model = trained.model.eval() if plain else fold_layers(trained.model).eval()
    blurs = trained.preset.task == "deblur"
    samples = golden_samples(model, blurs, TOLERANCE)
    if lower is None:
        proto, differences = _proven_graph(model, path, blurs, plain)
        exported = Exported(differences)
    else:
        calibration = open_calibration(trained, lower.calibration, model, tell)
        proto, exported = _lower(model, path, blurs, lower, calibration, report)
        engine = OnnxRuntimeCpu(_as_file(proto, path))
        loss = measure_loss(lambda feeds: run_torch(model, feeds), engine.run, calibration)
        _refuse_loss(loss, lower)
        exported = replace(exported, loss=loss)
        quality = info.quality | {lower.precision: loss.to_quality()}
        info = replace(info, precision=lower.precision, quality=quality)
        tolerance = LOWER_TOLERANCES[lower.precision]
        accepted = {ENHANCED: tolerance, GUIDANCE: tolerance * model.maximum}
        samples = [_computed_by(engine, replace(s, tolerance=accepted)) for s in samples]
    if io == "web":
        widen_convolutions(proto.graph)
    info = replace(info, cost=cost(trained.model, proto))
    if io == "uint8":
        proto, samples = _of_bytes(proto, info.channels, samples, path)
    elif io == "web":
        proto = onnx.load_from_string(_as_file(proto, path).with_inputs())
    content = _sealed(proto, info, samples)
    write_atomically(path, lambda temporary: _write_proven(temporary, content))
    return exported


def _refuse_loss(loss: Loss, lower: Lower) -> None:
    if loss.enhanced > MOST_LOSS and not lower.accept_loss:
        more = "more --steps or --accept-loss" if lower.precision == "int8" else "--accept-loss"
        raise HyperguideError(
            f"In {lower.precision} the model loses {loss.enhanced:.2f} dB on held-out pictures of "
            f"--calib, more than {MOST_LOSS} dB: nothing was written; give {more}."
        )


def _of_bytes(
    proto: onnx.ModelProto, channels: int, samples: Sequence[Golden], path: Path
) -> tuple[onnx.ModelProto, list[Golden]]:
    """The graph for bytes, verified against the float graph, and its golden samples."""
    converted = take_bytes(proto, channels)
    planes, pixels = (OnnxRuntimeCpu(_as_file(graph, path)) for graph in (proto, converted))
    for sample in samples:
        prove_bytes(planes, pixels, sample)
    return converted, [_computed_by(pixels, sample_of_bytes(sample)) for sample in samples]


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
    """Export the graph of a pair and compare it with torch."""
    proto = export_graph(model, takes_kernel, plain)
    engine = OnnxRuntimeCpu(_as_file(proto, path))
    return proto, compare_with_torch(model, engine, takes_kernel)


def _sealed(proto: onnx.ModelProto, info: ModelInfo, samples: Sequence[Golden]) -> bytes:
    """The bytes of the model file, with metadata and digests."""
    metadata = info.to_metadata()
    for sample in samples:
        metadata |= sample.to_metadata()
    onnx.helper.set_model_props(proto, metadata)
    seal(proto)
    return bytes(proto.SerializeToString())


def _write_proven(path: Path, content: bytes) -> None:
    """Write a file, read it back and check it like `hyperguide verify`."""
    path.write_bytes(content)
    file = read_model_file(path)
    refuse_changed(file)
    deviations = compare_golden(file, OnnxRuntimeCpu(file))
    if not all(deviation.passed for deviation in deviations):
        raise HyperguideError(f"{path} came out damaged: export it again.")


def _as_file(proto: onnx.ModelProto, path: Path) -> ModelFile:
    """A graph as the runtime sees it, without a file on disk."""
    inputs, outputs = (
        [v.name for v in values] for values in (proto.graph.input, proto.graph.output)
    )
    return ModelFile(path, proto.SerializeToString(), {}, tuple(inputs), tuple(outputs))


def seal(proto: onnx.ModelProto) -> None:
    """Store the digests of weights, graph and metadata, which `hyperguide verify` checks."""
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


def _feed_variants(
    model: GuidedModel, shape: tuple[int, int, int], rng: np.random.Generator, takes_kernel: bool
) -> list[dict[str, np.ndarray]]:
    """Inputs with the picture only, a given map, or all dials, per pixel; with kernels if taken."""
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


def _computed_by(engine: Engine, sample: Golden) -> Golden:
    """A golden sample with the outputs of an engine instead of torch's."""
    return replace(sample, outputs=engine.run(sample.feeds))
