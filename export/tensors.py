"""Reads intermediate tensors of a graph, as computed by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime


class Tensors:
    """Runs a graph unoptimised and returns its intermediate tensors.

    names: names of the tensors to return.
    """

    def __init__(self, proto: onnx.ModelProto, names: Sequence[str]) -> None:
        self._names = list(names)
        wide = onnx.ModelProto()
        wide.CopyFrom(proto)
        del wide.graph.output[:]
        wide.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # Fused nodes would hide intermediate tensors.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            wide.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tensors for the given inputs, by name."""
        values = self._session.run(self._names, dict(feeds))
        return dict(zip(self._names, values, strict=True))
