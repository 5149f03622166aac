"""Tests that the weights of unfinished models fit their presets."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from hyperguide.training.model import build_model
from hyperguide.training.preset import load_preset

NEXT = Path(__file__).parents[1] / "training" / "presets" / "next"


@pytest.mark.parametrize("path", sorted(NEXT.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_weights_fit_the_preset(path: Path) -> None:
    task, tier = path.stem.split("-")
    model = build_model(load_preset(task, tier, path))
    model.load_state_dict(load_file(path.with_suffix(".safetensors")), strict=True)
