"""Inputs that once broke the rule for untrusted bytes, as small as possible.

Each is read as by its target in `fuzz.targets`, without Atheris; see docs/fuzzing.md.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from fuzz.mutation.messages import joined, parsed
from fuzz.mutation.values import DEEP, HUGE, as_json, as_yaml
from fuzz.rule import check
from fuzz.targets import find_target
from fuzz.targets.small_models import sealed
from hyperguide.model_format.contract import PREFIX

_DEEP = "[" * 3000 + "]" * 3000


def _seed(target: str, name: str) -> bytes:
    return find_target(target).seeds()[name]


def _model(change: Callable[[onnx.ModelProto], object]) -> bytes:
    """The small model file with a change, and a seal that matches it."""
    model = onnx.load_from_string(_seed("model-file", "rgb.onnx"))
    change(model)
    return sealed(model.SerializeToString())


def _said(name: str, value: str) -> Callable[[], bytes]:
    """A model file with one metadata entry replaced."""

    def change(model: onnx.ModelProto) -> None:
        next(e for e in model.metadata_props if e.key == PREFIX + name).value = value

    return lambda: _model(change)


def _guidance(**values: Any) -> Callable[[], bytes]:
    meaning = {"name": "a", "unit": "b", "minimum": 0.0, "maximum": 1.0, "smoothing": 0.5}
    model = onnx.load_from_string(_seed("model-file", "rgb.onnx"))
    kept = next(e.value for e in model.metadata_props if e.key == PREFIX + "guidance")
    return _said("guidance", as_json(meaning | json.loads(kept) | values).decode())


def _raw(at: bytes, instead: bytes) -> Callable[[], bytes]:
    """The small model file with some bytes replaced by equally many others."""
    assert len(at) == len(instead)

    def build() -> bytes:
        data = _seed("model-file", "rgb.onnx")
        assert at in data
        return data.replace(at, instead, 1)

    return build


def _tensor(**fields: Any) -> Callable[[], bytes]:
    def change(model: onnx.ModelProto) -> None:
        for name, value in fields.items():
            setattr(model.graph.initializer[0], name, value)

    return lambda: _model(change)


def _other_sides(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[3] = 4


def _smaller(model: onnx.ModelProto) -> None:
    """The result is one row and one column smaller than the picture."""
    next(n for n in model.graph.node if "enhanced" in n.output).output[0] = "whole"
    pool = onnx.helper.make_node("MaxPool", ["whole"], ["enhanced"], kernel_shape=[2, 2])
    model.graph.node.append(pool)


def _number_for_a_tensor() -> bytes:
    """A graph whose initializer, field 5, is the number 1."""
    items = parsed(_seed("model-file", "rgb.onnx"))
    return sealed(
        joined([(n, k, v + b"\x28\x01" if n == 7 and isinstance(v, bytes) else v)
                for n, k, v in items])
    )  # fmt: skip


def _golden(**arrays: np.ndarray) -> Callable[[], bytes]:
    """A golden sample with other arrays; _ in a name stands for the dot."""

    def build() -> bytes:
        with np.load(io.BytesIO(_seed("golden-samples", "rgb.onnx.npz"))) as sample:
            entries = dict(sample) | {k.replace("_", ".", 1): v for k, v in arrays.items()}
        file = io.BytesIO()
        np.savez(file, **entries)  # type: ignore[arg-type]
        return file.getvalue()

    return build


def _sidecar(**values: Any) -> Callable[[], bytes]:
    return lambda: as_json(json.loads(_seed("engine-sidecar", "gray.onnx.json")) | values)


def _profile(side: Any) -> Callable[[], bytes]:
    shape = [1, 1, 8, side]
    return _sidecar(profiles={"image": {"least": shape, "best": shape, "most": shape}})


def _told_by_sidecar(name: str, value: Any) -> Callable[[], bytes]:
    def build() -> bytes:
        metadata = json.loads(_seed("engine-sidecar", "gray.onnx.json"))["metadata"]
        return _sidecar(metadata=metadata | {PREFIX + name: value})()

    return build


def _npy(header: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode() + content


def _array(kind: str, shape: str) -> bytes:
    return _npy(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}\n")


def _preset(**values: Any) -> Callable[[], bytes]:
    import yaml

    def build() -> bytes:
        return as_yaml(yaml.safe_load(_seed("presets", "denoise-fast.yaml")) | values)

    return build


def _aliases() -> bytes:
    """Ten lists, each with nine references to the one before: 3.5 billion items if expanded."""
    names = "abcdefghij"
    lists = [f"&{name} [{','.join(9 * [f'*{names[i - 1]}' if i else 'x'])}]"
             for i, name in enumerate(names)]  # fmt: skip
    return _preset(tier="@")().replace(b"tier: '@'", f"tier: [{', '.join(lists)}]".encode())


def _saved(content: object) -> Callable[[], bytes]:
    def build() -> bytes:
        file = io.BytesIO()
        torch.save(content, file)
        return file.getvalue()

    return build


def _recorded(value: Any) -> Callable[[], bytes]:
    """A checkpoint with another record."""

    def build() -> bytes:
        data = _seed("weights-safetensors", "best.safetensors")
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        header["__metadata__"] = {"hyperguide": as_json(value).decode()}
        packed = json.dumps(header).encode()
        return struct.pack("<Q", len(packed)) + packed + data[8 + size :]

    return build


def _png(*chunks: tuple[bytes, bytes], size: tuple[int, int] = (1, 1), bits: int = 8) -> bytes:
    width, height = size
    row = b"\0" + bytes(-(-width * bits // 8))
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">2I5B", width, height, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def _tiff_of_directories(count: int, entries: int) -> bytes:
    """A chain of overlapping directories with as many entries as the file has room for."""
    size = 8 + 6 * count + 12 * entries
    data = bytearray(size)
    data[:8] = b"II*\0" + struct.pack("<I", 8)
    for number in range(count):
        at = 8 + 2 * number
        struct.pack_into("<H", data, at, entries)
        link = at + 2 + 12 * entries
        struct.pack_into("<I", data, link, at + 2)
    return bytes(data)


def _jpeg_of_size(side: int) -> bytes:
    data = bytearray(_seed("pictures-jpeg", "gray.jpg"))
    at = data.index(b"\xff\xc0") + 5
    struct.pack_into(">HH", data, at, side, side)
    return bytes(data)


def _bmp_of_runs(side: int) -> bytes:
    data = bytearray(_seed("pictures-bmp", "runs.bmp"))
    struct.pack_into("<ii", data, 18, side, side)
    return bytes(data)


# Name -> target and bytes.
_INPUTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "model: deep nesting": ("model-file", _said("training", _DEEP)),
    "model: a number beyond floats": ("model-file", _guidance(maximum=HUGE)),
    "model: infinity": ("model-file", _said("size_multiple", "Infinity")),
    "model: escape codes": ("model-file", _said("format", "\x1b[31m")),
    "model: a long text": ("model-file", _said("format", "1" * 5000)),
    "model: a number for a tensor": ("model-file", _number_for_a_tensor),
    "model: a name that is no UTF-8": ("model-file", _raw(b"B\x06weight", b"B\x06\xffeight")),
    "model: three bytes of weights": ("model-file", _tensor(raw_data=b"abc")),
    "model: weights of another shape": ("model-file", lambda: _model(_other_sides)),
    "model: a training that is a list": ("weights-onnx", _said("training", "[]")),
    "run: multiples of 20000": ("model-run", _said("size_multiple", "20000")),
    "run: results of another shape": ("model-run", lambda: _model(_smaller)),
    "golden: text for numbers": ("golden-samples", _golden(out_enhanced=np.array([b""]))),
    "golden: several tolerances": ("golden-samples", _golden(tolerance_enhanced=np.ones(2))),
    "golden: a name that fills the screen": (
        "golden-samples",
        _golden(**{"x" * 900: np.ones(1)}),
    ),
    "sidecar: a format that fills the screen": (
        "engine-sidecar",
        _sidecar(format=["x" * 90] * 9),
    ),
    "sidecar: an endless side": ("engine-sidecar", _profile(float("inf"))),
    "sidecar: a version that is a number": ("engine-sidecar", _sidecar(version=10)),
    "sidecar: deep nesting": ("engine-sidecar", _sidecar(options=DEEP)),
    "sidecar: half a character": ("engine-sidecar", _sidecar(format="\ud800")),
    "sidecar: a number for a sample": (
        "engine-sidecar",
        _told_by_sidecar("golden.noise", 1),
    ),
    "kernel: a header without an end": ("kernels-npy", lambda: _npy("{")),
    "kernel: a header that is code": ("kernels-npy", lambda: _npy("{'a':}\n")),
    "kernel: numbers that are too large": (
        "kernels-npy",
        lambda: _array("'<f4'", "(99999999999999999999, 1)"),
    ),
    "kernel: sides that are no numbers": ("kernels-npy", lambda: _array("'<f4'", "(3, 3.0)")),
    "kernel: terabytes": ("kernels-npy", lambda: _array("'<f8'", "(1000001, 1000001)")),
    "kernel: the beginning of an archive": ("kernels-npy", lambda: b"PK\x03\x04"),
    "preset: a list for an object": ("presets", _preset(proxy=[])),
    "preset: a list for a choice": ("presets", _preset(reconstruction={"network": []})),
    "preset: a number beyond floats": ("presets", _preset(stage_weight=HUGE)),
    "preset: deep nesting": ("presets", _preset(tier=DEEP)),
    "preset: aliases that multiply": ("presets", _aliases),
    "preset: a date": ("presets", lambda: b"task: 2001-13-45\n"),
    "pth: a sparse tensor": ("weights-pth", _saved({"a": torch.eye(2).to_sparse()})),
    "pth: a tensor without values": ("weights-pth", _saved({"a": torch.ones(2, device="meta")})),
    "pth: quantized numbers": (
        "weights-pth",
        _saved({"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}),
    ),
    "pth: one number a billion times": (
        "weights-pth",
        _saved({"a": torch.zeros(1).expand(1 << 30)}),
    ),
    "checkpoint: a record that is a list": ("weights-safetensors", _recorded([])),
    "checkpoint: a preset without an end": ("weights-safetensors", _recorded(DEEP)),
    "checkpoint: no strategy": (
        "weights-safetensors",
        lambda: _recorded({"preset": _checkpointed()["preset"], "settings": {}})(),
    ),
    "log: a line that is no object": ("runs-log", lambda: b"[]\n"),
    "log: a line without a step": ("runs-log", lambda: b"{}\n"),
    "log: a step that is a text": ("runs-log", lambda: b'{"step": "1"}\n'),
    "log: no text": ("runs-log", lambda: b'\xff\n{"step": 1}\n'),
    "log: deep nesting": ("runs-log", lambda: _DEEP.encode() + b"\n{}\n"),
    "resume: settings that are a list": (
        "runs-resume",
        lambda: b'{"settings": [], "replaces": false}',
    ),
    "resume: a name that fills the screen": (
        "runs-resume",
        lambda: as_json({"settings": {"x" * 900: ""}, "replaces": False}),
    ),
    "resume: deep nesting": ("runs-resume", lambda: _DEEP.encode()),
    "backgrounds: a list": ("backgrounds", lambda: b'{"test": [[]]}'),
    "backgrounds: deep nesting": ("backgrounds", lambda: _DEEP.encode()),
    "backgrounds: no text": ("backgrounds", lambda: b"\xff"),
    "png: EXIF of an empty directory": (
        "pictures-png",
        lambda: _png((b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0")),
    ),
    "png: 30000x30000 of one bit": (
        "pictures-png",
        lambda: _png(size=(30000, 30000), bits=1),
    ),
    "tiff: directories that overlap": ("pictures-tiff", lambda: _tiff_of_directories(4096, 4000)),
    "jpeg: 30000x30000 in a few bytes": ("pictures-jpeg", lambda: _jpeg_of_size(30000)),
    "bmp: 30000x30000 in a few bytes": ("pictures-bmp", lambda: _bmp_of_runs(30000)),
}


def _checkpointed() -> dict[str, Any]:
    from fuzz.targets.weights import record

    return record().to_json()


@pytest.mark.parametrize("name", _INPUTS)
def test_inputs_that_broke_a_reader_before_keep_the_rule(name: str) -> None:
    target, build = _INPUTS[name]
    check(find_target(target).read, build())
