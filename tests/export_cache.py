"""Exports the graphs of equal pairs only once per test process: torch takes seconds for each."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable

import onnx
import torch

from hyperguide.export import graph, model
from hyperguide.training.model import GuidedModel

_Export = Callable[[GuidedModel, bool, bool], onnx.ModelProto]


def _cached(export: _Export) -> _Export:
    exported: dict[tuple[str, bool, bool], bytes] = {}

    def export_graph(
        pair: GuidedModel, takes_kernel: bool = False, plain: bool = False
    ) -> onnx.ModelProto:
        try:
            key = _digest(pair), takes_kernel, plain
        except (AttributeError, pickle.PicklingError, TypeError):  # local classes of a test
            return export(pair, takes_kernel, plain)
        if key not in exported:
            exported[key] = export(pair, takes_kernel, plain).SerializeToString()
        return onnx.ModelProto.FromString(exported[key])

    return export_graph


class _Pickler(pickle.Pickler):
    """Takes tensors by their values: torch's own pickles of equal ones differ."""

    def persistent_id(self, value: object) -> object:
        if not isinstance(value, torch.Tensor):
            return None
        content = value.detach().contiguous().numpy().tobytes()
        return str(value.dtype), tuple(value.shape), hashlib.sha256(content).hexdigest()


def _digest(pair: GuidedModel) -> str:
    file = io.BytesIO()
    _Pickler(file).dump(pair)
    return hashlib.sha256(file.getvalue()).hexdigest()


def cache_exports() -> None:
    """Cache `export_graph`, also for modules that import it later."""
    graph.export_graph = model.export_graph = _cached(graph.export_graph)
