"""Checkpoints: kill and resume, best and last, and what is never overwritten."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import hyperguide
from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.export.model import export_model
from hyperguide.training import checkpoint
from hyperguide.training.bilevel import Strategy
from hyperguide.training.checkpoint import load_run, load_tensors
from hyperguide.training.data.batches import open_data
from hyperguide.training.logbook import read_log
from hyperguide.training.model import build_model
from hyperguide.training.networks.unfolded import UnfoldedDeconvolution
from hyperguide.training.preset import Schedule, Stage, UNetSettings, UnfoldedSettings, load_preset
from hyperguide.training.run_record import Settings
from hyperguide.training.starting_weights import start_from
from hyperguide.training.trainer import Progress, Run
from made_runs import make_run, same, silent, weights

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_interrupted_anywhere_resumes_to_the_weights_of_an_uninterrupted_one(
    strategy: Strategy, photos: Path, tmp_path: Path
) -> None:
    whole = make_run(photos, tmp_path / "whole", strategy)
    whole.train(silent)

    class KilledError(Exception):
        pass

    def kill_behind_a_checkpoint(progress: Progress) -> None:
        if progress.step == 4:
            interrupted.save()
        if progress.step == 5:
            raise KilledError

    interrupted = make_run(photos, tmp_path / "parts", strategy)
    with pytest.raises(KilledError):
        interrupted.train(kill_behind_a_checkpoint)
    resumed = make_run(photos, tmp_path / "parts", strategy)
    resumed.resume()
    assert resumed.state.step == 4
    resumed.train(silent)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


_ENDED = """
import os, signal, sys
from itertools import count
from hyperguide.cli.main import run
from hyperguide.training import trainer
from hyperguide.training.trainer import Run

signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let jobs behind them ignore it
ticks = count()
trainer.perf_counter = lambda: float(next(ticks))  # a second from one look to the next
step, replace, replaced = Run._step, os.replace, count(1)

def end_in_a_step(self, batches, outer):
    step(self, batches, outer)
    if self.state.step == {in_step}:
        os.kill(os.getpid(), signal.{name})

def end_in_a_save(*names):
    if next(replaced) == {in_save}:
        os.kill(os.getpid(), signal.{name})
    replace(*names)

