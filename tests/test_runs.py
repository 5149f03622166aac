"""Whole training runs: every strategy, kill and resume, several processes, records."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import hyperguide
from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.export.model import export_model
from hyperguide.picture_files import read_picture, write_picture
from hyperguide.training.bilevel import Strategy
from hyperguide.training.checkpoint import load_run
from hyperguide.training.logbook import read_log
from hyperguide.training.perceptual import PerceptualDistance
from hyperguide.training.trainer import Progress, Run
from made_runs import make_run, same, silent, weights

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@pytest.mark.parametrize("task", ["denoise", "deblur", "derain", "dehaze"])
def test_every_strategy_trains_every_task_from_the_command_line(
    task: str,
    quick_cli: Cli,
    photos: Path,
    small_presets: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    preset = small_presets(task, "fast")
    for strategy in STRATEGIES:
        out = tmp_path / strategy
        level = ("--level", 0.1) if strategy == "manual" else ()
        words = ("--preset", preset, "--strategy", strategy, *level)
        result = quick_cli("train", task, "--data", photos, "--out", out, *words)
        assert result.code == 0, (strategy, result.err)
        figures = read_log(out)[-1]
        assert "f" in figures
        assert ("g" in figures) == (strategy not in ("unguided", "manual"))
        assert ("regret" in figures) == (strategy not in ("unguided", "manual"))
        assert load_run(out).record.settings.strategy == strategy


@pytest.mark.parametrize(
    ("task", "tier"),
    [("denoise", "paper"), ("deblur", "paper-tiny"), ("derain", "paper"), ("dehaze", "paper")],
)
def test_the_paper_tier_trains_from_the_command_line(
    task: str,
    tier: str,
    quick_cli: Cli,
    photos: Path,
    small_presets: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    words = ["--preset", small_presets(task, tier), "--steps", 1, "--warmup", 0]
    if task == "dehaze":  # random weights under VGG16's names
        torch.save(PerceptualDistance().state_dict(), tmp_path / "vgg16.pth")
        words += ["--vgg-weights", tmp_path / "vgg16.pth"]
    result = quick_cli("train", task, "--data", photos, "--out", tmp_path / "run", *words)
    assert result.code == 0, result.err


@pytest.mark.usefixtures("few_crops")
@pytest.mark.long
def test_int8_of_a_run_with_the_perceptual_loss_needs_no_weights_of_it(
    quick_cli: Cli,
    photos: Path,
    small_presets: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    weights = ("--vgg-weights", tmp_path / "vgg16.pth")
    torch.save(PerceptualDistance().state_dict(), weights[1])
    run, out = tmp_path / "run", tmp_path / "int8.onnx"
    words = ("--preset", small_presets("dehaze", "paper"), "--steps", 1, "--warmup", 0)
    result = quick_cli("train", "dehaze", "--data", photos, "--out", run, *words, *weights)
    assert result.code == 0, result.err
    words = ("export", run, "-o", out, "--precision", "int8", "--calib", photos)
    result = quick_cli(*words, "--steps", 1, "--accept-loss")
    assert result.code == 0, result.err
    assert out.exists()


def test_the_perceptual_loss_without_weights_says_where_they_belong(
    quick_cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    words = ("--tier", "paper", "--data", photos, "--out", tmp_path / "run")
    result = quick_cli("train", "dehaze", *words)
    fails(result, "vgg16-397923af.pth", "--vgg-weights")


def test_two_runs_with_one_seed_are_bit_identical_with_and_without_workers(
    photos: Path, tmp_path: Path
) -> None:
    for name, workers in (("a", 0), ("b", 0), ("c", 2)):
        make_run(photos, tmp_path / name, workers=workers).train(silent)
    first = weights(tmp_path / "a")
    assert same(first, weights(tmp_path / "b"))
    assert same(first, weights(tmp_path / "c"))


def test_two_processes_agree_with_one_at_the_same_global_batch(
    quick_cli: Cli, photos: Path, small_presets: Callable[[str, str], Path], tmp_path: Path
) -> None:
    # Both steps; hyper-networks that are called several times, and are reached by f.
    for task, tier, strategy in (
        ("denoise", "fast", "strict"),
        ("deblur", "paper-tiny", "response"),
    ):
        size = ("--preset", small_presets(task, tier), "--steps", 20, "--warmup", 2)
        words = (*size, "--strategy", strategy, "--precision", "fp32", "--log-steps", 1)
        one, two = (tmp_path / f"{task}-{n}" for n in (1, 2))
        assert quick_cli("train", task, "--data", photos, "--out", one, *words).code == 0
        launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
        command = (*launch, "-m", "hyperguide", "train", task, "--data", photos, "--out", two)
        result = subprocess.run(
            [sys.executable, *map(str, (*command, *words))],
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("held-out photos") == 1  # only one process reports
        logs = [read_log(folder) for folder in (one, two)]
        assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]]
        for name in ("f", "g"):
            losses = [[line[name] for line in log if name in line] for log in logs]
            assert len(losses[0]) >= 20
            np.testing.assert_allclose(losses[0], losses[1], atol=1e-4, rtol=0)


def test_the_batch_must_divide_among_the_processes(photos: Path, tmp_path: Path) -> None:
    from hyperguide.training.distributed import World

    run = make_run(photos, tmp_path / "run")
    world = World(0, 3, torch.device("cpu"))
    with pytest.raises(HyperguideError, match="does not divide among 3 processes"):
        Run(run.preset, run.data, run.folder, run.settings, world)


def test_a_run_leaves_a_log_curves_and_tensorboard_events(photos: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = make_run(photos, tmp_path / "run")
    run.train(silent, log_steps=2)
    lines = read_log(run.folder)
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert {"f", "g", "lr_omega", "lr_theta", "seconds"} <= lines[1].keys()
    asked = {"held_out_f", "held_out_g", "inner_gap", "regret", "cosine", "output_psnr"}
    assert asked <= lines[-1].keys()
    curves = read_picture(run.folder / "curves.png")
    assert curves.shape[0] > 300
    assert curves[..., :3].std() > 10
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()  # type: ignore[no-untyped-call]
    f = events.Scalars("f")
    assert [event.step for event in f] == [4, 6, 8]
    np.testing.assert_allclose([e.value for e in f], [line["f"] for line in lines[1:]], rtol=1e-6)


def test_a_loss_that_is_not_finite_names_step_and_pictures(photos: Path, tmp_path: Path) -> None:
    run = make_run(photos, tmp_path / "run", workers=0)
    run.save()
    before = (run.folder / "state.safetensors").read_bytes()

    def poison(progress: Progress) -> None:
        if progress.step == 4:
            with torch.no_grad():
                run.model.reconstruction.head.weight[0, 0, 0, 0] = torch.inf

    with pytest.raises(HyperguideError, match=r"f .*became NaN.* at step 5, on a batch of \d\.png"):
        run.train(poison)
    assert (run.folder / "state.safetensors").read_bytes() == before


def test_manual_runs_export_with_their_level_as_the_map(photos: Path, tmp_path: Path) -> None:
    run = make_run(photos, tmp_path / "run", "manual")
    run.train(silent)
    export_model(load_run(tmp_path / "run"), tmp_path / "model.onnx")
    image = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
    guidance = hyperguide.load(tmp_path / "model.onnx")(image).guidance
    assert guidance is not None
    np.testing.assert_allclose(guidance, 0.1, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--strategy", "manual"), "needs --level"),
        (("--strategy", "manual", "--level", "3"), "needs --level"),
        (("--level", "0.1"), "belongs to --strategy manual"),
        (("--init-from", "nothing.pth"), "nothing.pth"),
        (("--lambda", "2"), "belongs to --strategy naive"),
        (("--strategy", "naive", "--lambda", "nan"), "finite"),
        (("--device", "cuda"), "no GPU"),
    ],
)
def test_training_options_that_cannot_work_are_refused(
    words: tuple[str, ...], told: str, quick_cli: Cli, photos: Path, tmp_path: Path
) -> None:
    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    fails(quick_cli("train", "denoise", "--data", photos, "--out", tmp_path / "run", *words), told)


@pytest.mark.parametrize("maps", [False, True])
def test_twenty_pairs_of_a_user_train_export_and_enhance_by_three_commands(
    maps: bool,
    quick_cli: Cli,
    photos: Path,
    astronaut: np.ndarray,
    tmp_path: Path,
    small_presets: Callable[[str, str], Path],
) -> None:
    rng = np.random.default_rng(0)
    for n in range(20):
        top, left = rng.integers(0, 400, 2)
        clean = astronaut[top : top + 96, left : left + 96].astype(np.float32)
        streaks = np.zeros((96, 96), np.float32)
        streaks[:, rng.integers(0, 96, 6)] = 90
        rainy = np.minimum(clean + streaks[..., None], 255)
        for folder, picture in (
            ("input", rainy),
            ("target", clean),
            ("guidance", 255 * (streaks > 0)),
        ):
            if folder != "guidance" or maps:
                (tmp_path / "pairs" / folder).mkdir(parents=True, exist_ok=True)
                name = tmp_path / "pairs" / folder / f"{n:02}.png"
                write_picture(name, picture.astype(np.uint8))
    run, model, out = (tmp_path / name for name in ("run", "mine.onnx", "clean.png"))
    size = ("--preset", small_presets("derain", "fast"), "--steps", 3)
    result = quick_cli("train", "derain", "--data", tmp_path / "pairs", "--out", run, *size)
    assert result.code == 0, result.err
    assert quick_cli("export", run, "-o", model).code == 0
    picture = tmp_path / "pairs" / "input" / "00.png"
    assert quick_cli("enhance", "-i", picture, "-o", out, "-m", model).code == 0
    guidance = load_run(run).record.data["guidance"]
    assert (guidance["source"] == "pictures") == maps
    assert ("tau" in json.dumps(guidance)) != maps
    assert read_picture(out).shape == (96, 96, 3)
