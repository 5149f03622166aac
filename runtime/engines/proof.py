"""Checks that a model file is unchanged since its export and that an engine computes it right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import DIALS, ENHANCED, GUIDANCE, IMAGE
from hyperguide.model_format.engine_file import EngineFile
from hyperguide.model_format.golden import Golden, read_golden
from hyperguide.model_format.model_file import ModelFile
from hyperguide.pixels import full_scale
from hyperguide.psnr import psnr

if TYPE_CHECKING:  # the engines import this module
    from hyperguide.engines import Engine

# Heights and widths in size multiples; each is run after a picture of the last size.
_SHAPES = ((1, 1), (8, 1), (1, 8), (2, 2), (5, 5))

_MEANING = {
    "weights": "the weights were changed",
    "graph": "the graph was changed",
    "metadata": "the metadata was edited",
}


@dataclass(frozen=True)
class Deviation:
    """Worst absolute difference of one output from the golden samples.

    output: `enhanced` or `guidance`.
    worst: the largest difference of an element over all samples, full scale = 1.
    tolerance: the largest accepted difference.
    psnr: of the output against the golden one in the worst sample, dB, peak = full scale.
    """

    output: str
    worst: float
    tolerance: float
    psnr: float

    @property
    def passed(self) -> bool:
        """Whether the deviation is accepted; NaN never is."""
        return bool(self.worst <= self.tolerance)


def seal_breaks(model: ModelFile | EngineFile) -> list[str]:
    """The parts of the file that differ from the export; empty if none do."""
    return [_MEANING[part] for part in model.changes()]


def refuse_changed(model: ModelFile | EngineFile) -> None:
    """Raise HyperguideError unless the file is unchanged since its export.

    A seal can be forged, so this also refuses files that lack dials, or take memory or work out of
    proportion to a picture.
    """
    broken = seal_breaks(model)
    if broken:
        raise HyperguideError(
            f"{model.path} is not what was exported: {' and '.join(broken)}; export or download it "
            "again and leave it as it is, since programs that simplify, quantise or edit ONNX "
            "files take away its dials or its seal."
        )
    if not isinstance(model, ModelFile):
        return
    missing = [name for name in DIALS if name not in model.inputs]
    if missing:
        raise HyperguideError(
            f"{model.path} lacks the input '{missing[0]}', which a program that simplifies ONNX "
            "files may have taken away: export it again and leave it as it is."
        )
    if model.excess:
        raise HyperguideError(
            f"{model.path} is damaged or not as it was exported ({model.excess}): export or "
            "download it again."
        )


def compare_golden(model: ModelFile | EngineFile, engine: Engine) -> list[Deviation]:
    """Run the file's golden samples and measure each output's deviation.

    Samples with dials are skipped if a TensorRT engine has none.
    """
    samples = _samples(model, set(model.inputs))
    results = [(sample, engine.run(sample.feeds)) for sample in samples]
    return [_deviation(output, results) for output in (ENHANCED, GUIDANCE)]


def compare_shapes(model: ModelFile, engine: Engine, reference: Engine) -> list[Deviation]:
    """Run pictures of extreme shapes on two engines and measure each output's deviation.

    For few rows or columns engines choose other code, and some keep state that does not fit the
    next shape. Golden samples all have one size. Each engine may deviate by their tolerance.
    """
    sample = _samples(model, {IMAGE})[0]
    results = []
    for one in _SHAPES:
        for shape in (_SHAPES[-1], one):
            feeds = {IMAGE: _cut(sample.feeds[IMAGE], shape, model)}
            expected = reference.run(feeds)
            accepted = {name: 2 * value for name, value in sample.tolerance.items()}
            golden = Golden(sample.name, feeds, expected, accepted)
            results.append((golden, engine.run(feeds)))
    return [_deviation(output, results) for output in (ENHANCED, GUIDANCE)]


def _samples(model: ModelFile | EngineFile, inputs: set[str]) -> list[Golden]:
    """The golden samples that need only `inputs`. Raises HyperguideError if there are none."""
    samples = read_golden(model.metadata, str(model.path))
    samples = [sample for sample in samples if sample.feeds.keys() <= inputs]
    if not samples:
        raise HyperguideError(
            f"{model.path} carries no golden samples that its inputs could take: export it again."
        )
    return samples


def _cut(image: np.ndarray, shape: tuple[int, int], model: ModelFile) -> np.ndarray:
    """Crop or repeat a golden sample's picture to another shape, in size multiples."""
    first = 1 if model.info.io == "uint8" else 2
    for axis, times in zip((first, first + 1), shape, strict=True):
        places = np.arange(times * model.info.size_multiple) % image.shape[axis]
        image = image.take(places, axis)
    return np.ascontiguousarray(image)


def _deviation(output: str, results: list[tuple[Golden, dict[str, np.ndarray]]]) -> Deviation:
    worst, least_psnr = 0.0, np.inf
    tolerance = min(sample.tolerance[output] for sample, _ in results)
    for sample, outputs in results:
        golden = sample.outputs[output]
        if outputs[output].shape != golden.shape or outputs[output].dtype != golden.dtype:
            return Deviation(output, np.nan, tolerance, np.nan)
        peak = full_scale(golden.dtype)
        difference = np.abs(outputs[output].astype(np.float64) - golden) / peak
        worst = float(np.maximum(worst, difference.max()))  # keeps NaN
        least_psnr = float(np.minimum(least_psnr, psnr(outputs[output], golden, peak)))
    return Deviation(output, worst, tolerance, least_psnr)
