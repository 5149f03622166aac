"""Learning from a trained pair: the targets of both problems, the record, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from conftest import Cli, fails
from hyperguide.training.bilevel import Bilevel, Strategy
from hyperguide.training.checkpoint import load_run
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.hints import draw_scale
from hyperguide.training.data.sample import Sample
from hyperguide.training.losses import guidance_loss, log_mse
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.optimizers import build_optimizer
from hyperguide.training.preset import load_preset
from hyperguide.training.seen_photos import NOTHING
from hyperguide.training.teacher import Teacher
from made_data import STAGE, STREAMS, generator, small_preset
from made_runs import make_run, silent

LOG_MSE_OF_EQUAL = math.log(1e-4)  # log_mse adds 1e-4 to the error


def _pair(seed: int) -> GuidedModel:
    """An untrained pair that changes pictures."""
    torch.manual_seed(seed)
    model = build_model(load_preset("denoise", "live"))
    torch.nn.init.normal_(model.reconstruction.tail.weight, std=0.05)
    return model.eval()


def _algorithm(model: GuidedModel, teacher: GuidedModel, strategy: Strategy) -> Bilevel:
    schedule = load_preset("denoise", "live").schedule
    assert model.proxy is not None
    return Bilevel(
        model,
        guidance_loss(0.3),
        log_mse,
        build_optimizer(model.proxy, schedule, 1e-3),
        build_optimizer(model.reconstruction, schedule, 1e-3),
        strategy,
        targets=Teacher("", teacher, NOTHING),
    )


def _batch(scale: float | None = None) -> Sample:
    rng = torch.Generator().manual_seed(5)
    clean = torch.rand(2, 3, 64, 64, generator=rng)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=rng)
    scales = None if scale is None else torch.full((2, 1, 1, 1), scale)
    return Sample(noisy, clean, torch.full((2, 1, 64, 64), 0.1), scale=scales)


@pytest.mark.parametrize("scale", [None, 3.0])
def test_a_copy_of_the_teacher_has_nothing_to_learn(scale: float | None) -> None:
    algorithm = _algorithm(_pair(0), _pair(0), "strict")
    assert float(algorithm.outer_step(_batch(scale))) == pytest.approx(LOG_MSE_OF_EQUAL, abs=1e-4)
    assert float(algorithm.inner_step(_batch())) == 0


def test_f_compares_with_the_teachers_result_at_the_students_map_times_the_scale() -> None:
    student, teacher = _pair(1), _pair(2)
    batch = _batch(2.0)
    with torch.no_grad():
        guidance = 2 * student.predict(batch.degraded, 0)
        mine, wanted = (
            pair.reconstruction(batch.degraded, guidance) for pair in (student, teacher)
        )
    expected = (mine - wanted).square().mean((1, 2, 3)).add(1e-4).log().mean()
    f = _algorithm(student, teacher, "strict").outer_step(batch)
    torch.testing.assert_close(f, expected)


def test_g_compares_with_the_teachers_map() -> None:
    student, teacher = _pair(1), _pair(2)
    batch = _batch()
    with torch.no_grad():
        mine, wanted = (pair.predict(batch.degraded, 0) for pair in (student, teacher))
    expected = ((mine - wanted) / 0.3).square().mean()
    torch.testing.assert_close(_algorithm(student, teacher, "strict").inner_step(batch), expected)


@pytest.mark.parametrize("strategy", ["naive", "response", "oracle"])
def test_each_strategy_learns_the_teachers_results(strategy: Strategy) -> None:
    algorithm = _algorithm(_pair(0), _pair(0), strategy)
    found: Tensor
    if strategy == "naive":
        found, _ = algorithm.joint_step(_batch())
    else:
        found = algorithm.outer_step(_batch())
    assert float(found) == pytest.approx(LOG_MSE_OF_EQUAL, abs=1e-4)


def test_half_of_the_scales_are_one_and_the_others_spread_evenly_on_both_sides() -> None:
    scales = draw_scale(4000, generator()).flatten()
    assert abs(float((scales == 1).float().mean()) - 0.5) < 0.04
    others = scales[scales != 1].log() / math.log(4)
    assert -1 <= float(others.min()) < -0.98
    assert 0.98 < float(others.max()) <= 1
    assert abs(float(others.mean())) < 0.05


def test_the_outer_problem_alone_has_scales(photos: Path) -> None:
    data = open_data(small_preset(), [photos])
    with_scales = replace(data, scales=True)
    for stream in STREAMS:
        sample = with_scales.draw(stream, 0, STAGE, seed=0).sample
        assert (sample.scale is not None) == (stream == "train")
        plain = data.draw(stream, 0, STAGE, seed=0).sample
        assert torch.equal(sample.degraded, plain.degraded)  # scales are drawn last


def test_without_inner_steps_theta_stays_as_it_is(photos: Path, tmp_path: Path) -> None:
    run = make_run(photos, tmp_path, warmup=0, inner=0)
    assert run.model.proxy is not None
    before = {name: p.clone() for name, p in run.model.proxy.state_dict().items()}
    omega = {name: p.clone() for name, p in run.model.reconstruction.state_dict().items()}
    run.train(silent)
    after = run.model.proxy.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    later = run.model.reconstruction.state_dict()
    assert not all(torch.equal(omega[name], later[name]) for name in omega)


def test_the_command_records_the_teacher_and_its_photos_and_resumes_only_with_it(
    quick_cli: Cli,
    photos: Path,
    run_folder: Path,
    small_presets: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    preset, out = small_presets("denoise", "fast"), tmp_path / "student"
    words = ("train", "denoise", "--preset", preset, "--data", photos, "--out", out)
    result = quick_cli(*words, "--teacher", run_folder)
    assert result.code == 0, result.err
    record = load_run(out).record
    assert record.settings.teacher.startswith(f"{run_folder.name}, sha256 ")
    assert record.seen.photos == load_run(run_folder).record.seen.photos
    fails(quick_cli(*words, "--resume"), "settings.teacher", run_folder.name)
    result = quick_cli(*words, "--resume", "--teacher", run_folder)
    assert result.code == 0, result.err


def test_a_teacher_of_other_pictures_is_refused(
    quick_cli: Cli, photos: Path, run_folder: Path, tmp_path: Path
) -> None:
    def refused(*words: object) -> None:
        out = tmp_path / "student"
        result = quick_cli("train", "denoise", "--data", photos, "--out", out, *words)
        fails(result, "teacher")
        assert not out.exists()

    refused("--teacher", "derain-fast")
    refused("--tier", "gray-fast", "--teacher", run_folder)
    twin = tmp_path / "twin"
    make_run(photos, twin, "unguided", steps=1).train(silent)
    refused("--teacher", twin)
