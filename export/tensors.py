"""Every tensor of a graph, as ONNX Runtime computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime


class Tensors:
    """Runs a graph node by node as it is written and shows what lies between the nodes.

    names: of the tensors to show.
    """

    def __init__(self, proto: onnx.ModelProto, names: Sequence[str]) -> None:
        self._names = list(names)
        wide = onnx.ModelProto()
        wide.CopyFrom(proto)
        del wide.graph.output[:]
        wide.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # Fused steps would hide what lies between them.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            wide.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tensors for some inputs."""
        values = self._session.run(self._names, dict(feeds))
        return dict(zip(self._names, values, strict=True))
