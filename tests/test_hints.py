"""Hints: coarse copies of the true map, by which the reconstruction network learns to be told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hyperguide.training.bilevel import Bilevel, Strategy
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.hints import draw_hint
from hyperguide.training.data.sample import Sample
from hyperguide.training.losses import guidance_loss, log_mse
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.optimizers import build_optimizer
from hyperguide.training.preset import Preset, load_preset
from made_data import STAGE, STREAMS, generator, small_preset


def test_a_hint_is_a_coarse_copy_of_the_true_map() -> None:
    ramp = torch.linspace(0, 1, 64).expand(300, 1, 48, 64)
    told, trust = draw_hint(ramp, 1.0, generator())
    assert told.shape == trust.shape == ramp.shape
    # Cells are exact in the mean, off by 5 % at most in the deviation, and by half a cell.
    assert abs(float((told - ramp).mean())) < 2e-3
    error = (told - ramp).square().mean((1, 2, 3)).sqrt()
    assert 1e-3 < float(error.min()) < float(error.max()) < 1 / 3 / 2 + 0.05
    known = trust.mean((1, 2, 3))
    assert 0.4 < float((known > 1 - 1e-6).float().mean()) < 0.7
    assert 0 < float(known.min()) < 0.4
    assert torch.equal(trust, trust.clamp(0, 1))


def test_a_constant_map_without_error_stays_what_it_is() -> None:
    told, _ = draw_hint(torch.zeros(20, 1, 16, 24), 1.0, generator())
    assert not told.any()


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_share_of_the_samples_has_a_hint(share: float) -> None:
    _, trust = draw_hint(torch.rand(400, 1, 8, 8), share, generator())
    hinted = trust.flatten(1).any(1).float().mean()
    assert abs(float(hinted) - share) < 0.08


def test_the_outer_problem_alone_has_hints(photos: Path) -> None:
    data = open_data(small_preset(hints=1.0), [photos])
    for stream in STREAMS:
        sample = data.draw(stream, 0, STAGE, seed=0).sample
        assert (sample.told is not None) == (sample.trust is not None) == (stream == "train")
    plain = open_data(small_preset(), [photos]).draw("train", 0, STAGE, seed=0).sample
    assert plain.told is None
    again = data.draw("train", 0, STAGE, seed=0).sample
    assert torch.equal(again.degraded, plain.degraded)  # hints are drawn last


def small_steps(model: GuidedModel, preset: Preset, strategy: Strategy) -> Bilevel:
    """Algorithm 1 with small steps."""
    assert model.proxy is not None
    return Bilevel(
        model,
        guidance_loss(0.3),
        log_mse,
        build_optimizer(model.proxy, preset.schedule, 0.01),
        build_optimizer(model.reconstruction, preset.schedule, 0.01),
        strategy,
    )


@pytest.mark.parametrize("strategy", ["strict", "response"])
def test_the_reconstruction_sees_what_it_is_told_where_it_is_trusted(strategy: Strategy) -> None:
    preset = load_preset("denoise", "fast")
    model = build_model(preset)
    seen: list[Tensor] = []
    model.reconstruction.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    algorithm = small_steps(model, preset, strategy)
    image = torch.rand(1, 3, 32, 32)
    told = torch.full((1, 1, 32, 32), 0.2)
    trust = torch.zeros_like(told)
    trust[..., :16], trust[..., 16:24] = 1.0, 0.5
    with torch.no_grad():
        predicted = model.predict(image)
    batch = Sample(image, image, told, told=told, trust=trust)
    algorithm.outer_step(batch)
    expected = trust * told + (1 - trust) * predicted
    torch.testing.assert_close(seen[0], expected)
    assert float((expected - predicted).abs().max()) > 0.01
    replace(algorithm, strategy="manual").outer_step(batch)
    torch.testing.assert_close(seen[1], predicted)


def test_with_response_theta_learns_where_its_map_is_used() -> None:
    preset = load_preset("denoise", "fast")
    model = build_model(preset)
    assert model.proxy is not None
    before = [p.detach().clone() for p in model.proxy.parameters()]
    algorithm = small_steps(model, preset, "response")
    image, told = torch.rand(1, 3, 32, 32), torch.full((1, 1, 32, 32), 0.2)

    def has_moved(trust: float) -> bool:
        batch = Sample(image, image**2, told, told=told, trust=torch.full_like(told, trust))
        algorithm.outer_step(batch)
        assert model.proxy is not None
        return any(
            bool((now != then).any())
            for now, then in zip(model.proxy.parameters(), before, strict=True)
        )

    assert not has_moved(1.0)
    assert has_moved(0.5)
