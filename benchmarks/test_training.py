"""Time per training step: Algorithm 1's alternation against the unguided twin's step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import skimage.data
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from conftest import InTurns
from hyperguide.picture_files import write_picture
from hyperguide.tasks import TASKS
from hyperguide.training.bilevel import Strategy
from hyperguide.training.data.batches import Data, open_data
from hyperguide.training.precision import fastest_precision
from hyperguide.training.preset import Preset, load_preset
from hyperguide.training.trainer import Run, Settings


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    names = ("astronaut", "coffee", "chelsea", "rocket")
    for name in names:
        write_picture(folder / f"{name}.png", getattr(skimage.data, name)())
    return folder


@pytest.mark.parametrize("task", list(TASKS))
def test_step(
    task: str, photos: Path, tmp_path: Path, in_turns: InTurns, benchmark: BenchmarkFixture
) -> None:
    torch.set_num_threads(1)
    preset = load_preset(task, "fast")
    data = open_data(preset, [photos])
    guided, twin = (_step(preset, data, tmp_path / s, s) for s in ("strict", "unguided"))
    loss = in_turns(
        guided,
        twin,
        group="a step of training, tier fast, one core",
        against="the unguided twin's step",
        warm=False,
        batch=preset.schedule.stages[0].batch,
        crop=preset.schedule.stages[0].crop,
    )
    assert torch.isfinite(loss)
    if benchmark.enabled:
        benchmark.extra_info["steps_per_second"] = 1000 / benchmark.extra_info["p50_ms"]


def _step(
    preset: Preset, data: Data, folder: Path, strategy: Strategy
) -> Callable[[], torch.Tensor]:
    """A step of Algorithm 1: inner (if any) and outer, including the drawing of batches."""
    folder.mkdir()
    settings = Settings(strategy, 0, precision=fastest_precision(torch.device("cpu")))
    run = Run(preset, data, folder, settings)
    stage = preset.schedule.stages[0]
    numbers = count()

    def step() -> torch.Tensor:
        number = next(numbers)
        if run.algorithm.has_inner_problem:
            run.algorithm.inner_step(data.draw("hyper", number, stage, seed=0).sample)
        loss = run.algorithm.outer_step(data.draw("train", number, stage, seed=0).sample)
        return loss[0] if isinstance(loss, tuple) else loss

    return step
