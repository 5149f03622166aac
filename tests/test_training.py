"""Parts of the trainer against independent references, and whole short runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import skimage.metrics
import torch

from hyperguide.errors import HyperguideError
from hyperguide.training.losses import mse, ssim, task_loss
from hyperguide.training.metrics import psnr
from hyperguide.training.model import build_model
from hyperguide.training.muon import orthogonalize
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
    # Like ours, scikit-image's leaves out the border where the window does not fit.
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
    # The author's coefficients only reach singular values of about 0.7..1.2, rightly oriented.
    values = np.linalg.svd(ours, compute_uv=False)
    assert values.min() > 0.3
    assert values.max() < 1.3
    cosine = (ours * (u @ vh)).sum((1, 2)) / np.linalg.norm(ours, axis=(1, 2))
    assert (cosine / np.sqrt(min(shape)) > 0.95).all()


@pytest.mark.parametrize("task", ["denoise", "derain", "dehaze"])
def test_an_untrained_pair_is_the_identity_and_its_map_is_in_range(task: str) -> None:
    model = build_model(load_preset(task, "fast"))
    image = torch.rand(1, 3, 64, 96)
    one = torch.ones(1, 1, 1, 1)
    with torch.no_grad():
        enhanced, guidance = model(image, 0 * one, 0 * one, one, one)
    if task == "dehaze":  # starts with a little haze everywhere, without which little is learnt
        assert 0.02 < (enhanced - image).abs().mean() < 0.1
    else:
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


_SCHEDULE = {"warmup": 1, "steps": 5, "stages": [{"until": 1.0, "crop": 8, "batch": 1}]}
_STACK = {"network": "stack", "unshuffle": 2, "width": 16, "depth": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 3}, "unknown field 'colour'"),
        ({"loss": "l3"}, "loss must be one of log_mse"),
        ({"channels": 2}, "channels must be one of 1, 3"),
        ({"channels": True}, "channels must be one of 1, 3"),
        ({"degradation": 5}, "degradation must be a mapping"),
        ({"stage_weight": float("nan")}, "stage_weight must be from 0 to 1000000, not nan"),
        ({"haze_weight": -1.0}, "haze_weight must be from 0 to"),
        ({"border_weight": -1.0}, "border_weight must be from 0 to"),
        ({"border": 4, "schedule": _SCHEDULE}, "less than half a crop of 8 pixels"),
        (
            {
                "schedule": {
                    "warmup": 1,
                    "steps": 5,
                    "stages": [{"until": 1.0, "crop": 8, "batch": 1}],
                    "clip": 0,
                }
            },
            "clip must be above 0 and at most 1000000000, not 0",
        ),
        (
            {"reconstruction": {"network": "stack", "unshuffle": 2, "width": 0, "depth": 1}},
            "width must be from 1 to 1024, not 0",
        ),
        ({"tier": 3}, "tier must be of type str"),
        ({"proxy": {"view": "detail", "width": 8, "unshuffle": 2, "dilations": [1]}}, "4 items"),
        ({"schedule": {"steps": 5, "stages": []}}, "the field 'warmup' is missing"),
    ],
)
def test_a_preset_with_a_wrong_field_is_refused_by_its_name(
    change: dict[str, object], words: str
) -> None:
    fields = json.loads(load_preset("denoise", "fast").to_json()) | change
    with pytest.raises(HyperguideError, match=words):
        preset_from_dict(fields, "mine.yaml")


def test_presets_survive_json() -> None:
    for task in ("denoise", "derain", "dehaze"):
        preset = load_preset(task, "fast")
        assert preset_from_dict(json.loads(preset.to_json()), "json") == preset


def test_the_loss_counts_only_a_share_of_the_border() -> None:
    restored, clean = torch.zeros(2, 3, 10, 12), torch.zeros(2, 3, 10, 12)
    restored[:, :, 0] = 0.5  # inside the border
    restored[:, :, 4, 5] = 0.3
    loss = task_loss("mse", border=3, border_weight=0.25)
    expected = 0.3**2 / (4 * 6) + 0.25 * float(mse(restored, clean))
    assert float(loss(restored, clean)) == pytest.approx(expected)
