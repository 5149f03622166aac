"""Model files: reading, golden samples, and running them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

import hyperguide
from hyperguide.engines.byte_graph import of_bytes
from hyperguide.engines.proof import compare_golden, seal_breaks
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE, PREFIX
from hyperguide.model_format.golden import read_golden
from hyperguide.model_format.model_file import ModelFile, read_model_file

from ..mutation.archives import zipped
from ..mutation.messages import joined, message, parsed
from ..mutation.values import DEEP, HUGE, as_json, json_text
from ..rule import problem_of
from ..target import Target, as_file
from .small_models import sealed, seeds

_KEY = PREFIX + "golden.noise"


def _read(data: bytes) -> None:
    file = read_model_file(as_file(data, "model.onnx"))
    assert IMAGE in file.inputs
    assert {ENHANCED, GUIDANCE} <= set(file.outputs)
    refusals = []
    for part in (_description, _seal, _weights, _forms):
        try:
            part(file)
        except HyperguideError as error:  # the other parts are read anyway
            refusals.append(error)
    if refusals:
        raise max(refusals, key=lambda error: (bool(problem_of(str(error))), len(str(error))))


def _description(file: ModelFile) -> None:
    assert file.info.size_multiple >= 1
    assert file.info.receptive_field >= 0
    again = file.with_info(file.info)
    assert ModelFile(file.path, again, file.metadata, file.inputs, file.outputs).info == file.info


def _seal(file: ModelFile) -> None:
    assert set(file.digests) == {"weights", "graph", "metadata"}
    seal_breaks(file)


def _weights(file: ModelFile) -> None:
    for name, array in file.weights().items():
        assert array.dtype == np.float32, name


def _forms(file: ModelFile) -> None:
    """Derived files, for engines that cannot take inputs with defaults, or bytes."""
    file.frozen()
    file.with_inputs()
    of_bytes(file)


def _run(data: bytes) -> None:
    path = as_file(data, "model.onnx")
    with hyperguide.load(path, device="cpu", threads=1) as enhancer:
        planes = enhancer.info.channels
        for height, width, kind in ((1, 1, np.uint8), (16, 23, np.uint8), (9, 7, np.float32)):
            if kind == np.float32 and enhancer.info.io == "uint8":
                continue
            shape = (height, width) if planes == 1 else (height, width, planes)
            image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
            image = image if kind == np.uint8 else image.astype(np.float32) / 255
            _checked(enhancer, image)
            if kind == np.float32:
                _checked(enhancer, image, strength=0.5, guidance=0.1, guidance_scale=2.0)
        file = read_model_file(path)
        seal_breaks(file)
        for deviation in compare_golden(file, enhancer._runner.engine):
            assert isinstance(deviation.passed, bool)


def _checked(enhancer: hyperguide.Enhancer, image: np.ndarray, **dials: float) -> None:
    result = enhancer(image, **dials)
    assert result.image.shape == image.shape, "the result has another shape"
    assert result.image.dtype == image.dtype, "the result is of another type"
    assert result.guidance is not None
    assert result.guidance.shape == image.shape[:2], "the map has another shape"
    assert result.guidance.dtype == np.float32


def _read_golden(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    for sample in read_golden({_KEY: text}, str(Path("model.onnx"))):
        assert IMAGE in sample.feeds
        assert set(sample.outputs) == {ENHANCED, GUIDANCE}
        for array in (*sample.feeds.values(), *sample.outputs.values()):
            assert array.dtype.kind in "fiu", f"an array of {array.dtype}"
        assert all(isinstance(value, float) for value in sample.tolerance.values())


def _golden_seeds() -> dict[str, bytes]:
    found = {}
    for name, content in seeds().items():
        metadata = read_model_file(as_file(content, "model.onnx")).metadata
        found[f"{name}.npz"] = base64.b64decode(metadata[_KEY])
    return found


def _retold(data: bytes, rng: Random, inner: Callable[[bytes], bytes]) -> bytes:
    """A model file with one metadata entry (field 14) changed."""
    items = parsed(data)
    entries = [i for i, (number, _, value) in enumerate(items) if number == 14 and value]
    if not entries:
        raise ValueError("no metadata")
    at = rng.choice(entries)
    number, kind, value = items[at]
    if not isinstance(value, bytes):
        raise ValueError("no metadata")
    pair = {n: v for n, _, v in parsed(value)}
    key, text = pair.get(1, b""), pair.get(2, b"")
    if not (isinstance(key, bytes) and isinstance(text, bytes)):
        raise ValueError("no metadata")
    try:
        text = json_text(text, rng, inner)
    except (ValueError, RecursionError):
        text = inner(text) if rng.random() < 0.7 else as_json(rng.choice([HUGE, DEEP, 2, []]))
    items[at] = (number, kind, joined([(1, 2, key), (2, 2, text)]))
    return joined(items)


def resealed(data: bytes, rng: Random, inner: Callable[[bytes], bytes]) -> bytes:
    """A model file with one field changed and, mostly, a seal that matches the new content."""
    changed = _retold(data, rng, inner) if rng.random() < 0.4 else message(data, rng, inner)
    return sealed(changed) if rng.random() < 0.9 else changed


MODEL_FILE = Target("a model file's outline, description, seal and parts", seeds, _read, resealed)
MODEL_RUN = Target("a model file from loading to enhancing and verifying", seeds, _run, resealed)
GOLDEN_SAMPLES = Target("a model file's golden sample", _golden_seeds, _read_golden, zipped)
