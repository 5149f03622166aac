"""Golden samples: inputs and expected outputs that a model file carries to prove itself.

Each sample is a picture of 8-bit values, the dials it was run with, and both outputs in float32,
compressed and base64-coded in the metadata. Pictures are synthetic.
"""

from __future__ import annotations

import base64
import binascii
import io
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .errors import HyperguideError
from .model_file import ENHANCED, GUIDANCE, IMAGE, PREFIX

_KEY = PREFIX + "golden."

# What unpacking raises for bytes that were changed.
_DAMAGE = (
    *(KeyError, ValueError, OSError, EOFError, NotImplementedError),
    *(SyntaxError, tokenize.TokenError),  # of numpy's reader of array headers
    *(binascii.Error, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class Golden:
    """One sample.

    feeds: the graph's inputs; `image` always, dials where they differ from their defaults.
    outputs: `enhanced` and `guidance` as computed at export.
        Pictures of files that take bytes are uint8.
    tolerance: largest accepted absolute difference of an element of each output; of bytes in parts
        of their range.
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
        return {_KEY + self.name: base64.b64encode(buffer.getvalue()).decode("ascii")}


def read_golden(metadata: Mapping[str, str], where: str) -> list[Golden]:
    """Unpack the samples of a file's metadata. Raises HyperguideError if there are none."""
    samples = [
        _unpack(key.removeprefix(_KEY), text, where)
        for key, text in sorted(metadata.items())
        if key.startswith(_KEY)
    ]
    if not samples:
        raise HyperguideError(f"{where} carries no golden samples: export it again.")
    return samples


def _unpack(name: str, text: str, where: str) -> Golden:
    parts: dict[str, dict[str, np.ndarray]] = {"in": {}, "bytes": {}, "out": {}, "tolerance": {}}
    try:
        with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as arrays:
            for key in arrays.files:
                kind, _, entry = key.partition(".")
                parts[kind][entry] = arrays[key]
        feeds = parts["in"]
        if IMAGE in parts["bytes"]:
            feeds[IMAGE] = parts["bytes"][IMAGE]
        else:
            feeds[IMAGE] = feeds[IMAGE].astype(np.float32) / np.float32(255)
        outputs = {key: parts["out"][key] for key in (ENHANCED, GUIDANCE)}
        tolerance = {key: float(parts["tolerance"][key]) for key in (ENHANCED, GUIDANCE)}
    except _DAMAGE:
        raise HyperguideError(
            f"The golden sample '{name}' of {where} is damaged: export or download it again."
        ) from None
    return Golden(name, feeds, outputs, tolerance)
