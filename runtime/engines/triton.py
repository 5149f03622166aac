"""Writes model repositories for NVIDIA's Triton Inference Server, to serve on many machines.

A repository is a folder of models, each `NAME/config.pbtxt` and `NAME/1/model.onnx` or `model.plan`
(Triton's documentation, "Model Repository" and "Model Configuration").
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE, KERNEL
from hyperguide.model_format.model_file import ModelFile
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.storage.atomic import write_together
from hyperguide.storage.paths import exists, make_folder

# How long a picture may wait for others of its size, so that they run together.
_QUEUE_MICROSECONDS = 2000

# Maximum batch of an ONNX file, which itself takes any number of pictures.
_BATCH = 8

_FILES = {"onnxruntime": "model.onnx", "tensorrt": "model.plan"}


def refuse_entry(folder: Path, force: bool) -> None:
    """Raise HyperguideError if the model folder NAME exists already, unless forced.

    Called before long work, so that nobody waits for a result that cannot be written.
    """
    if not force and exists(folder):
        raise HyperguideError(f"The model {folder} exists: choose another name or add --force.")


def write_onnx_entry(folder: Path, file: ModelFile, force: bool = False) -> None:
    """Write a model file into the model folder NAME, frozen: dials are constants."""
    _write(folder, file.info, "onnxruntime", file.frozen(), _BATCH, force)


def write_plan_entry(
    folder: Path, info: ModelInfo, engine: bytes, batch: int, force: bool = False
) -> None:
    """Write a TensorRT engine that is not steerable into the model folder NAME.

    batch: the largest batch that it takes.
    """
    _write(folder, info, "tensorrt", engine, batch, force)


def configuration(name: str, info: ModelInfo, backend: str, batch: int) -> str:
    """The text of config.pbtxt."""
    planes = info.channels
    sides = [-1, -1]
    floats = ("TYPE_FP32", [planes, *sides])
    picture = ("TYPE_UINT8", [*sides, planes]) if info.io == "uint8" else floats
    inputs = [_tensor(IMAGE, *picture)]
    if info.task == "deblur":
        inputs.append(_tensor(KERNEL, "TYPE_FP32", [1, *sides]))
    outputs = [_tensor(ENHANCED, *picture), _tensor(GUIDANCE, "TYPE_FP32", [1, *sides])]
    meaning = info.guidance
    facts = {
        "size_multiple": info.size_multiple,
        "guidance": f"{meaning.name} in {meaning.unit}, {meaning.minimum:g} to {meaning.maximum:g}",
        "precision": info.precision,
    }
    lines = [
        f"name: {json.dumps(name)}",
        f"backend: {json.dumps(backend)}",
        f"max_batch_size: {batch}",
        f"input [{', '.join(inputs)}]",
        f"output [{', '.join(outputs)}]",
    ]
    if batch > 1:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {_QUEUE_MICROSECONDS} }}")
    lines += [
        f"parameters {{ key: {json.dumps(key)} "
        f"value {{ string_value: {json.dumps(str(value), ensure_ascii=False)} }} }}"
        for key, value in facts.items()
    ]
    return "\n".join(lines) + "\n"


def _tensor(name: str, kind: str, dims: Sequence[int]) -> str:
    sides = ", ".join(map(str, dims))
    return f"{{ name: {json.dumps(name)} data_type: {kind} dims: [{sides}] }}"


def _write(
    folder: Path, info: ModelInfo, backend: str, model: bytes, batch: int, force: bool
) -> None:
    refuse_entry(folder, force)
    make_folder(folder / "1")
    text = configuration(folder.name, info, backend, batch)
    write_together(
        {
            folder / "1" / _FILES[backend]: lambda temporary: temporary.write_bytes(model),
            folder / "config.pbtxt": lambda temporary: temporary.write_text(text, "utf-8"),
        }
    )
