"""The model repository is valid by Triton's own schema, and serves the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

import hyperguide
from conftest import Cli, fails
from hyperguide.cli import build as build_command
from hyperguide.engines.tensorrt.bindings import open_tensorrt
from hyperguide.engines.triton import configuration, write_onnx_entry
from hyperguide.model_format.bundled import bundled_path
from hyperguide.model_format.model_file import read_model_file

_TYPES = {
    "tensor(float)": model_config_pb2.TYPE_FP32,
    "tensor(uint8)": model_config_pb2.TYPE_UINT8,
}


def _config(folder: Path) -> Any:
    return text_format.Parse(
        (folder / "config.pbtxt").read_text("utf-8"), model_config_pb2.ModelConfig()
    )


def _agrees(listed: Any, real: list[Any]) -> bool:
    """Whether the configuration matches the file: names, types, and sizes without the batch."""
    shapes = {
        value.name: (
            _TYPES[value.type],
            [side if isinstance(side, int) else -1 for side in value.shape[1:]],
        )
        for value in real
    }
    return {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in listed} == shapes


@pytest.mark.parametrize("io", ["float", "uint8"])
def test_a_triton_entry_is_read_by_triton_and_computes_what_the_model_does(
    io: str, run_folder: Path, exported: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    repository = tmp_path / "models"
    words = ("export", run_folder, "-o", tmp_path / "own.onnx", "--io", io)
    result = quick_cli(*words, "--triton", repository)
    assert result.code == 0, result.err
    assert str(repository / "own") in result.out
    config = _config(repository / "own")
    assert config.name == "own"
    assert config.backend == "onnxruntime"
    assert config.max_batch_size > 1
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    info = read_model_file(tmp_path / "own.onnx").info
    assert config.parameters["size_multiple"].string_value == str(info.size_multiple)
    session = onnxruntime.InferenceSession(repository / "own" / "1" / "model.onnx")
    assert [value.name for value in session.get_inputs()] == ["image"]
    assert not session.get_overridable_initializers()
    assert _agrees(config.input, session.get_inputs())
    assert _agrees(config.output, session.get_outputs())
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8)
    expected = hyperguide.load(exported, device="cpu")(frames).image
    if io == "uint8":
        (enhanced,) = session.run(["enhanced"], {"image": frames})
    else:
        planes = frames.transpose(0, 3, 1, 2).astype(np.float32) / 255
        (enhanced,) = session.run(["enhanced"], {"image": planes})
        enhanced = np.rint(enhanced * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    # Constants may be computed in another order.
    assert np.abs(enhanced.astype(int) - expected).max() <= 1
    assert (enhanced != expected).mean() < 0.001


def test_a_triton_entry_is_not_overwritten(
    run_folder: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    (tmp_path / "models" / "own").mkdir(parents=True)
    words = ("export", run_folder, "-o", tmp_path / "own.onnx", "--triton", tmp_path / "models")
    fails(quick_cli(*words), "own exists: choose another name or add --force")
    assert not (tmp_path / "own.onnx").exists()
    assert quick_cli(*words, "--force").code == 0
    assert (tmp_path / "models" / "own" / "config.pbtxt").exists()


def test_the_triton_entry_of_a_deblurring_model_asks_for_the_kernel(tmp_path: Path) -> None:
    file = read_model_file(bundled_path("denoise", "fast"))
    text = configuration("sharp", replace(file.info, task="deblur"), "onnxruntime", 8)
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert {value.name: list(value.dims) for value in config.input} == {
        "image": [3, -1, -1],
        "kernel": [1, -1, -1],
    }


def test_a_triton_entry_with_constant_dials_has_fewer_nodes(tmp_path: Path) -> None:
    file = read_model_file(bundled_path("denoise", "fast"))
    write_onnx_entry(tmp_path / "denoise", file)
    options = onnxruntime.SessionOptions()
    counts = []
    for name, content in (
        ("steerable", file.content),
        ("frozen", (tmp_path / "denoise" / "1" / "model.onnx").read_bytes()),
    ):
        options.optimized_model_filepath = str(tmp_path / f"{name}.onnx")
        onnxruntime.InferenceSession(content, options)
        counts.append(len(onnx.load(tmp_path / f"{name}.onnx").graph.node))
    assert counts[1] < counts[0]


def test_engines_go_to_triton_where_it_can_load_them(
    tmp_path: Path, quick_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("build", "denoise", "-o", tmp_path / "own.engine", "--batch", "1,2,4")
    words = (*words, "--triton", tmp_path / "models", "--shapes", "64x64,128x128,256x256")
    fails(quick_cli(*words, "--builder", "tensorrt_rtx"), "not of TensorRT-RTX")
    assert not (tmp_path / "own.engine").exists()
    # TensorRT-RTX, the only TensorRT that builds here, stands in for Triton's.
    rtx = open_tensorrt("tensorrt_rtx")
    stand_in = replace(rtx, name="tensorrt")
    monkeypatch.setattr(build_command, "open_tensorrt", lambda name: stand_in)
    fails(quick_cli(*words, "--steerable"), "leave out --steerable")
    result = quick_cli(*words)
    assert result.code == 0, result.err
    config = _config(tmp_path / "models" / "own")
    assert config.backend == "tensorrt"
    assert config.max_batch_size == 4
    plan = (tmp_path / "models" / "own" / "1" / "model.plan").read_bytes()
    assert plan == (tmp_path / "own.engine").read_bytes()
