"""Learning from a trained pair: the targets of both problems, the record, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from conftest import Cli, fails
from hyperguide.training.bilevel import Bilevel
from hyperguide.training.checkpoint import BEST, load_run, load_tensors, save_tensors
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.hints import draw_scale
from hyperguide.training.data.sample import Sample
from hyperguide.training.losses import guidance_loss, log_mse
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.optimizers import build_optimizer
from hyperguide.training.preset import load_preset
from hyperguide.training.seen_photos import NOTHING
from hyperguide.training.teacher import Teacher, load_teacher
from hyperguide.training.trainer import Progress, Run
from made_data import STAGE, STREAMS, generator, small_preset
from made_runs import make_run, same, silent, weights

LOG_MSE_OF_EQUAL = math.log(1e-4)  # log_mse adds 1e-4 to the error


def _pair(seed: int) -> GuidedModel:
    """An untrained pair that changes pictures."""
    torch.manual_seed(seed)
    model = build_model(load_preset("denoise", "live"))
    torch.nn.init.normal_(model.reconstruction.tail.weight, std=0.05)
    return model.eval()


def _algorithm(model: GuidedModel, teacher: GuidedModel) -> Bilevel:
    schedule = load_preset("denoise", "live").schedule
    assert model.proxy is not None
    return Bilevel(
        model,
        guidance_loss(0.3),
        log_mse,
        build_optimizer(model.proxy, schedule, 1e-3),
        build_optimizer(model.reconstruction, schedule, 1e-3),
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
    algorithm = _algorithm(_pair(0), _pair(0))
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
    f = _algorithm(student, teacher).outer_step(batch)
    torch.testing.assert_close(f, expected)


def test_g_compares_with_the_teachers_map() -> None:
    student, teacher = _pair(1), _pair(2)
    batch = _batch()
    with torch.no_grad():
        mine, wanted = (pair.predict(batch.degraded, 0) for pair in (student, teacher))
    expected = ((mine - wanted) / 0.3).square().mean()
    torch.testing.assert_close(_algorithm(student, teacher).inner_step(batch), expected)


def test_each_stage_learns_the_teachers_map_of_that_stage() -> None:
    preset = load_preset("deblur", "paper-tiny")
    torch.manual_seed(0)
    teacher, student = build_model(preset), build_model(preset)
    student.load_state_dict(teacher.state_dict())
    assert student.proxy is not None
    optimizer = build_optimizer(student.proxy, preset.schedule, 1e-3)
    algorithm = Bilevel(
        student,
        guidance_loss(0.125),
        log_mse,
        optimizer,
        build_optimizer(student.reconstruction, preset.schedule, 1e-3),
        targets=Teacher("", teacher, NOTHING),
    )
    clean = torch.rand(2, 1, 48, 48, generator=generator())
    kernel = torch.full((2, 1, 3, 3), 1 / 9)
    batch = Sample(clean, clean, torch.zeros_like(clean), kernel)
    assert len(student.predictions(batch.degraded, kernel)) > 1
    assert float(algorithm.inner_step(batch)) < 1e-12
    assert float(algorithm.outer_step(batch)) == pytest.approx(LOG_MSE_OF_EQUAL, abs=1e-2)


def test_the_true_haze_is_no_target() -> None:
    preset = load_preset("dehaze", "fast")
    torch.manual_seed(0)
    teacher, student = build_model(preset), build_model(preset)
    student.load_state_dict(teacher.state_dict())
    algorithm = Bilevel(
        student,
        guidance_loss(1.0),
        log_mse,
        None,
        build_optimizer(student.reconstruction, preset.schedule, 1e-3),
        haze_weight=0.5,
        targets=Teacher("", teacher, NOTHING),
    )
    image = torch.rand(1, 3, 64, 64, generator=generator())
    light, depth = torch.ones(1, 3, 1, 1), torch.rand(1, 1, 64, 64, generator=generator())
    batch = Sample(image, image, depth, airlight=light, transmission=torch.exp(-depth))
    assert float(algorithm.outer_step(batch)) == pytest.approx(LOG_MSE_OF_EQUAL, abs=1e-4)


def test_half_of_the_scales_are_one_and_the_others_spread_evenly_on_both_sides() -> None:
    scales = draw_scale(4000, generator()).flatten()
    assert abs(float((scales == 1).float().mean()) - 0.5) < 0.04
    others = scales[scales != 1].log2()
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
    assert record.settings.teacher.startswith(f"{run_folder.name}, weights ")
    assert record.seen == load_run(run_folder).record.seen  # of the same photos
    fails(quick_cli(*words, "--resume"), "settings.teacher", run_folder.name)
    result = quick_cli(*words, "--resume", "--teacher", run_folder)
    assert result.code == 0, result.err


def test_a_teacher_of_other_pictures_is_refused(
    quick_cli: Cli, photos: Path, run_folder: Path, tmp_path: Path
) -> None:
    def refused(says: str, teacher: object, *words: object) -> None:
        out = tmp_path / "student"
        words = ("train", "denoise", "--data", photos, "--out", out, "--teacher", teacher, *words)
        fails(quick_cli(*words), says)
        assert not out.exists()

    refused("has the task derain", "derain-fast")
    refused("has the number of channels 3", run_folder, "--tier", "gray-fast")
    refused("rounded to int8", "denoise-fast-int8")
    refused("There is no teacher", "denoise-fsat")
    refused("There is no teacher", tmp_path / "authors.pth")
    refused("--strategy strict", run_folder, "--strategy", "naive")
    twin = tmp_path / "twin"
    make_run(photos, twin, "unguided", steps=1).train(silent)
    refused("has no hyper-network", twin)


def test_a_teacher_is_known_by_its_weights(run_folder: Path, tmp_path: Path) -> None:
    preset = load_preset("denoise", "fast")
    copy = tmp_path / run_folder.name
    copy.mkdir()
    tensors, record = load_tensors(run_folder / BEST)
    save_tensors({copy / BEST: tensors}, record | {"seconds": 1.5})  # another description
    name = load_teacher(run_folder, preset).name
    assert load_teacher(copy, preset).name == name
    first = next(iter(tensors))
    save_tensors({copy / BEST: tensors | {first: tensors[first] + 1e-3}}, record)
    assert load_teacher(copy, preset).name != name


def test_without_inner_steps_a_trained_hyper_network_is_needed(
    quick_cli: Cli, photos: Path, tmp_path: Path
) -> None:
    words = ("train", "denoise", "--data", photos, "--out", tmp_path / "run", "--inner", 0)
    fails(quick_cli(*words), "--warmup 0")
    fails(quick_cli(*words, "--warmup", 0), "--init-from")


def test_a_stopped_run_goes_on_with_its_teacher_bit_for_bit(photos: Path, tmp_path: Path) -> None:
    def run(name: str) -> Run:
        return make_run(photos, tmp_path / name, teacher=Teacher("x", _pair(2), NOTHING))

    run("whole").train(silent)
    halves = run("halves")

    def stop(progress: Progress) -> None:
        halves.stop = progress.step == 5

    with pytest.raises(KeyboardInterrupt):
        halves.train(stop)
    again = run("halves")
    again.resume()
    assert 5 <= again.state.step < again.total
    again.train(silent)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "halves"))