Run._step, os.replace = end_in_a_step, end_in_a_save
run(sys.argv[1:])
"""


def _ended(
    name: str, *words: object, in_step: int = -1, in_save: int = -1
) -> subprocess.CompletedProcess[str]:
    """Run the command line; it sends itself a signal in a step, or before a file is replaced.

    The clock advances by one second at each look, which happens two or three times in a step.
    """
    script = _ENDED.format(name=name, in_step=in_step, in_save=in_save)
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_kill_9_and_resume_is_bit_identical_to_an_uninterrupted_run(
    quick_cli: Cli, photos: Path, small_presets: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """Killed during a step and during a checkpoint; best, last and the log of steps survive."""
    size = ("--preset", small_presets("denoise", "fast"), "--steps", 100, "--warmup", 10)
    whole = tmp_path / "whole"
    assert quick_cli("train", "denoise", "--data", photos, "--out", whole, *size).code == 0
    parts = tmp_path / "parts"
    words = ("train", "denoise", "--data", photos, "--out", parts, *size)
    reached = []
    for kill in ({"in_step": 33}, {"in_save": 5}):
        resume = ("--resume",) if reached else ()
        ended = _ended("SIGKILL", *words, *resume, "--checkpoint-seconds", 9, **kill)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        reached.append(_step(parts))
    assert 0 < reached[0] < 33
    assert reached[0] < reached[1] < 110
    result = quick_cli(*words, "--resume")
    assert result.code == 0, result.err
    assert same(weights(whole), weights(parts))
    logs = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(folder)]
        for folder in (whole, parts)
    ]
    assert logs[0] == logs[1]


def _step(folder: Path) -> int:
    state = folder / "state.safetensors"
    return int(load_tensors(state)[1]["step"]) if state.exists() else 0


def test_the_best_checkpoint_keeps_the_weights_of_the_best_validation(
    photos: Path, tmp_path: Path
) -> None:
    run = make_run(photos, tmp_path / "run", steps=120, validations=100)
    run.train(silent)
    scores = {
        line["step"]: line["output_psnr"] for line in read_log(run.folder) if "output_psnr" in line
    }
    assert len(scores) == 3  # at 50 and 100 steps, and at the end
    best = load_tensors(run.folder / "best.safetensors")[1]
    assert best["step"] == max(scores, key=lambda step: scores[step])
    assert best["validation"]["output_psnr"] == max(scores.values())
    assert load_tensors(run.folder / "last.safetensors")[1]["step"] == 122


def test_resume_with_changed_settings_says_which(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_run(photos, folder).save()
    make_run(photos, folder).resume()
    changed = make_run(photos, folder)
    changed.settings = replace(changed.settings, seed=4)
    for run, words in (
        (changed, "settings.seed was 3, is 4"),
        (make_run(photos, folder, steps=7), "preset.schedule.steps was 6, is 7"),
        (make_run(photos, folder, "unguided"), "settings.strategy was strict, is unguided"),
    ):
        with pytest.raises(HyperguideError, match=words):
            run.resume()


def test_a_run_older_than_a_setting_with_a_default_resumes(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_run(photos, folder).save()
    state = folder / checkpoint.STATE
    tensors, record = load_tensors(state)
    for stage in record["preset"]["schedule"]["stages"]:
        del stage["aspect"]
    checkpoint.save_tensors({state: tensors}, record)
    make_run(photos, folder).resume()


def test_a_checkpoint_of_another_architecture_is_refused(
    quick_cli: Cli, photos: Path, small_presets: Callable[[str, str], Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ("--preset", small_presets("denoise", "fast"))
    assert quick_cli("train", "denoise", "--data", photos, "--out", run, *words).code == 0
    other = tmp_path / "other"
    paper = ("--preset", small_presets("denoise", "paper"))
    result = quick_cli(
        "train", "denoise", "--data", photos, "--out", other, *paper, "--init-from", run
    )
    fails(result, "another architecture")
    twin = ("--init-from", run, "--strategy", "strict", *words)
    result = quick_cli("train", "denoise", "--data", photos, "--out", other, *twin)
    assert result.code == 0, result.err
    assert load_run(other).record.origin.startswith("run, sha256 ")


@pytest.mark.parametrize("tier", ["fast", "live"])  # the map enters at the first, second level
def test_an_unguided_twin_starts_a_guided_run_at_its_own_result(
    photos: Path, tmp_path: Path, tier: str
) -> None:
    networks = load_preset("denoise", tier).reconstruction
    twin = make_run(photos, tmp_path / "twin", "unguided", reconstruction=networks)
    twin.train(silent)
    guided = make_run(photos, tmp_path / "guided", reconstruction=networks)
    start_from(guided.model, tmp_path / "twin")
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = load_run(tmp_path / "twin").model.restore(image).restored
        actual = guided.model.restore(image).restored
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("blockwise", [False, True])
def test_a_denoiser_starts_every_stage_of_an_unfolded_network(
    photos: Path, small_presets: Callable[[str, str], Path], tmp_path: Path, blockwise: bool
) -> None:
    unfolded = load_preset("deblur", "fast", small_presets("deblur", "fast"))
    assert isinstance(unfolded.reconstruction, UnfoldedSettings)
    assert isinstance(unfolded.reconstruction.denoiser, UNetSettings)
    network = replace(unfolded.reconstruction.denoiser, blockwise_map=blockwise)
    stages = replace(unfolded.reconstruction, denoiser=network)
    unfolded = replace(unfolded, reconstruction=stages)
    denoiser = make_run(photos, tmp_path / "run", channels=1, reconstruction=network)
    denoiser.train(silent)
    model = build_model(unfolded)
    start_from(model, tmp_path / "run")
    image, level = torch.rand(1, 1, 32, 32), torch.full((1, 1, 32, 32), 0.04)
    with torch.no_grad():
        expected = load_run(tmp_path / "run").model.reconstruction(image, level)
        assert isinstance(model.reconstruction, UnfoldedDeconvolution)
        for stage in model.reconstruction.denoisers:
            torch.testing.assert_close(stage(image, level), expected, atol=1e-6, rtol=0)


def test_a_run_folder_is_not_overwritten_by_accident(
    quick_cli: Cli, photos: Path, run_folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run_folder, tmp_path / "run"))
    before = (copy / "best.safetensors").read_bytes()
    result = quick_cli("train", "denoise", "--data", photos, "--out", copy)
    assert result.code == 1
    assert "--resume" in result.err
    assert (copy / "best.safetensors").read_bytes() == before


def test_weights_that_are_not_finite_never_replace_a_checkpoint(
    photos: Path, tmp_path: Path
) -> None:
    run = make_run(photos, tmp_path / "run")
    run.save()
    before = (run.folder / "last.safetensors").read_bytes()
    next(iter(run.state.average.values.values())).fill_(torch.nan)
    with pytest.raises(HyperguideError, match="last checkpoint, if any, was kept"):
        run.save()
    assert (run.folder / "last.safetensors").read_bytes() == before


def test_force_keeps_the_old_run_until_the_new_one_has_a_checkpoint(
    quick_cli: Cli, photos: Path, run_folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run_folder, tmp_path / "run"))
    before = (copy / "best.safetensors").read_bytes()
    bad = Path(shutil.copytree(photos, tmp_path / "photos"))
    for path in bad.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    fails(
        quick_cli("train", "denoise", "--data", bad, "--out", copy, "--force"),
        "cannot be used",
        "truncated",
    )
    assert (copy / "best.safetensors").read_bytes() == before


def test_gray_presets_train_and_export_gray_models(photos: Path, tmp_path: Path) -> None:
    preset = load_preset("denoise", "fast")
    stages = (Stage(until=1.0, crop=32, batch=2),)
    preset = replace(preset, channels=1, schedule=Schedule(warmup=1, steps=1, stages=stages))
    run = Run(preset, open_data(preset, [photos]), tmp_path, Settings())
    run.train(lambda progress: None)
    export_model(load_run(tmp_path), tmp_path / "gray.onnx")
    enhancer = hyperguide.load(tmp_path / "gray.onnx")
    assert enhancer.info.color == "gray"
    for shape in ((1, 1), (20, 30)):
        image = np.full(shape, 100, np.uint8)
        assert enhancer(image).image.shape == shape
    with pytest.raises(HyperguideError, match="takes gray pictures"):
        enhancer(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))


def test_a_kill_in_the_middle_of_a_checkpoint_leaves_the_last_one(
    photos: Path, tmp_path: Path
) -> None:
    run = make_run(photos, tmp_path / "run")
    run.save()
    before = {p.name: p.read_bytes() for p in run.folder.glob("*.safetensors")}
    script = f"""
