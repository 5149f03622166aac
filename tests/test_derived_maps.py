"""Maps derived for pairs that come without, compared with what the pairs were made from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import skimage.data
import torch

from hyperguide.picture_files import read_picture, write_picture
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.derived_maps import (
    blurred_noise_level,
    noise_level,
    rain_region,
    relative_depth,
)
from hyperguide.training.data.drawn_kernels import draw_kernel
from hyperguide.training.preset import Stage
from made_data import generator, noise_picture, small_preset

_FOLDER = os.environ.get("HYPERGUIDE_DATA")
research = pytest.mark.skipif(
    not _FOLDER, reason="HYPERGUIDE_DATA is not set: give the folder of the research data"
)


def test_a_derived_rain_region_is_where_any_channel_changed_by_more_than_tau() -> None:
    clean = noise_picture(0).astype(np.float32) / 255
    change = np.random.default_rng(1).integers(-8, 9, clean.shape)
    region = rain_region((clean * 255 + change).astype(np.float32) / 255, clean, 5 / 255)
    np.testing.assert_array_equal(region, (np.abs(change) > 5).any(2))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_derived_noise_level_is_the_local_standard_deviation(channels: int) -> None:
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.3, 0.7, (200, 240, channels)).astype(np.float32)
    true = np.where(np.arange(240) < 120, 0.04, 0.12).astype(np.float32) * np.ones((200, 1))
    noise = rng.standard_normal(clean.shape) * true[..., None] + 0.05  # an offset is not noise
    level = noise_level((clean + noise).astype(np.float32), clean)
    far = np.abs(np.arange(240) - 120) > 20
    error = (level / true - 1)[:, far]
    # A window of sigma 5 holds 4 pi 25 = 314 independent pixels: 1 / sqrt(2 * 314 * channels).
    assert abs(error.mean()) < 0.01
    assert error.std() < 1.3 / np.sqrt(2 * 314 * channels)


def test_a_derived_noise_level_of_a_blurred_picture_knows_the_blur() -> None:
    rng = np.random.default_rng(0)
    clean = skimage.data.astronaut()[:128, :128].astype(np.float32) / 255
    kernel = draw_kernel(15, generator(4))
    blurred = np.dstack(
        [scipy.signal.convolve2d(clean[..., c], kernel, "same") for c in range(3)]
    )  # zeros outside: wrong at the border, as in any real photo
    noisy = blurred + 0.03 * rng.standard_normal(blurred.shape)
    level = blurred_noise_level(noisy.astype(np.float32), clean, kernel)
    assert level.shape == (128, 128)
    assert abs(level.mean() / 0.03 - 1) < 0.02
    assert abs(level / 0.03 - 1).max() < 0.2


def _scene(height: int, width: int) -> np.ndarray:
    """A receding ground with a nearer box; the farthest depth is 1."""
    depth = np.linspace(1, 0.2, height, dtype=np.float32)[:, None] * np.ones((1, width), np.float32)
    depth[height // 3 : 2 * height // 3, width // 4 : width // 2] *= 0.5
    return depth


@pytest.mark.parametrize("beta", [0.4, 1.0, 1.8])
@pytest.mark.parametrize("photo", ["astronaut", "coffee", "camera"])
def test_depth_derived_from_a_hazy_pair_is_the_depth(photo: str, beta: float) -> None:
    clean = getattr(skimage.data, photo)()
    clean = np.dstack([clean] * 3) if clean.ndim == 2 else clean
    depth = _scene(*clean.shape[:2])
    t = np.exp(-beta * depth)[..., None]
    hazy = clean * t + 255 * np.array([0.85, 0.88, 0.92]) * (1 - t)
    pair = (np.rint(p).astype(np.float32) / 255 for p in (hazy, clean))
    derived = relative_depth(*pair)
    correlation = np.corrcoef(derived.ravel(), depth.ravel())[0, 1]
    rmse = np.sqrt(np.mean((derived - depth) ** 2))
    print(f"{photo} beta {beta}: correlation {correlation:.4f}, RMSE {rmse:.4f}")
    assert correlation > 0.98
    assert rmse < 0.04
    assert derived.max() == 1


def test_a_pair_without_haze_has_no_depth() -> None:
    clean = skimage.data.coffee()[::4, ::4].astype(np.float32) / 255
    assert not relative_depth(clean, clean).any()


@pytest.mark.parametrize("task", ["denoise", "derain", "dehaze"])
def test_pairs_without_maps_get_derived_ones(task: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    t = np.exp(-_scene(96, 128))[..., None]
    for i in range(4):
        clean = skimage.data.astronaut()[40 * i : 40 * i + 96, 60 * i : 60 * i + 128] // 2 + 40
        made = {
            "denoise": clean + rng.normal(0, 20, clean.shape),
            "derain": clean + 80 * (rng.random((96, 128, 1)) < 0.1),
            "dehaze": clean * t + 230 * (1 - t),
        }[task]
        for sub, picture in (("input", made), ("target", clean)):
            (tmp_path / sub).mkdir(exist_ok=True)
            stored = np.rint(picture).clip(0, 255).astype(np.uint8)
            write_picture(tmp_path / sub / f"{i}.png", stored)
    data = open_data(small_preset(task), [tmp_path])
    sample = data.draw("hyper", 0, Stage(1.0, crop=64, batch=8), 0).sample
    changed = (sample.degraded - sample.clean).amax(1, keepdim=True)
    if task == "denoise":
        assert abs(float(sample.guidance.mean()) * 255 - 20) < 0.5
    elif task == "derain":
        assert torch.equal(sample.guidance, (changed > 5 / 255).float())
    else:
        assert float(sample.guidance.std()) > 0.1
        assert 0 < float(sample.guidance.min()) < float(sample.guidance.max()) <= 1
    record = data.record()["guidance"]
    assert record["source"] == "derived"
    assert record["pictures"] == 3
    if task == "derain":
        assert (record["rule"], record["tau"]) == ("|y - x| > tau in any channel", 5 / 255)


@research
@pytest.mark.parametrize("index", [10, 300, 700, 1200])
def test_depth_derived_from_hazy_nyu_is_the_measured_depth(index: int) -> None:
    nyu = Path(_FOLDER or ".") / "nyu"
    clean = read_picture(nyu / "rgb" / f"{index}.jpg").astype(np.float32) / 255
    depth = read_picture(nyu / "depth" / f"{index}.png").astype(np.float32)
    depth /= depth.max()
    t = np.exp(-1.2 * depth)[..., None]
    hazy = np.rint((clean * t + 0.9 * (1 - t)) * 255).astype(np.float32) / 255
    derived = relative_depth(hazy, clean)
    assert np.corrcoef(derived.ravel(), depth.ravel())[0, 1] > 0.98
    assert np.sqrt(np.mean((derived - depth) ** 2)) < 0.06
