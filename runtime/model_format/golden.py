"""Golden samples: inputs and expected outputs that a model file carries for verification.

Each sample is an 8-bit picture, the dials it was run with, and both outputs, compressed and
base64-encoded in the metadata. Pictures are synthetic.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.printable import shown
from hyperguide.storage.npz import read_npz

from .contract import DIALS, ENHANCED, GOLDEN_PREFIX, GUIDANCE, IMAGE, KERNEL

# Maximum bytes of a sample's arrays; exports write pictures of 40x24 pixels.
_LARGEST = 1 << 23
_MOST_SAMPLES = 16


@dataclass(frozen=True)
class Golden:
    """One sample.

    feeds: the graph's inputs; `image` always, dials where they differ from their defaults.
    outputs: `enhanced` and `guidance` as computed at export.
        Pictures of files that take bytes are uint8.
    tolerance: largest accepted absolute difference of an element of each output; for bytes as a
        fraction of their range.
    """

    name: str
    feeds: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    tolerance: dict[str, float]

    def to_metadata(self) -> dict[str, str]:
        """The sample as one metadata entry."""
        arrays = {f"out.{name}": value for name, value in self.outputs.items()}
        arrays |= {f"tolerance.{name}": np.array(v) for name, v in self.tolerance.items()}
        for name, value in self.feeds.items():
            if name != IMAGE:
                arrays[f"in.{name}"] = value
            elif value.dtype == np.uint8:
                arrays[f"bytes.{name}"] = value
            else:
                arrays[f"in.{name}"] = np.rint(value * 255).astype(np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return {GOLDEN_PREFIX + self.name: base64.b64encode(buffer.getvalue()).decode("ascii")}


def read_golden(metadata: Mapping[str, str], where: str) -> list[Golden]:
    """Unpack the samples in a file's metadata.

    Raises HyperguideError if there are none, or one is damaged.
    """
    texts = {
        key.removeprefix(GOLDEN_PREFIX): t
        for key, t in metadata.items()
        if key.startswith(GOLDEN_PREFIX)
    }
    if not texts:
        raise HyperguideError(f"{where} carries no golden samples: export it again.")
    if len(texts) > _MOST_SAMPLES:
        raise HyperguideError(
            f"{where} carries more than {_MOST_SAMPLES} golden samples: export it again."
        )
    samples = []
    for name, packed in sorted(texts.items()):
        try:
            samples.append(_unpack(name, packed))
        except ValueError as error:
            raise HyperguideError(
                f"The golden sample {shown(name)} of {where} is damaged ({error}): export or "
                "download it again."
            ) from None
    return samples


def _unpack(name: str, packed: str) -> Golden:
    """Unpack one sample. Raises ValueError if it is not valid."""
    parts: dict[str, dict[str, np.ndarray]] = {"in": {}, "bytes": {}, "out": {}, "tolerance": {}}
    for key, array in read_npz(base64.b64decode(packed), _LARGEST).items():
        kind, _, entry = key.partition(".")
        if kind not in parts:
            raise ValueError(f"there is a {shown(kind)}")
        parts[kind][entry] = array
    feeds, outputs = parts["in"] | parts["bytes"], parts["out"]
    if IMAGE not in feeds or not feeds.keys() <= {IMAGE, KERNEL, *DIALS}:
        raise ValueError("its inputs are others")
    if not outputs.keys() == parts["tolerance"].keys() == {ENHANCED, GUIDANCE}:
        raise ValueError("its outputs are others")
    levels = feeds[IMAGE]
    _expect(levels, np.uint8)
    if IMAGE not in parts["bytes"]:
        feeds[IMAGE] = levels.astype(np.float32) / np.float32(255)
    _expect(outputs[ENHANCED], feeds[IMAGE].dtype)
    if outputs[ENHANCED].shape != levels.shape:
        raise ValueError("its picture and result differ in size")
    _expect(outputs[GUIDANCE], np.float32)
    for dial in feeds.keys() - {IMAGE}:
        _expect(feeds[dial], np.float32)
    return Golden(name, feeds, outputs, {k: _number(v) for k, v in parts["tolerance"].items()})


def _expect(array: np.ndarray, kind: type | np.dtype) -> None:
    """Raise ValueError unless an array has the type `kind` and rank 4, and is not empty."""
    if array.dtype != kind or array.ndim != 4 or 0 in array.shape:
        raise ValueError(f"an array of {array.dtype} with {array.ndim} dimensions")


def _number(array: np.ndarray) -> float:
    """Parse a tolerance. Raises ValueError unless it is one finite number from 0 on."""
    if array.size != 1 or not (math.isfinite(array.item()) and array.item() >= 0):
        raise ValueError("a tolerance that is none")
    return float(array.item())
