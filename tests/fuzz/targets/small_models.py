"""Tiny model files made here: every input and output, sealed, with samples."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from hyperguide.model_format.contract import DIALS
from hyperguide.model_format.golden import Golden
from hyperguide.model_format.model_file import digest_entries
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.tasks import find_task


def model_bytes(task: str = "denoise", color: str = "rgb", io: str = "float") -> bytes:
    """A model file whose map is the mean of the planes, and which subtracts a tenth of it."""
    planes = 1 if color == "gray" else 3
    of_bytes = io == "uint8"
    kind = TensorProto.UINT8 if of_bytes else TensorProto.FLOAT
    shape = ["N", "H", "W", planes] if of_bytes else ["N", planes, "H", "W"]
    value = helper.make_tensor_value_info
    names = [*DIALS, *(["kernel"] if task == "deblur" else [])]
    defaults = {**DIALS, "kernel": 1.0}
    node = helper.make_node
    nodes = [
        *(
            [
                node("Cast", ["image"], ["levels"], to=TensorProto.FLOAT),
                node("Div", ["levels", "full"], ["shares"]),
                node("Transpose", ["shares"], ["planes"], perm=[0, 3, 1, 2]),
            ]
            if of_bytes
            else [node("Identity", ["image"], ["planes"])]
        ),
        node("Conv", ["planes", "weight"], ["predicted"], kernel_shape=[3, 3], pads=[1] * 4),
        node("Mul", ["guidance_in", "guidance_mix"], ["given"]),
        node("Sub", ["one", "guidance_mix"], ["rest"]),
        node("Mul", ["predicted", "rest"], ["kept"]),
        node("Add", ["given", "kept"], ["guidance"]),
        node("Mul", ["guidance", "guidance_scale"], ["scaled"]),
        node("Mul", ["scaled", "tenth"], ["less"]),
        node("Mul", ["less", "strength"], ["taken"]),
        *([node("ReduceSum", ["kernel"], ["sum"], keepdims=1)] if task == "deblur" else []),
        node("Mul", ["taken", "sum" if task == "deblur" else "one"], ["removed"]),
        node("Sub", ["planes", "removed"], ["restored"]),
        node("Clip", ["restored", "zero", "one"], ["clipped" if of_bytes else "enhanced"]),
        *(
            [
                node("Transpose", ["clipped"], ["turned"], perm=[0, 2, 3, 1]),
                node("Mul", ["turned", "full"], ["raised"]),
                node("Round", ["raised"], ["rounded"]),
                node("Cast", ["rounded"], ["enhanced"], to=TensorProto.UINT8),
            ]
            if of_bytes
            else []
        ),
    ]
    weight = np.zeros((1, planes, 3, 3), np.float32)
    weight[:, :, 1, 1] = 1 / planes
    constants = {"full": 255.0, "tenth": 0.1, "zero": 0.0, "one": 1.0}
    initializers = [
        numpy_helper.from_array(weight, "weight"),
        *(numpy_helper.from_array(np.float32(v), name) for name, v in constants.items()),
        *(
            numpy_helper.from_array(np.full((1, 1, 1, 1), defaults[name], np.float32), name)
            for name in names
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [
            value("image", kind, shape),
            *(value(name, TensorProto.FLOAT, [f"{name}_{i}" for i in range(4)]) for name in names),
        ],
        [value("enhanced", kind, shape), value("guidance", TensorProto.FLOAT, ["N", 1, "H", "W"])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return sealed(model.SerializeToString() + _metadata(_entries(model, task, color, io, planes)))


def _entries(model: onnx.ModelProto, task: str, color: str, io: str, planes: int) -> dict[str, str]:
    info = ModelInfo(
        task=task,
        tier="fast",
        color=color,
        guidance=find_task(task).guidance,
        size_multiple=2,
        receptive_field=1,
        context="local",
        io=io,
        training={"data": "none", "steps": 0},
        cost={"kilo_macs_per_pixel": 0.03, "bytes_per_pixel": 64},
    )
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (1, planes, 4, 6), np.uint8)
    image = levels.transpose(0, 2, 3, 1) if io == "uint8" else levels.astype(np.float32) / 255
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # no warnings about inputs with defaults
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    enhanced, guidance = session.run(["enhanced", "guidance"], {"image": image})
    sample = Golden(
        "noise",
        {"image": image},
        {"enhanced": enhanced, "guidance": guidance},
        {"enhanced": 0.01, "guidance": 0.01},
    )
    return info.to_metadata() | sample.to_metadata()


def _metadata(entries: dict[str, str]) -> bytes:
    model = onnx.ModelProto()
    helper.set_model_props(model, entries)
    return model.SerializeToString()


def sealed(content: bytes) -> bytes:
    """The file with a seal that matches its content. Raises ValueError if it cannot be read."""
    from hyperguide.model_format.protobuf import MalformedError

    from ..mutation.messages import joined, parsed

    items = [
        (number, kind, value)
        for number, kind, value in parsed(content)
        if number != 14 or not isinstance(value, bytes) or b"hyperguide.sha256." not in value
    ]
    content = joined(items)
    try:
        return content + _metadata(digest_entries(content))
    except (MalformedError, UnicodeError) as error:
        raise ValueError("no model file") from error


@cache
def seeds() -> dict[str, bytes]:
    """Model files of every kind that the readers distinguish."""
    return {
        "rgb.onnx": model_bytes(),
        "gray.onnx": model_bytes(color="gray"),
        "bytes.onnx": model_bytes(io="uint8"),
        "deblur.onnx": model_bytes("deblur", "gray"),
        "derain.onnx": model_bytes("derain"),
    }
