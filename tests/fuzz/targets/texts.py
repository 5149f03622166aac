"""Presets, MATLAB files, and the table of backgrounds."""

from __future__ import annotations

import json
import re
import struct
import zlib
from importlib import resources

import numpy as np
import yaml

from hyperguide.tasks import TASKS
from hyperguide.training.data.rain_layers import read_backgrounds
from hyperguide.training.evaluation.mat_file import read_mat
from hyperguide.training.model import build_model
from hyperguide.training.preset import load_preset

from ..mutation.archives import mat
from ..mutation.values import json_text, yaml_text
from ..target import Target, as_file


def _read_preset(data: bytes) -> None:
    task = re.search(rb"^task: (\w+)$", data, re.MULTILINE)
    asked = task[1].decode() if task and task[1].decode() in TASKS else "denoise"
    preset = load_preset(asked, "fast", as_file(data, "preset.yaml"))
    assert json.loads(preset.to_json())["task"] == preset.task
    build_model(preset)


def _presets() -> dict[str, bytes]:
    folder = resources.files("hyperguide.training.presets")
    names = ("denoise-fast", "denoise-live", "deblur-fast", "derain-paper", "dehaze-fast")
    files = ((name, folder / f"{name}.yaml") for name in names)
    # Without the comments, which make up most of a file.
    return {
        f"{name}.yaml": yaml.safe_dump(yaml.safe_load(file.read_text("utf-8"))).encode()
        for name, file in files
        if file.is_file()
    }


def _read_mat(data: bytes) -> None:
    for name, array in read_mat(as_file(data, "file.mat"), nested=True).items():
        assert isinstance(name, str)
        assert array.dtype.kind in "fiu"


def _mats() -> dict[str, bytes]:
    kernel = np.arange(9, dtype="<f8").reshape(3, 3)
    plain = _matrix("f", 6, 9, kernel) + _matrix("x", 9, 2, kernel.astype("u1"))
    packed = zlib.compress(_matrix("f", 6, 9, kernel))
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    return {
        "plain.mat": head + plain,
        "packed.mat": head + struct.pack("<II", 15, len(packed)) + packed,
        "nested.mat": head + _structure("model", _matrix("", 6, 9, kernel)),
    }


def _matrix(name: str, class_: int, kind: int, values: np.ndarray) -> bytes:
    """An array as a MAT-file element (chapter 1 of the format): flags, shape, name, numbers."""
    return _element(
        (6, struct.pack("<II", class_, 0)), (5, struct.pack("<2i", *values.shape)),
        (1, name.encode()), (kind, values.tobytes("F")),
    )  # fmt: skip


def _structure(name: str, field: bytes) -> bytes:
    """A structure of one element with one field, which is a matrix element."""
    return _element(
        (6, struct.pack("<II", 2, 0)), (5, struct.pack("<2i", 1, 1)), (1, name.encode()),
        (5, struct.pack("<i", 8)), (1, b"taps".ljust(8, b"\0")), (14, field[8:]),
    )  # fmt: skip


def _element(*parts: tuple[int, bytes]) -> bytes:
    """A matrix element of parts (data type, data)."""
    body = b"".join(
        struct.pack("<II", code, len(data)) + data + bytes(-len(data) % 8) for code, data in parts
    )
    return struct.pack("<II", 14, len(body)) + body


def _read_backgrounds(data: bytes) -> None:
    for number, name in read_backgrounds(as_file(data, "backgrounds.json"), "test").items():
        assert isinstance(number, str)
        assert isinstance(name, str)


def _tables() -> dict[str, bytes]:
    table = {"test": {"1": "test/100007.jpg", "2": "train/1.jpg"}, "train": {}}
    return {"backgrounds.json": json.dumps(table).encode()}


PRESETS = Target("presets", _presets, _read_preset, yaml_text)
MAT = Target(".mat files", _mats, _read_mat, mat)
BACKGROUNDS = Target("the table of backgrounds", _tables, _read_backgrounds, json_text)
