"""The bundled models on research photos held out from their training.

Runs if HYPERGUIDE_DATA names the folder of the research data.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hyperguide
from conftest import psnr
from hyperguide.kernel_estimation.kernel_shape import likeness
from hyperguide.picture_files import read_picture
from hyperguide.training.data.batches import Data, open_data
from hyperguide.training.data.degradations import Noise
from hyperguide.training.data.sample import Sample
from hyperguide.training.evaluation.mat_file import read_mat
from hyperguide.training.preset import Stage, load_preset

_FOLDER = os.environ.get("HYPERGUIDE_DATA")
pytestmark = pytest.mark.skipif(
    not _FOLDER, reason="HYPERGUIDE_DATA is not set: give the folder of the research data"
)
DATA = Path(_FOLDER or ".")

# The training data of the bundled models; the same split gives the photos they never saw.
FOLDERS = {
    "denoise": ["bsds500/train", "bsds500/test"],
    "derain": ["bsds500/test", "nyu/rgb"],
    "dehaze": ["nyu"],
}


def _open(task: str) -> Data:
    streaks = DATA / "rain100l" / "train" if task == "derain" else None
    return open_data(load_preset(task, "fast"), [DATA / f for f in FOLDERS[task]], streaks)


def _numpy(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(degraded, clean, both HxWx3; map, HxW)."""
    degraded, clean, guidance = (t[0].permute(1, 2, 0).numpy() for t in sample[:3])
    return degraded, clean, guidance[..., 0]


@pytest.mark.parametrize(("task", "crop"), [("denoise", 256), ("derain", 320), ("dehaze", 448)])
def test_held_out_photos_gain_at_least_2_db(
    task: str, crop: int, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    data = _open(task)
    gains = []
    for number in range(10):
        batch = data.draw("held_out", number, Stage(1, crop, 1), seed=5)
        degraded, clean, _ = _numpy(batch.sample)
        if np.array_equal(degraded, clean):
            continue
        gains.append(psnr(enhancers[task](degraded).image, clean) - psnr(degraded, clean))
    assert len(gains) > 5
    assert np.mean(gains) > 2, gains


def test_the_predicted_noise_map_is_nearly_as_good_as_the_true_one(
    enhancers: dict[str, hyperguide.Enhancer],
) -> None:
    data = _open("denoise")
    enhance = enhancers["denoise"]
    scores: dict[str, list[float]] = {"true": [], "predicted": [], "constant": []}
    for number, sigma in enumerate((15, 25, 50) * 3):
        noise = Noise(sigma / 255, sigma / 255, clean=0, varying=0, gray=0, clipped=0)
        noisy = replace(data, degradations={**data.degradations, "held_out": noise})
        batch = noisy.draw("held_out", number, Stage(1, 256, 1), seed=6)
        degraded, clean, true = _numpy(batch.sample)
        scores["true"].append(psnr(enhance(degraded, guidance=true).image, clean))
        scores["predicted"].append(psnr(enhance(degraded).image, clean))
        scores["constant"].append(psnr(enhance(degraded, guidance=27.5 / 255).image, clean))
    mean = {name: np.mean(values) for name, values in scores.items()}
    assert mean["predicted"] > mean["true"] - 0.1, mean
    assert mean["predicted"] > mean["constant"] + 0.3, mean


@pytest.mark.parametrize("name", ["im05_flit03", "im06_flit05", "im07_flit08"])
def test_kernels_of_captured_pictures(name: str) -> None:
    arrays = read_mat(DATA / "levin09" / f"{name}.mat")
    true = np.ascontiguousarray(arrays["f"][::-1, ::-1], np.float32)
    estimate = hyperguide.estimate_kernel(arrays["y"].astype(np.float32), len(true))
    assert estimate.verdict == "blurred"
    assert likeness(estimate.kernel, true) > 0.8


@pytest.mark.parametrize("name", ["101085", "227092", "97033"])
def test_sharp_photos_are_not_deblurred(name: str) -> None:
    photo = read_picture(DATA / "bsds500" / "val" / f"{name}.jpg")
    assert hyperguide.estimate_kernel(photo).verdict == "sharp"
