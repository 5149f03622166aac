"""A model file starts training just as the run from which it was exported would."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hyperguide
from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import FOLDER
from hyperguide.model_format.model_file import read_model_file, replace_info
from hyperguide.training.checkpoint import load_run
from hyperguide.training.model import build_model
from hyperguide.training.model_weights import load_model_weights
from hyperguide.training.preset import StackSettings, load_preset
from hyperguide.training.starting_weights import start_from
from made_runs import export_untrained


@pytest.mark.parametrize("task", ["denoise", "derain", "dehaze"])
def test_a_model_file_gives_the_very_weights_back(
    task: str, small_presets: Callable[[str, str], Path], tmp_path: Path
) -> None:
    preset = load_preset(task, "fast", small_presets(task, "fast"))
    model = export_untrained(preset, tmp_path / "model.onnx")
    started = build_model(preset)
    start_from(started, tmp_path / "model.onnx")
    own = model.state_dict()
    for name, weights in started.state_dict().items():
        torch.testing.assert_close(weights, own[name], atol=1e-6, rtol=1e-6, msg=name)


def test_a_start_of_the_reconstruction_alone_leaves_the_hyper_network_as_it_is() -> None:
    preset = load_preset("denoise", "fast")
    started = build_model(replace(preset, proxy=replace(preset.proxy, width=8)))
    fresh = {name: weights.clone() for name, weights in started.state_dict().items()}
    start_from(started, FOLDER / "denoise-fast.onnx")
    given, _ = load_model_weights(FOLDER / "denoise-fast.onnx")
    for name, weights in started.state_dict().items():
        expected = fresh[name] if name.startswith("proxy.") else given[name]
        assert torch.equal(weights, expected), name


def test_folded_branches_come_back_as_one_that_computes_the_same(tmp_path: Path) -> None:
    preset = replace(
        load_preset("denoise", "fast"), reconstruction=StackSettings("stack", 2, 16, 2)
    )
    model = export_untrained(preset, tmp_path / "model.onnx")
    started = build_model(preset)
    start_from(started, tmp_path / "model.onnx")
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = model.restore(image).restored
        assert float((expected - image).abs().max()) > 1e-2
        torch.testing.assert_close(started.restore(image).restored, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["denoise-gray-fast", "derain-fast"])
def test_bundled_models_can_be_trained_on(name: str) -> None:
    state, record = load_model_weights(FOLDER / f"{name}.onnx")
    assert state
    assert record.preset.task in name


def test_training_starts_from_a_bundled_model_by_its_name(
    quick_cli: Cli, photos: Path, tmp_path: Path
) -> None:
    result = quick_cli(
        *("train", "derain", "--data", photos, "--out", tmp_path / "run", "--steps", 1),
        *("--warmup", 0, "--init-from", "derain-fast", "--batch", 2),
    )
    assert result.code == 0, result.err
    run = load_run(tmp_path / "run")
    assert run.record.origin.startswith("derain-fast.onnx, sha256 ")
    assert run.record.validation["output_psnr"] > run.record.validation["input_psnr"] + 2


def test_a_model_file_is_exported_again_in_another_precision(
    quick_cli: Cli, exported: Path, photos: Path, tmp_path: Path, few_crops: None
) -> None:
    words = ("-o", tmp_path / "a.onnx", "--calib", photos, "--precision", "fp16")
    assert quick_cli("export", exported, *words).code == 0
    again, first = (read_model_file(p).info for p in (tmp_path / "a.onnx", exported))
    assert (again.precision, again.training) == ("fp16", first.training)
    image = np.random.default_rng(0).random((32, 32, 3), np.float32)
    results = [hyperguide.load(p)(image).image for p in (exported, tmp_path / "a.onnx")]
    assert 1e-7 < float(np.abs(results[1] - results[0]).max()) < 0.01


def test_lower_precisions_merged_weights_and_foreign_files_are_refused(
    exported: Path, small_presets: Callable[[str, str], Path], tmp_path: Path
) -> None:
    rounded = Path(shutil.copy(exported, tmp_path / "int8.onnx"))
    file = read_model_file(rounded)
    replace_info(file, replace(file.info, precision="int8"))
    with pytest.raises(HyperguideError, match="rounded to int8: give the model in fp32"):
        load_model_weights(rounded)
    nameless = Path(shutil.copy(exported, tmp_path / "nameless.onnx"))
    replace_info(file := read_model_file(nameless), replace(file.info, training={}))
    with pytest.raises(HyperguideError, match="does not say which networks it holds"):
        load_model_weights(nameless)
    paper = load_preset("derain", "paper", small_presets("derain", "paper"))
    export_untrained(paper, tmp_path / "prenet.onnx")
    with pytest.raises(HyperguideError, match="start from the run folder"):
        load_model_weights(tmp_path / "prenet.onnx")
    with pytest.raises(HyperguideError, match="There is no model file"):
        load_model_weights(tmp_path / "missing.onnx")


def test_a_model_of_another_architecture_is_refused(
    quick_cli: Cli, photos: Path, tmp_path: Path
) -> None:
    result = quick_cli(
        *("train", "derain", "--data", photos, "--out", tmp_path / "run"),
        *("--init-from", "denoise-gray-fast"),
    )
    fails(result, "denoise-gray-fast.onnx", "another architecture")
