"""Small model files made by hand, valid except for what a test breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hyperguide.export.model import seal
from hyperguide.model_format.golden import Golden
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.tasks import TASKS

# Darkens by a quarter at strength 1; the map is the mean of the picture.
GAIN = 0.75

INFO = ModelInfo(
    task="denoise",
    tier="fast",
    color="gray",
    guidance=replace(TASKS["denoise"].guidance, maximum=1.0),
    size_multiple=2,
    receptive_field=1,
    context="local",
)


def tensor(name: str, values: Any, kind: type = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.array(values, kind), name)


def tiny_model(**info: Any) -> onnx.ModelProto:
    """A small gray model, sealed, with a golden sample; `info` changes its metadata."""
    one = np.ones((1, 1, 1, 1), np.float32)
    defaults = {"guidance_in": 0 * one, "guidance_mix": 0 * one, "guidance_scale": one}
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"]),
        helper.make_node("Mul", ["image", "nothing"], ["none"]),
        helper.make_node("Add", ["mean", "none"], ["predicted"]),
        helper.make_node("Sub", ["one", "guidance_mix"], ["rest"]),
        helper.make_node("Mul", ["guidance_mix", "guidance_in"], ["given"]),
        helper.make_node("Mul", ["rest", "predicted"], ["kept"]),
        helper.make_node("Add", ["given", "kept"], ["guidance"]),
        helper.make_node("Mul", ["guidance", "guidance_scale"], ["unused"]),
        helper.make_node("Mul", ["image", "gain"], ["darker"]),
        helper.make_node("Sub", ["darker", "image"], ["change"]),
        helper.make_node("Mul", ["strength", "change"], ["step"]),
        helper.make_node("Add", ["image", "step"], ["enhanced"]),
    ]
    sides = {"image": ["N", 1, "H", "W"]}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sides.get(name, [None] * 4))
        for name in ("image", *defaults, "strength")
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, "H", "W"])
        for name in ("enhanced", "guidance")
    ]
    stored = [tensor(name, value) for name, value in (defaults | {"strength": one}).items()]
    stored += [tensor("one", one), tensor("gain", GAIN * one), tensor("nothing", 0 * one)]
    stored.append(tensor("axes", [1, 2, 3], np.int64))
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    image = (np.arange(8 * 6).reshape(1, 1, 8, 6) / np.float32(255)).astype(np.float32)
    golden = Golden(
        "plain",
        {"image": image},
        {"enhanced": GAIN * image, "guidance": np.full_like(image, image.mean())},
        {"enhanced": 1e-4, "guidance": 1e-4},
    )
    helper.set_model_props(model, replace(INFO, **info).to_metadata() | golden.to_metadata())
    seal(model)
    return model


def entry(model: onnx.ModelProto, key: str) -> Any:
    """An entry of the metadata, for tests to change."""
    return next(e for e in model.metadata_props if e.key == f"hyperguide.{key}")


def write(path: Path, model: onnx.ModelProto, sealed: bool = True) -> Path:
    """Write a model, resealed by default as a forger would."""
    if sealed:
        seal(model)
    path.write_bytes(model.SerializeToString())
    return path


def replace_node(model: onnx.ModelProto, output: str, nodes: Sequence[onnx.NodeProto]) -> None:
    """Replace the node that produces `output` by other nodes."""
    place = next(i for i, node in enumerate(model.graph.node) if output in node.output)
    kept = [*model.graph.node[:place], *nodes, *model.graph.node[place + 1 :]]
    del model.graph.node[:]
    model.graph.node.extend(kept)
