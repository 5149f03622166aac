"""The progressive refinement of deraining."""

from __future__ import annotations

from pathlib import Path

import torch

import hyperguide
from hyperguide.export.probe import receptive_field
from hyperguide.training.bilevel import Bilevel
from hyperguide.training.data.sample import Sample
from hyperguide.training.model import build_model
from hyperguide.training.preset import Preset, preset_from_dict
from made_runs import export_untrained


def small(stages: int = 2) -> Preset:
    fields = {
        "task": "derain",
        "tier": "fast",
        "proxy": {"view": "image", "width": 8, "unshuffle": 2, "dilations": [1, 1, 2, 1]},
        "reconstruction": {
            "network": "refinement",
            "unshuffle": 2,
            "widths": [16, 16],
            "middle": 1,
            "stages": stages,
        },
        "loss": "mse",
        "stage_weight": 0.5,
        "schedule": {"warmup": 0, "steps": 1, "stages": [{"until": 1.0, "crop": 16, "batch": 2}]},
    }
    return preset_from_dict(fields, "the test")


def random_pair(stages: int = 2):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = build_model(small(stages))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


def test_untrained_it_returns_the_picture() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 16, 24)
    result = build_model(small()).restore(image)
    assert len(result.iterates) == len(result.maps) == 2
    assert torch.equal(result.restored, image)
    twin = build_model(small(), guided=False).restore(image)
    assert twin.maps == ()
    assert torch.equal(twin.restored, image)


def test_the_second_map_depends_on_what_the_first_stage_removed() -> None:
    model = random_pair()
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        before = model.restore(image).maps
        model.reconstruction.stages[0].tail.bias += 0.3
        after = model.restore(image).maps
    assert torch.equal(before[0], after[0])
    assert float((before[1] - after[1]).abs().max()) > 1e-4


def test_g_couples_both_problems_but_moves_theta_only() -> None:
    """The loss of the second map reaches theta through the first stage; omega gets no gradient."""
    model = random_pair()
    sample = Sample(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16), torch.rand(2, 1, 16, 16))
    optimizer = torch.optim.SGD(model.proxy.parameters(), 0.1)
    algorithm = Bilevel.from_preset(small(), model, optimizer, optimizer)
    algorithm.g(sample).backward()
    assert all(p.grad is not None for p in model.proxy.parameters())
    assert all(p.grad is None for p in model.reconstruction.parameters())
    maps = model.predictions(sample.degraded)
    for found, expected in zip(maps, model.restore(sample.degraded).maps, strict=True):
        torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_the_exported_graph_asks_for_a_map_in_every_stage(tmp_path: Path) -> None:
    model = export_untrained(small(), tmp_path / "model.onnx")
    enhancer = hyperguide.load(tmp_path / "model.onnx", device="cpu")
    image = torch.rand(1, 3, 24, 40)
    result = enhancer(image[0].permute(1, 2, 0).numpy())
    expected = model.restore(image)
    torch.testing.assert_close(
        torch.from_numpy(result.guidance), expected.maps[-1][0, 0], atol=1e-5, rtol=0
    )
    # Two stages see further than one.
    assert enhancer.info.receptive_field > receptive_field(model.reconstruction, [3, 1], 0)


def test_a_given_map_guides_every_stage() -> None:
    model = random_pair(3)
    image, dial = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 1, 1)
    given = torch.rand(1, 1, 16, 16)
    enhanced, guidance = model(image, given, dial, dial, dial)
    assert torch.equal(guidance, given)
    expected = model.restore(image, None, lambda read, stage: given).restored
    torch.testing.assert_close(enhanced, expected.clamp(0, 1))