import os, signal
from pathlib import Path
from hyperguide.training import checkpoint

def half(self, data):
    with open(self, "wb") as file:
        file.write(data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

tensors, record = checkpoint.load_tensors(Path({str(run.folder)!r}) / "state.safetensors")
Path.write_bytes = half
checkpoint.save_tensors({{Path({str(run.folder)!r}) / "state.safetensors": tensors}}, record)
"""
    result = subprocess.run([sys.executable, "-c", script], check=False)
    assert result.returncode == -signal.SIGKILL
    assert {p.name: p.read_bytes() for p in run.folder.glob("[a-z]*.safetensors")} == before
    make_run(photos, run.folder).resume()


def test_resuming_a_finished_run_reports_it_again(
    quick_cli: Cli, photos: Path, tmp_path: Path
) -> None:
    words = ("train", "denoise", "--data", photos, "--out", tmp_path / "run")
    steps = ("--steps", 1, "--warmup", 1)
    first = quick_cli(*words, *steps)
    again = quick_cli(*words, *steps, "--resume")
    assert (first.code, again.code) == (0, 0), again.err
    assert again.out == first.out


def test_ctrl_c_saves_the_run(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("train", "denoise", "--data", photos, "--out", out)
    ended = _ended("SIGINT", *words, "--checkpoint-seconds", 1000, in_step=3)
    assert ended.returncode == 130, ended.stderr
    assert "go on with --resume" in ended.stderr
    assert load_tensors(out / "state.safetensors")[1]["step"] == 4  # the step that was running


def test_force_keeps_the_old_best_weights_where_the_disk_refuses_new_ones(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(photos, tmp_path / "run").train(silent)
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").glob("*.*")}

    def full(temporary: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write_bytes", full)
    with pytest.raises(HyperguideError, match="untouched"):
        make_run(photos, tmp_path / "run").train(silent)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").glob("*.*")} == before


def test_a_forced_run_owns_its_folder_from_its_first_step(photos: Path, tmp_path: Path) -> None:
    make_run(photos, tmp_path / "run").train(silent, log_steps=1)

    class KilledError(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == 3:
            raise KilledError

    with pytest.raises(KilledError):
        make_run(photos, tmp_path / "run", steps=5).train(kill, log_steps=1)
    again = make_run(photos, tmp_path / "run", steps=5)
    again.resume()
    assert again.state.step == 1
    assert not (tmp_path / "run" / "best.safetensors").exists()
    again.train(silent, log_steps=1)
    assert [line["step"] for line in read_log(tmp_path / "run")] == list(range(1, 8))


def test_a_second_ctrl_c_claims_no_checkpoint_that_is_not_there(
    photos: Path, tmp_path: Path
) -> None:
    run = make_run(photos, tmp_path / "run")
    run.stop = True
    with pytest.raises(KeyboardInterrupt):
        run.train(silent)
    assert run.state.saved_step == run.state.step == 1
    assert load_tensors(tmp_path / "run" / "state.safetensors")[1]["step"] == 1
    assert make_run(photos, tmp_path / "other").state.saved_step is None


def test_pictures_that_cannot_be_read_are_named_once_and_counted_over_a_resume(
    photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(30):
        shutil.copy(photos / "0.png", folder / f"{n:02}.png")
    for name in ("03", "29"):  # one for training, one held out
        (folder / f"{name}.png").write_bytes(b"damaged")
    noted: list[str] = []

    def note(progress: Progress) -> None:
        noted.extend(progress.notes)

    run = make_run(folder, tmp_path / "run", steps=60)
    with pytest.raises(HyperguideError, match="2 files of 30 pictures"):
        run.train(note)  # two are more than 5 %, noticed at the first checkpoint
    noted.clear()
    shutil.copy(photos / "0.png", folder / "29.png")
    run = make_run(folder, tmp_path / "again", steps=60)
    run.train(note)
    assert len([sentence for sentence in noted if "03.png" in sentence]) == 1
    assert read_log(tmp_path / "again")[-1]["skipped"] == 1
    resumed = make_run(folder, tmp_path / "again", steps=60)
    resumed.resume()
    assert resumed._news() == ()
    assert len(resumed.data.photos.skipped) == 1


def test_tensorboard_keeps_the_step_that_a_run_resumes_from(photos: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = make_run(photos, tmp_path / "run")

    def stop(progress: Progress) -> None:
        run.stop = progress.step == 3

    with pytest.raises(KeyboardInterrupt):
        run.train(stop, log_steps=2)
    resumed = make_run(photos, tmp_path / "run")
    resumed.resume()
    assert resumed.state.step == 4
    resumed.train(silent, log_steps=2)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()  # type: ignore[no-untyped-call]
    assert [event.step for event in events.Scalars("g")] == [2, 4, 6, 8]
    assert [line["step"] for line in read_log(tmp_path / "run")] == [2, 4, 6, 8]
