"""The model file: plain ONNX that describes itself.

Inputs
    image           float32 (N, C, H, W) in [0, 1]; H and W multiples of `size_multiple`
    guidance_in     float32, rank 4, a map to use instead of the predicted one
    guidance_mix    default 0: how much of `guidance_in` is used
    guidance_scale  default 1: multiplies the map that the reconstruction sees
    strength        default 1: 0 returns the image, 1 the network's result
    kernel          deblurring only, float32 (N or 1, 1, kh, kw), odd sides, sum 1; default: no blur
Outputs
    enhanced        float32 (N, C, H, W), clipped to [0, 1]
    guidance        float32 (N, 1, H, W), the map before the scale, in the unit of the metadata

Files whose `io` is uint8 have bytes of shape (N, H, W, C) as `image` and `enhanced` instead.

Every dial has rank 4 and each of its dimensions is 1 or that of the image, so that it serves per
picture and per pixel. Everything else stands in the file's metadata under `hyperguide.*`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .atomic import write_atomically
from .errors import HyperguideError
from .onnx_messages import MODEL_GRAPH, graph_of, with_graph
from .protobuf import MalformedError, fields, message, submessage, text, without
from .tasks import TASKS, Guidance

IMAGE = "image"
DIALS: dict[str, float] = {
    "guidance_in": 0.0,
    "guidance_mix": 0.0,
    "guidance_scale": 1.0,
    "strength": 1.0,
}
KERNEL = "kernel"
ENHANCED = "enhanced"
GUIDANCE = "guidance"

PRECISIONS = ("fp32", "fp16", "int8")

PREFIX = "hyperguide."
FORMAT = 1

# Field numbers of onnx.proto.
_MODEL_METADATA = 14
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 5, 11, 12
_TENSOR_DIMENSION, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_FLOAT = 1  # the type of a tensor


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says about itself.

    color: `rgb` or `gray`, the planes of the image input.
    size_multiple: height and width must be multiples of it.
    receptive_field: how many pixels away an output pixel looks; with `context` global, when the
        map is given.
    context: `local`, or `global` if the predicted map depends on the whole picture.
    whole_picture: whether what is made of a pixel does too, the map being given.
    precision: of the weights.
    io: of the pictures: `float` (NCHW in [0, 1]), or `uint8` (NHWC, bytes).
    training: how the model was trained: preset, data, steps, seconds.
    quality: measured figures.
    cost: `kilo_macs_per_pixel`, `bytes_per_pixel` of the largest tensors that live at once, and
        `operators` by the precision that they compute in.
    card: in words: `purpose`, `data` and its terms, `limits`; empty if nobody wrote one.
    """

    task: str
    tier: str
    color: str
    guidance: Guidance
    size_multiple: int
    receptive_field: int
    context: str
    precision: str = "fp32"
    io: str = "float"
    training: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    whole_picture: bool = False

    @property
    def channels(self) -> int:
        """Planes of the image input."""
        return 1 if self.color == "gray" else 3

    def _check(self) -> None:
        """Raise ValueError or TypeError where a value is none that this version can run."""
        for name, known in _KNOWN.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        for name, least in (("size_multiple", 1), ("receptive_field", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} is {value!r}")
        if type(self.whole_picture) is not bool:
            raise ValueError(f"whole_picture is {self.whole_picture!r}")
        low, high = self.guidance.minimum, self.guidance.maximum
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"the guidance ranges from {low!r} to {high!r}")

    def to_metadata(self) -> dict[str, str]:
        """The entries of the file's metadata."""
        values = {"format": FORMAT, **asdict(self)}
        return {
            PREFIX + name: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for name, value in values.items()
        }

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], path: Path) -> ModelInfo:
        """Read the entries back. Raises HyperguideError if they are missing or unusable."""
        if PREFIX + "format" not in metadata:
            raise HyperguideError(
                f"{path} is an ONNX file but not one of ours: make one with 'hyperguide export'."
            )
        written = metadata[PREFIX + "format"]
        if written != str(FORMAT):
            raise HyperguideError(
                f"{path} has model format {written}, this version reads format {FORMAT}: "
                "install the version of hyperguide that exported it."
            )
        try:
            text = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
            values: dict[str, Any] = {name: text[name] for name in _TEXT}
            values |= {name: json.loads(text[name]) for name in _PARSED}
            values |= {name: json.loads(text[name]) for name in _LATER if name in text}
            values["guidance"] = Guidance(**values["guidance"])
            info = cls(**values)
            info._check()
            return info
        except (KeyError, TypeError, ValueError) as error:
            raise HyperguideError(
                f"The metadata of {path} is damaged ({error}): export or download it again."
            ) from None


