"""Reads and changes model files without an ONNX library; see `contract` for their contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import write_atomically
from hyperguide.storage.file_content import read_content

from .contract import DEFAULTS, DIALS, DIGEST_PREFIX, ENHANCED, GUIDANCE, IMAGE, KERNEL, PREFIX
from .graph_check import check_graph
from .graph_size import check_size
from .model_info import ModelInfo
from .onnx_messages import (
    INITIALIZER,
    INPUT,
    MODEL_GRAPH,
    MODEL_METADATA,
    graph_of,
    name_of,
    scalar,
    with_graph,
)
from .onnx_outline import FLOAT, UINT8, Outline, read_outline
from .protobuf import MalformedError, fields, message, submessage, text, without

_TENSOR_NAME = 8  # field of onnx.proto

_TRIED = 64  # side of the picture for which a graph's sizes are computed
_LARGEST_FILE = 1 << 31  # what protocol buffers can hold


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

        The digest of the metadata excludes the stored digests.
        """
        return digests(self.content)

    @cached_property
    def excess(self) -> str:
        """Why its graph takes too much memory or work for a picture; empty if it does not."""
        info = self.info
        sides = map(info.sizes.of, (_TRIED, _TRIED + 1))
        shape = (*sides, info.channels) if info.io == "uint8" else (info.channels, *sides)
        try:
            check_size(read_outline(self.with_defaults()), {IMAGE: (1, *shape)})
        except MalformedError as error:
            return str(error)
        return ""

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The inputs without a default: in files for the web all, otherwise the image."""
        graph = fields(graph_of(self.content))
        stored = {_tensor_name(message(item)) for part, item in graph if part == INITIALIZER}
        return tuple(name for name in self.inputs if name not in stored)

    def with_defaults(self) -> bytes:
        """The file with a default for every dial and kernel, as an engine of the runtime loads it.

        Files for the web have none.
        """
        return self.with_inputs(()) if len(self.required) > 1 else self.content

    def with_inputs(self, names: Collection[str] = tuple(DEFAULTS)) -> bytes:
        """The file with dials or kernel as required inputs.

        For engines without support for default values. names: inputs without a default; the others
        have one.
        """

        def is_default(part: int, item: memoryview) -> bool:
            return part == INITIALIZER and _tensor_name(item) in names

        graph = without(graph_of(self.content), is_default)
        added = (n for n in self.required if n in DEFAULTS and n not in names)
        defaults = (scalar(name, DEFAULTS[name], rank=4) for name in added)
        return with_graph(self.content, graph + b"".join(defaults))

    def frozen(self) -> bytes:
        """The file with the dials as constants, so that the picture is its only input.

        (A kernel is too, and becomes required.) Engines then fold the dials away. The result is no
        hyperguide model file, because these have dials: metadata and seal are left out.
        """

        def is_dial(part: int, item: memoryview) -> bool:
            return part == INPUT and name_of(item) in DIALS

        content = self.with_inputs([KERNEL])
        frozen = with_graph(content, without(graph_of(content), is_dial))
        return without(memoryview(frozen), lambda number, _: number == MODEL_METADATA)

    def with_info(self, info: ModelInfo) -> bytes:
        """The file with another description, and digests that match it."""
        rest = without(memoryview(self.content), lambda number, _: number == MODEL_METADATA)
        entries = self.metadata | info.to_metadata()

        def together() -> bytes:
            return rest + b"".join(_metadata_entry(*entry) for entry in entries.items())

        entries |= digest_entries(together())
        return together()

    def weights(self) -> dict[str, np.ndarray]:
        """The float32 initializers by name."""
        tensors = read_outline(self.content).tensors
        return {tensor.name: tensor.array().copy() for tensor in tensors if tensor.kind == FLOAT}

    def changes(self) -> list[str]:
        """Names of the parts whose digest differs from the one stored at export."""
        return [
            name for name, value in self.digests.items() if self.metadata.get(_key(name)) != value
        ]


def default_feeds(names: Iterable[str]) -> dict[str, np.ndarray]:
    """Default values of dials and kernel, one value each; other names are skipped."""
    return {
        name: np.full((1, 1, 1, 1), DEFAULTS[name], np.float32)
        for name in names
        if name in DEFAULTS
    }


def read_model_file(path: Path) -> ModelFile:
    """Read a model file and its outline.

    Raises HyperguideError if the file is missing, unreadable, not ONNX, damaged, or has what
    exports do not write: weights in other files, custom operators, loops. Reading `info` checks
    that it is a hyperguide model, `changes` that it is unchanged.
    """
    content = read_content(path, "model file", _LARGEST_FILE)
    try:
        outline = read_outline(content)
        check_graph(outline)
        _check_types(outline)
    except MalformedError as error:
        raise _refusal(path, content, str(error)) from None
    metadata = dict(outline.metadata)
    if len(metadata) < len(outline.metadata):
        raise HyperguideError(f"{path} has a metadata entry twice: export or download it again.")
    inputs, outputs = (
        tuple(value.name for value in values) for values in (outline.inputs, outline.outputs)
    )
    model = ModelFile(path, content, metadata, inputs, outputs)
    if IMAGE not in inputs or (ENHANCED not in outputs or GUIDANCE not in outputs):
        _ = model.info  # raises first if it is not a hyperguide model
        raise HyperguideError(
            f"{path} lacks the input '{IMAGE}' or the outputs '{ENHANCED}' and '{GUIDANCE}': "
            "export it again."
        )
    return model


def _check_types(outline: Outline) -> None:
    """Raise MalformedError if pictures, maps or dials have types that exports do not write."""
    kinds = {value.name: value.kind for value in (*outline.inputs, *outline.outputs)}
    picture = kinds.get(IMAGE, FLOAT)
    expected = {IMAGE: FLOAT if picture != UINT8 else UINT8, ENHANCED: picture, GUIDANCE: FLOAT}
    for name, kind in {**expected, **dict.fromkeys((*DIALS, KERNEL), FLOAT)}.items():
        if kinds.get(name, kind) != kind:
            raise MalformedError(f"its '{name}' has numbers of another type")


def _tensor_name(tensor: memoryview) -> str:
    return text(dict(fields(tensor)).get(_TENSOR_NAME, b""))


def _refusal(path: Path, content: bytes, reason: str) -> HyperguideError:
    """The error for an unusable file: not ONNX, not a hyperguide model, or not as exported."""
    try:
        metadata = dict(_metadata(content))
        has_graph = any(number == MODEL_GRAPH for number, _ in fields(memoryview(content)))
    except MalformedError:
        has_graph, metadata = False, {}
    if not has_graph:
        return HyperguideError(
            f"{path} is not an ONNX file or is damaged: export or download it again."
        )
    if PREFIX + "format" not in metadata:
        return HyperguideError(
            f"{path} is an ONNX file but not one of ours: make one with 'hyperguide export'."
        )
    return HyperguideError(
        f"{path} is damaged or not as it was exported ({reason}): export or download it again."
    )


def digests(content: bytes) -> dict[str, str]:
    """SHA-256 of a serialized model's weights, graph and metadata, as hexadecimal strings."""
    weights, graph = hashlib.sha256(), hashlib.sha256()
    for number, value in fields(memoryview(content)):
        if number == MODEL_GRAPH:
            for part, item in fields(message(value)):
                _update(weights if part == INITIALIZER else graph, part, item)
        elif number != MODEL_METADATA:
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
    """The metadata entries in file order."""
    entries = []
    for number, value in fields(memoryview(content)):
        if number == MODEL_METADATA:
            entry = dict(fields(message(value)))
            entries.append((text(entry.get(1, b"")), text(entry.get(2, b""))))
    return entries


def replace_info(file: ModelFile, info: ModelInfo) -> None:
    """Replace the description of a file on disk."""
    content = file.with_info(info)
    write_atomically(file.path, lambda temporary: temporary.write_bytes(content))


def _metadata_entry(key: str, value: str) -> bytes:
    entry = submessage(1, key.encode()) + submessage(2, value.encode())
    return submessage(MODEL_METADATA, entry)


def digest_entries(content: bytes) -> dict[str, str]:
    """The metadata entries that `ModelFile.changes` compares with."""
    return {_key(name): value for name, value in digests(content).items()}


def _key(part: str) -> str:
    return DIGEST_PREFIX + part


def _update(digest: Any, number: int, value: int | memoryview) -> None:
    if isinstance(value, int):
        digest.update(b"%d=%d;" % (number, value))
    else:
        digest.update(b"%d:%d;" % (number, len(value)))
        digest.update(value)
