"""Parts of the trainer against independent references, and whole short runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.metrics
import torch
from safetensors.torch import load_file

from conftest import Outcome
from hyperguide.errors import HyperguideError
from hyperguide.training.degradations import Haze, Noise, Rain
from hyperguide.training.losses import ssim
from hyperguide.training.metrics import psnr
from hyperguide.training.model import build_model
from hyperguide.training.muon import orthogonalize
from hyperguide.training.photos import Photos, Scene, find_scenes, sample_crops, split_held_out
from hyperguide.training.preset import load_preset, preset_from_dict


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
        ({"channels": 2.5}, "channels must be of type int"),
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


def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(
    cli: Callable[..., Outcome], photos: Path, tmp_path: Path
) -> None:
    from hyperguide.training.data import open_data
    from hyperguide.training.trainer import Run

    torch.set_num_threads(1)
    preset = load_preset("denoise", "fast")
    data = open_data(preset, [photos])

    def run(folder: str) -> Run:
        (tmp_path / folder).mkdir(exist_ok=True)
        small = preset_from_dict(
            json.loads(preset.to_json())
            | {
                "schedule": {
                    "warmup": 2,
                    "steps": 6,
                    "stages": [{"until": 1.0, "crop": 32, "batch": 2}],
                }
            },
            "test",
        )
        return Run(small, data, tmp_path / folder, "strict", seed=3)

    whole = run("whole")
    whole.train(lambda progress: None)

    class KilledError(Exception):
        pass

    def kill_at_five(progress: object) -> None:
        if interrupted.step == 5:
            interrupted.save()
        if interrupted.step == 6:
            raise KilledError

    interrupted = run("interrupted")
    with pytest.raises(KilledError):
        interrupted.train(kill_at_five)
    resumed = run("interrupted")
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


def test_resume_with_other_settings_says_which(
    cli: Callable[..., Outcome], photos: Path, run_folder: Path
) -> None:
    result = _train(cli, photos, run_folder, "--resume", "--seed", 1)
    assert result.code == 1
    assert "another preset" in result.err  # its steps differ too, and come first


def test_a_run_killed_in_the_middle_leaves_whole_checkpoints(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", "denoise", "--data", photos, "--out", out, "--checkpoint-seconds", 1]
    process = subprocess.Popen(
        [sys.executable, "-m", "hyperguide", *map(str, words)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 120
        while not (out / "weights.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert load_file(out / "weights.safetensors")
    assert load_file(out / "state.safetensors")