_KNOWN: dict[str, tuple[str, ...]] = {
    "task": tuple(TASKS),
    "color": ("rgb", "gray"),
    "context": ("local", "global"),
    "io": ("float", "uint8"),
}
_TEXT = ("task", "tier", "color", "context", "precision", "io")
_LATER = ("cost", "card", "whole_picture")  # older files lack them
_PARSED = ("guidance", "size_multiple", "receptive_field", "training", "quality")


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file's bytes and the outline read from them, without any ONNX library."""

    path: Path
    content: bytes = field(repr=False)
    metadata: dict[str, str] = field(repr=False)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @cached_property
    def info(self) -> ModelInfo:
        """The description in the metadata."""
        return ModelInfo.from_metadata(self.metadata, self.path)

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the weights, of the rest of the file, and of the metadata.

        The stored digests themselves are left out of the metadata's.
        """
        return digests(self.content)

    def with_inputs(self, names: Collection[str] = (*DIALS, KERNEL)) -> bytes:
        """The file with dials or kernel as inputs that must be given.

        For engines that know no inputs with a default. names: of those that shall have none.
        """

        def is_default(part: int, item: memoryview) -> bool:
            if part != _GRAPH_INITIALIZER:
                return False
            return text(dict(fields(item)).get(_TENSOR_NAME, b"")) in names

        return with_graph(self.content, without(graph_of(self.content), is_default))

    def frozen(self) -> bytes:
        """The file with the dials as constants, so that the picture is its only input.

        (And a kernel, which must be given.) Engines then fold the dials away. It is no model file
        of ours any more, for these can be steered: metadata and seal are left out.
        """

        def is_dial(part: int, item: memoryview) -> bool:
            return part == _GRAPH_INPUT and text(dict(fields(item)).get(1, b"")) in DIALS

        content = self.with_inputs([KERNEL])
        frozen = with_graph(content, without(graph_of(content), is_dial))
        return without(memoryview(frozen), lambda number, _: number == _MODEL_METADATA)

    def with_info(self, info: ModelInfo) -> bytes:
        """The file with this description in the place of its own, and the digests to it."""
        rest = without(memoryview(self.content), lambda number, _: number == _MODEL_METADATA)
        entries = self.metadata | info.to_metadata()

        def together() -> bytes:
            return rest + b"".join(_metadata_entry(*entry) for entry in entries.items())

        entries |= digest_entries(together())
        return together()

    def weights(self) -> dict[str, np.ndarray]:
        """The initializers in float32 that are stored as raw bytes, by name."""
        found = {}
        for part, item in fields(graph_of(self.content)):
            if part != _GRAPH_INITIALIZER:
                continue
            values = list(fields(message(item)))
            tensor = dict(values)
            if tensor.get(_TENSOR_TYPE) == _FLOAT and _TENSOR_RAW in tensor:
                shape = [v for n, v in values if n == _TENSOR_DIMENSION and isinstance(v, int)]
                array = np.frombuffer(message(tensor[_TENSOR_RAW]), "<f4")
                found[text(tensor.get(_TENSOR_NAME, b""))] = array.reshape(shape).copy()
        return found

    def changes(self) -> list[str]:
        """Name the parts whose digest differs from the one stored at export."""
        return [
            name for name, value in self.digests.items() if self.metadata.get(_key(name)) != value
        ]


def default_feeds(names: Iterable[str]) -> dict[str, np.ndarray]:
    """What dials and kernel are where nobody gives them, one value each; other names have none."""
    defaults = {**DIALS, KERNEL: 1.0}
    return {
        name: np.full((1, 1, 1, 1), defaults[name], np.float32)
        for name in names
        if name in defaults
    }


def read_model_file(path: Path) -> ModelFile:
    """Read the outline of a model file.

    Raises HyperguideError if the file is missing, unreadable, no ONNX or damaged. Whether it is
    ours shows when `info` is read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise HyperguideError(f"There is no model file {path}: check the name.") from None
    except IsADirectoryError:
        raise HyperguideError(
            f"{path} is a folder, not a model file: give an .onnx file."
        ) from None
    except OSError as error:
        raise HyperguideError(f"Cannot read the model file {path}: {error.strerror}.") from None
    damaged = HyperguideError(
        f"{path} is not an ONNX file or is damaged: export or download it again."
    )
    inputs: list[str] = []
    outputs: list[str] = []
    graphs = 0
    try:
        for number, value in fields(memoryview(content)):
            if number != MODEL_GRAPH:
                continue
            graphs += 1
            for part, item in fields(message(value)):
                if part in (_GRAPH_INPUT, _GRAPH_OUTPUT):
                    name = text(dict(fields(message(item))).get(1, b""))
                    (inputs if part == _GRAPH_INPUT else outputs).append(name)
        entries = _metadata(content)
    except (MalformedError, UnicodeDecodeError):
        raise damaged from None
    metadata = dict(entries)
    if len(metadata) < len(entries):
        raise HyperguideError(f"{path} has a metadata entry twice: export or download it again.")
    if graphs != 1 or not outputs:
        raise damaged
    model = ModelFile(path, content, metadata, tuple(inputs), tuple(outputs))
    if IMAGE not in inputs or (ENHANCED not in outputs or GUIDANCE not in outputs):
        _ = model.info  # says first if it is not ours at all
        raise HyperguideError(
            f"{path} lacks the input '{IMAGE}' or the outputs '{ENHANCED}' and '{GUIDANCE}': "
            "export it again."
        )
    return model


