"""`export_model`: from a run folder's pair to a sealed, proven model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from hyperguide.atomic import refuse_existing, refuse_missing_folder, write_atomically
from hyperguide.engines import OnnxRuntimeCpu
from hyperguide.errors import HyperguideError
from hyperguide.golden import Golden
from hyperguide.model_file import (
    DIALS,
    ENHANCED,
    GUIDANCE,
    IMAGE,
    ModelFile,
    ModelInfo,
    digest_entries,
    read_model_file,
)
from hyperguide.tasks import find_task
from hyperguide.training.checkpoint import TrainedModel
from hyperguide.training.model import GuidedModel
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.networks.hyper import StageHyperNetworks

from .graph import export_graph
from .probe import receptive_field

# Two engines sum in different orders; measured differences stay under 1e-6 on these networks.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Difference:
    """Worst absolute difference between torch and the exported file, at one picture size."""

    size: tuple[int, int]
    enhanced: float
    guidance: float


def export_model(trained: TrainedModel, path: Path, force: bool = False) -> list[Difference]:
    """Export a trained pair to `path`.

    The file is compared with torch at three sizes, with and without dials, before it appears
    under its name. Returns the differences. Raises HyperguideError if the pair is unguided, the
    output exists, or a difference exceeds the tolerance.
    """
    refuse_existing(path, force)
    refuse_missing_folder(path)
    if trained.model.proxy is None:
        raise HyperguideError(
            "This run is an unguided twin for comparisons and has no map to offer: "
            "export a guided run."
        )
    model = fold_layers(trained.model).eval()
    proto = export_graph(model)
    metadata = _describe(trained).to_metadata()
    for sample in _golden_samples(model):
        metadata |= sample.to_metadata()
    onnx.helper.set_model_props(proto, metadata)
    seal(proto)
    content = proto.SerializeToString()
    differences: list[Difference] = []

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)
        differences.extend(compare_with_torch(model, read_model_file(temporary)))

    write_atomically(path, write)
    return differences


def seal(proto: onnx.ModelProto) -> None:
    """Store the digests of weights, graph and metadata, which `hyperguide verify` compares."""
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    metadata |= digest_entries(proto.SerializeToString())
    onnx.helper.set_model_props(proto, metadata)


def compare_with_torch(model: GuidedModel, file: ModelFile) -> list[Difference]:
    """Compare image and map with torch at three sizes. Raises HyperguideError on a deviation."""
    engine = OnnxRuntimeCpu(file)
    rng = np.random.default_rng(0)
    differences = []
    for count, rows, columns in ((1, 1, 1), (2, 3, 5), (1, 7, 2)):  # in multiples
        multiple = model.size_multiple
        shape = (count, multiple * rows, multiple * columns)
        worst = {ENHANCED: 0.0, GUIDANCE: 0.0}
        for feeds in _feed_variants(model, shape, rng):
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


def run_torch(model: GuidedModel, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run the pair in torch on the feeds of a graph; dials that are absent take their default."""
    values = [np.full((1, 1, 1, 1), default, np.float32) for default in DIALS.values()]
    dials = dict(zip(DIALS, values, strict=True)) | {k: v for k, v in feeds.items() if k != IMAGE}
    with torch.no_grad():
        tensors = [torch.from_numpy(dials[name]) for name in DIALS]
        enhanced, guidance = model(torch.from_numpy(feeds[IMAGE]), *tensors)
    return {ENHANCED: enhanced.numpy(), GUIDANCE: guidance.numpy()}


def _feed_variants(
    model: GuidedModel, shape: tuple[int, int, int], rng: np.random.Generator
) -> list[dict[str, np.ndarray]]:
    """The picture alone; a map of its own; everything partly, per pixel."""
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
    return [{IMAGE: image}, {IMAGE: image, **own}, {IMAGE: image, **mixed}]


def _describe(trained: TrainedModel) -> ModelInfo:
    model, preset, record = trained.model, trained.preset, trained.record
    if preset.task == "deblur":
        raise HyperguideError("This version cannot export deblurring: use the run folder itself.")
    reach, is_global = _reach(model)
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


def _reach(model: GuidedModel) -> tuple[int, bool]:
    """How far the pair looks, with the map given if the hyper-network sees the whole picture.

    Returns (pixels, whether the hyper-network does).
    """
    assert model.proxy is not None
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


def _golden_samples(model: GuidedModel) -> list[Golden]:
    """Two small synthetic pictures: one as it is, one with every dial turned."""
    multiple = model.size_multiple
    height, width = (multiple * -(-least // multiple) for least in (32, 48))
    image = synthetic_picture(height, width, model.channels)[None]
    ramp = np.linspace(0, 1, width, dtype=np.float32) * np.ones((1, 1, height, 1), np.float32)
    turned = {
        "guidance_in": ramp * np.float32(model.maximum),
        "guidance_mix": np.full((1, 1, 1, 1), 0.75, np.float32),
        "guidance_scale": np.full((1, 1, 1, 1), 1.25, np.float32),
        "strength": ramp[..., ::-1].copy(),
    }
    tolerance = {ENHANCED: TOLERANCE, GUIDANCE: TOLERANCE}
    return [
        Golden(name, feeds, run_torch(model, feeds), tolerance)
        for name, feeds in (("plain", {IMAGE: image}), ("dials", {IMAGE: image, **turned}))
    ]


def synthetic_picture(height: int, width: int, channels: int) -> np.ndarray:
    """A picture of gradients, a disc, stripes and noise, 8-bit values in [0, 1], (C, H, W)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.stack([0.2 + 0.6 * x, 0.3 + 0.5 * y, 0.7 - 0.4 * x])
    picture[:, (x - 0.3) ** 2 + (y - 0.3) ** 2 < 0.03] = [[0.9], [0.4], [0.2]]
    picture += 0.15 * (np.sin(60 * (x + 0.3 * y)) > 0.9)
    picture += np.random.default_rng(0).normal(0, 0.06, picture.shape)
    return (np.rint(picture[:channels].clip(0, 1) * 255) / 255).astype(np.float32)
