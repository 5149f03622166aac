"""Deployment time: the export of each fast pair and the engine build of each file."""

from __future__ import annotations

from pathlib import Path

import pytest
from untrained import untrained

from conftest import InTurns
from hyperguide.engines.tensorrt.bindings import open_tensorrt
from hyperguide.engines.tensorrt.build import BuildOptions, build_engine, round_up
from hyperguide.errors import HyperguideError
from hyperguide.export.model import export_model
from hyperguide.model_format.bundled import model_path, named_path
from hyperguide.model_format.model_file import read_model_file
from hyperguide.tasks import TASKS
from hyperguide.training.preset import load_preset

SIZES = ((64, 64), (720, 1280), (1080, 1920))


@pytest.mark.parametrize(
    "task", [pytest.param(task, marks=[pytest.mark.long][task == "denoise" :]) for task in TASKS]
)
def test_export(task: str, tmp_path: Path, in_turns: InTurns) -> None:
    preset = load_preset(task, "fast")
    trained = untrained(preset, 0.01)
    path = tmp_path / "model.onnx"
    in_turns(
        lambda: export_model(trained, path, force=True),
        lambda: export_model(trained, path, force=True, plain=True),
        group="export of a pair to a proven file, tier fast",
        against="without fusion",
        warm=False,
        fewest=2,
    )
    assert read_model_file(path).info.task == task


@pytest.mark.parametrize("task", list(TASKS))
def test_build(
    task: str, tmp_path: Path, in_turns: InTurns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT-RTX builds for a GPU that need not be present."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        rtx = open_tensorrt("tensorrt_rtx")
    except HyperguideError as error:
        pytest.skip(str(error))
    if named_path(f"{task}-fast") is None:
        pytest.skip(f"no {task}-fast is bundled")
    file = read_model_file(model_path(task))
    least, best, most = (round_up(size, file.info.size_multiple) for size in SIZES)
    options = BuildOptions((least, best, most), precision=file.info.precision, targets=("sm89",))
    in_turns(
        lambda: build_engine(file, tmp_path / "model.engine", options, rtx, force=True),
        group="a TensorRT-RTX engine for compute capability 8.9, tier fast",
        warm=False,
        fewest=2,
    )
