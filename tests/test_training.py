"""Parts of the trainer against independent references, and whole short runs."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.metrics
import torch
from safetensors.torch import load_file

import hyperguide
from conftest import Outcome
from hyperguide.errors import HyperguideError
from hyperguide.export.model import export_model
from hyperguide.training.checkpoint import load_run, load_tensors
from hyperguide.training.data import open_data
from hyperguide.training.degradations import Haze, Noise, Rain
from hyperguide.training.losses import ssim
from hyperguide.training.metrics import psnr
from hyperguide.training.model import build_model
from hyperguide.training.muon import orthogonalize
from hyperguide.training.photos import Photos, Scene, find_scenes, sample_crops, split_held_out
from hyperguide.training.preset import Schedule, Stage, load_preset, preset_from_dict
from hyperguide.training.trainer import Run, Strategy


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_ssim_equals_scikit_image(astronaut: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    a = astronaut[:64, :80, 0] / 255
    b = (a + rng.normal(0, 0.1, a.shape)).clip(0, 1)
    expected = skimage.metrics.structural_similarity(
        a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    # scikit-image leaves out the border that a window does not fill, as we do.
    ours = ssim(*(torch.from_numpy(p.astype(np.float32))[None, None] for p in (a, b)))
    assert abs(float(ours) - expected) < 1e-4


def test_psnr_equals_scikit_image(astronaut: np.ndarray) -> None:
    a = astronaut[:64, :80] / 255
    b = (a + np.random.default_rng(0).normal(0, 0.1, a.shape)).clip(0, 1)
    expected = skimage.metrics.peak_signal_noise_ratio(a, b, data_range=1)
    ours = psnr(*(torch.from_numpy(p.transpose(2, 0, 1))[None] for p in (b, a)))
    assert abs(float(ours) - expected) < 1e-4


@pytest.mark.parametrize("shape", [(16, 36), (36, 16), (8, 8)])
def test_orthogonalize_approaches_the_polar_factor(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=_generator())
    u, _, vh = np.linalg.svd(matrices.numpy(), full_matrices=False)
    ours = orthogonalize(matrices).numpy()
    # The author's coefficients stop at singular values of about 0.7..1.2, in the right directions.
    values = np.linalg.svd(ours, compute_uv=False)
    assert values.min() > 0.3
    assert values.max() < 1.3
    cosine = (ours * (u @ vh)).sum((1, 2)) / np.linalg.norm(ours, axis=(1, 2))
    assert (cosine / np.sqrt(min(shape)) > 0.95).all()


def test_noise_has_the_level_that_its_map_says() -> None:
    clean = torch.full((64, 3, 64, 64), 0.5)
    noise = Noise(clean=0, gray=0, clipped=0, varying=0.5)
    noisy, _, level = noise.degrade(clean, None, _generator())
    ratio = ((noisy - clean) / level.clamp(min=1e-3)).std((1, 2, 3))
    assert abs(float(ratio.mean()) - 1) < 0.01
    assert float(level.max()) <= noise.maximum
    varies = level.amax((1, 2, 3)) - level.amin((1, 2, 3)) > 1e-6
    assert 0.3 < float(varies.float().mean()) < 0.7


def test_gray_samples_carry_the_same_noise_in_every_channel() -> None:
    noisy, clean, _ = Noise(gray=1).degrade(torch.rand(4, 3, 16, 16), None, _generator())
    assert torch.equal(noisy[:, 0], noisy[:, 2])
    assert torch.equal(clean[:, 0], clean[:, 1])


def test_rain_is_the_clipped_sum_and_its_map_marks_the_streaks() -> None:
    clean = torch.full((8, 3, 64, 64), 0.4)
    rainy, _, region = Rain(clean=0).degrade(clean, None, _generator())
    streaks = rainy - clean
    assert torch.equal(region, (streaks[:, :1] > 5 / 255).float())
    assert 0.01 < float(region.mean()) < 0.9
    assert float(rainy.max()) <= 1


def test_haze_inverts_by_the_scattering_model() -> None:
    clean = torch.rand(4, 3, 32, 32, generator=_generator(1))
    depth = torch.rand(4, 1, 32, 32, generator=_generator(2))
    haze = Haze(beta=(1.2, 1.2), airlight=(0.8, 0.8), tint=0, clean=0, invented=0)
    hazy, _, guidance = haze.degrade(clean, depth, _generator())
    assert torch.equal(guidance, depth)
    t = torch.exp(-1.2 * depth)
    torch.testing.assert_close((hazy - 0.8 * (1 - t)) / t, clean, atol=1e-5, rtol=0)


def test_a_seed_repeats_the_data(photos: Path) -> None:
    data = Photos(find_scenes([photos]))
    first, second, other = (sample_crops(data, 4, 32, 1, _generator(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_held_out_photos_are_the_last_and_never_in_training() -> None:
    scenes = [Scene(Path(folder) / f"{i}.png") for folder in "ab" for i in range(40)]
    train, held_out = split_held_out(scenes, 0.05)
    assert [s.photo.name for s in held_out] == ["38.png", "39.png"] * 2
    assert not set(train) & set(held_out)
    assert len(train) + len(held_out) == len(scenes)


@pytest.mark.parametrize("task", ["denoise", "derain", "dehaze"])
def test_an_untrained_pair_is_the_identity_and_its_map_is_in_range(task: str) -> None:
    model = build_model(load_preset(task, "fast"))
    image = torch.rand(1, 3, 64, 96)
    one = torch.ones(1, 1, 1, 1)
    with torch.no_grad():
        enhanced, guidance = model(image, 0 * one, 0 * one, one, one)
    assert torch.equal(enhanced, image)
    assert guidance.shape == (1, 1, 64, 96)
    assert model.proxy is not None
    assert 0 <= float(guidance.min()) <= float(guidance.max()) <= model.proxy.maximum


def test_the_unguided_twin_differs_by_the_map_channel_only() -> None:
    preset = load_preset("denoise", "fast")
    guided, twin = build_model(preset), build_model(preset, guided=False)
    shapes = {k: tuple(v.shape) for k, v in guided.reconstruction.state_dict().items()}
    twins = {k: tuple(v.shape) for k, v in twin.reconstruction.state_dict().items()}
    assert twin.proxy is None
    assert {k for k in shapes if shapes[k] != twins[k]} == {"head.weight"}
    assert shapes["head.weight"][1] - twins["head.weight"][1] == 4  # one map, unshuffled by 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 3}, "unknown field 'colour'"),
        ({"loss": "l3"}, "loss must be one of log_mse"),
        ({"channels": 2}, "channels must be one of 1, 3"),
        ({"tier": 3}, "tier must be of type str"),
        ({"proxy": {"view": "detail", "width": 8, "unshuffle": 2, "dilations": [1]}}, "4 items"),
        ({"schedule": {"steps": 5, "stages": []}}, "the field 'warmup' is missing"),
    ],
)
def test_a_wrong_preset_is_refused_with_the_field(change: dict[str, object], words: str) -> None:
    fields = json.loads(load_preset("denoise", "fast").to_json()) | change
    with pytest.raises(HyperguideError, match=words):
        preset_from_dict(fields, "mine.yaml")


def test_presets_survive_json() -> None:
    for task in ("denoise", "derain", "dehaze"):
        preset = load_preset(task, "fast")
        assert preset_from_dict(json.loads(preset.to_json()), "json") == preset


def _train(cli: Callable[..., Outcome], photos: Path, out: Path, *more: object) -> Outcome:
    return cli(
        *("train", "denoise", "--data", photos, "--out", out),
        *("--steps", 8, "--warmup", 2, "--checkpoint-seconds", 1, *more),
    )


def test_an_interrupted_run_resumes_to_the_weights_of_an_uninterrupted_one(
    photos: Path, tmp_path: Path
) -> None:
    whole = _small_run(photos, tmp_path / "whole")
    whole.train(lambda progress: None)

    class KilledError(Exception):
        pass

    def kill_behind_a_checkpoint(progress: object) -> None:
        if interrupted.step == 5:
            interrupted.save()
        if interrupted.step == 6:
            raise KilledError

    interrupted = _small_run(photos, tmp_path / "interrupted")
    with pytest.raises(KilledError):
        interrupted.train(kill_behind_a_checkpoint)
    resumed = _small_run(photos, tmp_path / "interrupted")
    resumed.resume()
    assert resumed.step == 5
    resumed.train(lambda progress: None)
    expected = load_file(tmp_path / "whole" / "weights.safetensors")
    actual = load_file(tmp_path / "interrupted" / "weights.safetensors")
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_a_run_folder_is_not_overwritten_by_accident(
    cli: Callable[..., Outcome], photos: Path, run_folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run_folder, tmp_path / "run"))
    before = (copy / "weights.safetensors").read_bytes()
    result = _train(cli, photos, copy)
    assert result.code == 1
    assert "--resume" in result.err
    assert (copy / "weights.safetensors").read_bytes() == before


def _small_run(
    photos: Path, folder: Path, seed: int = 3, strategy: Strategy = "strict", steps: int = 6
) -> Run:
    """Two warm-up and six outer steps on crops of 32 pixels."""
    preset = load_preset("denoise", "fast")
    stages = (Stage(until=1.0, crop=32, batch=2),)
    preset = replace(preset, schedule=Schedule(warmup=2, steps=steps, stages=stages))
    folder.mkdir(exist_ok=True)
    return Run(preset, open_data(preset, [photos]), folder, strategy, seed)


def test_resume_with_other_settings_or_data_says_which(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _small_run(photos, folder).save()
    _small_run(photos, folder).resume()
    for changed, words in (
        (_small_run(photos, folder, seed=4), "another seed"),
        (_small_run(photos, folder, steps=7), "another preset"),
        (_small_run(photos, folder, strategy="unguided"), "another strategy"),
    ):
        with pytest.raises(HyperguideError, match=words):
            changed.resume()
    fewer = Path(shutil.copytree(photos, tmp_path / "fewer"))
    (fewer / "0.png").unlink()
    with pytest.raises(HyperguideError, match="other data"):
        _small_run(fewer, folder).resume()


def test_repeated_and_nested_folders_count_once(photos: Path) -> None:
    once = find_scenes([photos])
    assert find_scenes([photos, photos, photos.parent / photos.name]) == once
    assert len({scene.photo.resolve() for scene in find_scenes([photos, photos.parent])}) >= 4


def test_weights_that_are_not_finite_never_replace_a_checkpoint(
    photos: Path, tmp_path: Path
) -> None:
    run = _small_run(photos, tmp_path / "run")
    run.save()
    before = (run.folder / "weights.safetensors").read_bytes()
    next(iter(run.average.values.values())).fill_(torch.nan)
    with pytest.raises(HyperguideError, match="last checkpoint was kept"):
        run.save()
    assert (run.folder / "weights.safetensors").read_bytes() == before


def test_force_keeps_the_old_run_until_the_new_one_has_a_checkpoint(
    cli: Callable[..., Outcome], photos: Path, run_folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run_folder, tmp_path / "run"))
    before = (copy / "weights.safetensors").read_bytes()
    bad = Path(shutil.copytree(photos, tmp_path / "photos"))
    for path in bad.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    result = _train(cli, bad, copy, "--force")
    assert result.code == 1
    assert "truncated" in result.err
    assert (copy / "weights.safetensors").read_bytes() == before


def test_gray_presets_train_and_export_gray_models(photos: Path, tmp_path: Path) -> None:
    preset = load_preset("denoise", "fast")
    stages = (Stage(until=1.0, crop=32, batch=2),)
    preset = replace(preset, channels=1, schedule=Schedule(warmup=1, steps=1, stages=stages))
    run = Run(preset, open_data(preset, [photos]), tmp_path, "strict", 0)
    run.train(lambda progress: None)
    export_model(load_run(tmp_path), tmp_path / "gray.onnx")
    enhancer = hyperguide.load(tmp_path / "gray.onnx")
    assert enhancer.info.color == "gray"
    for shape in ((1, 1), (20, 30)):
        image = np.full(shape, 100, np.uint8)
        assert enhancer(image).image.shape == shape
    with pytest.raises(HyperguideError, match="takes gray pictures"):
        enhancer(np.zeros((8, 8, 3), np.uint8))


def test_a_kill_in_the_middle_of_a_checkpoint_leaves_the_last_one(
    photos: Path, tmp_path: Path
) -> None:
    run = _small_run(photos, tmp_path / "run")
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
checkpoint.save_tensors(Path({str(run.folder)!r}) / "state.safetensors", tensors, record)
"""
    result = subprocess.run([sys.executable, "-c", script], check=False)
    assert result.returncode == -signal.SIGKILL
    assert {p.name: p.read_bytes() for p in run.folder.glob("[a-z]*.safetensors")} == before
    _small_run(photos, run.folder).resume()


def test_resuming_a_finished_run_reports_it_again(
    cli: Callable[..., Outcome], photos: Path, tmp_path: Path
) -> None:
    words = ("train", "denoise", "--data", photos, "--out", tmp_path / "run")
    steps = ("--steps", 1, "--warmup", 1)
    first = cli(*words, *steps)
    again = cli(*words, *steps, "--resume")
    assert (first.code, again.code) == (0, 0), again.err
    assert again.out == first.out


def test_ctrl_c_saves_the_run(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", "denoise", "--data", photos, "--out", out, "--checkpoint-seconds", "4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hyperguide", *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        # Shells start background jobs with Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (out / "log.jsonl").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    checkpointed = load_tensors(out / "state.safetensors")[1]["step"]
    time.sleep(0.5)  # into the steps behind the checkpoint
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "go on with --resume" in err
    assert load_tensors(out / "state.safetensors")[1]["step"] > checkpointed