def digests(content: bytes) -> dict[str, str]:
    """SHA-256 of a serialized model's weights, graph and metadata, as hexadecimal strings."""
    weights, graph = hashlib.sha256(), hashlib.sha256()
    for number, value in fields(memoryview(content)):
        if number == MODEL_GRAPH:
            for part, item in fields(message(value)):
                _update(weights if part == _GRAPH_INITIALIZER else graph, part, item)
        elif number != _MODEL_METADATA:
            _update(graph, number, value)
    return {
        "weights": weights.hexdigest(),
        "graph": graph.hexdigest(),
        "metadata": _metadata_digest(_metadata(content)),
    }


def metadata_changed(metadata: dict[str, str]) -> bool:
    """Whether the digest of the metadata differs from the one stored at export."""
    return _metadata_digest(metadata.items()) != metadata.get(_key("metadata"))


def _metadata_digest(entries: Iterable[tuple[str, str]]) -> str:
    stored = {_key(name) for name in ("weights", "graph", "metadata")}
    kept = sorted(entry for entry in entries if entry[0] not in stored)
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def _metadata(content: bytes) -> list[tuple[str, str]]:
    """The metadata's entries in the file's order."""
    entries = []
    for number, value in fields(memoryview(content)):
        if number == _MODEL_METADATA:
            entry = dict(fields(message(value)))
            entries.append((text(entry.get(1, b"")), text(entry.get(2, b""))))
    return entries


def replace_info(file: ModelFile, info: ModelInfo) -> None:
    """Replace a file on disk by the same with another description."""
    content = file.with_info(info)
    write_atomically(file.path, lambda temporary: temporary.write_bytes(content))


def _metadata_entry(key: str, value: str) -> bytes:
    entry = submessage(1, key.encode()) + submessage(2, value.encode())
    return submessage(_MODEL_METADATA, entry)


def digest_entries(content: bytes) -> dict[str, str]:
    """The metadata entries that `ModelFile.changes` compares with."""
    return {_key(name): value for name, value in digests(content).items()}


def _key(part: str) -> str:
    return f"{PREFIX}sha256.{part}"


def _update(digest: Any, number: int, value: int | memoryview) -> None:
    if isinstance(value, int):
        digest.update(b"%d=%d;" % (number, value))
    else:
        digest.update(b"%d:%d;" % (number, len(value)))
        digest.update(value)
