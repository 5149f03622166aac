"""Measures subjects on the suites, and keeps what is already measured."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from hyperguide.training.evaluation.measure import Measurement, measure
from hyperguide.training.evaluation.protocols import PROTOCOLS
from hyperguide.training.evaluation.restorers import Target
from hyperguide.training.evaluation.suites import Suite
from hyperguide.training.logbook import read_log

from .configurations import Section, jobs
from .results import Measured, Quadrant, Results, Trained
from .subjects import RIVALS, Subject, others, trainings
from .suites import TOLD, open_part
from .training import spells, steps_done

_DIGEST = 12
_FIGURES = ("output_psnr", "held_out_f", "held_out_g", "inner_gap", "regret", "guidance_rmse")
# Sun et al.'s pictures are fifteen times as large as Levin's.
_ON_SUN = ("input", "bundled deblur", *RIVALS, "general-strict", "general-unguided")
# Pictures of heavy rain are for networks that were trained on it.
_ON_HEAVY = ("input", "bundled derain", "PReNet (heavy)")


@dataclass(frozen=True)
class Task:
    """A subject on a suite; `told`: the noise level in percent given to it, if any."""

    suite: str
    subject: Subject
    told: float | None = None


def tasks(section: Section, data: Path, runs: Path, checkpoints: Path) -> Iterator[Task]:
    """All measurements of a section, the shortest first."""
    subjects = [*others(section, data), *trainings(section, runs, checkpoints)]
    match section:
        case "restoration":
            yield from (Task("levin", subject) for subject in subjects)
            yield from (Task("levin quadrants", subject) for subject in subjects)
            large = [subject for subject in subjects if subject.name in _ON_SUN]
            yield from (Task("sun80", subject) for subject in large)
            able = [s for s in large if s.name not in ("input", "general-unguided")]
            yield from (Task("sun80 told", subject, told) for told in TOLD for subject in able)
        case "derain":
            light = [s for s in subjects if s.name != "PReNet (heavy)"]
            yield from (Task("rain100l", subject) for subject in light)
            yield from (Task("rain100h", s) for s in subjects if s.name in _ON_HEAVY)
        case "dehaze":
            yield from (Task("sots", subject) for subject in subjects)


def score(task: Task, suite: Suite, target: Target) -> list[Measured]:
    """Measure a subject; one result for each level."""
    told = None if task.told is None else task.told / 100
    levels: dict[str, list[tuple[Measurement, float | None]]] = {}
    for example in measure(suite, target, PROTOCOLS[suite.protocol], told):
        level = None if example.predicted is None else float(example.predicted.mean())
        levels.setdefault(example.case.level, []).append((example.measurement, level))
    return [_mean(task, target, level, members) for level, members in levels.items()]


def _mean(
    task: Task, target: Target, level: str, members: Sequence[tuple[Measurement, float | None]]
) -> Measured:
    measurements = [measurement for measurement, _ in members]
    errors = [m.map_rmse for m in measurements if m.map_rmse is not None]
    compared = bool(errors) and task.told is None
    return Measured(
        suite=task.suite,
        subject=task.subject.name,
        seed=task.subject.seed,
        level=level,
        told=task.told,
        weights=(target.sha256 or "")[:_DIGEST],
        pictures=len(members),
        psnr=mean(m.output.psnr for m in measurements),
        ssim=mean(m.output.ssim for m in measurements),
        map_mean=mean(v for _, v in members if v is not None) if compared else None,
        map_rmse=mean(errors) if compared else None,
        quadrants=_quadrants(measurements) if compared else (),
    )


def _quadrants(measurements: Sequence[Measurement]) -> tuple[Quadrant, ...]:
    columns = zip(*(m.quadrants for m in measurements), strict=True)
    return tuple(
        Quadrant(
            mean(q.true for q in column),
            mean(q.mean for q in column),
            math.sqrt(mean(q.rmse**2 for q in column)),
        )
        for column in columns
    )


def score_all(
    results: Results,
    planned: Sequence[Task],
    data: Path,
    quick: bool,
    save: Callable[[Results], None],
) -> Results:
    """Measure what is not known yet of these weights on as many pictures; saves after each."""
    for task in planned:
        suite, target = open_part(task.suite, data, quick), task.subject.open()
        if _is_known(task, target, len(suite.cases), results):
            continue
        seed = "" if task.subject.seed is None else f", seed {task.subject.seed}"
        told = "" if task.told is None else f", told {task.told:g} %"
        print(f"{task.suite}: {task.subject.name}{seed}{told}", file=sys.stderr, flush=True)
        results = results.with_measured(score(task, suite, target))
        if (cost := task.subject.kilo_macs) is not None:
            results = replace(results, costs=results.costs | {task.subject.name: cost})
        save(results)
    return results


def _is_known(task: Task, target: Target, pictures: int, results: Results) -> bool:
    found = [
        one
        for one in results.measured
        if (one.suite, one.subject, one.seed, one.told)
        == (task.suite, task.subject.name, task.subject.seed, task.told)
        and one.weights == (target.sha256 or "")[:_DIGEST]
    ]
    return sum(one.pictures for one in found) == pictures


def trained(runs: Path) -> tuple[Trained, ...]:
    """What each finished training cost, and how it ended."""
    timed = list(spells(runs))
    found = []
    for job in jobs():
        run = runs / job.folder
        parts = [spell for spell in timed if spell.run == job.folder]
        steps = sum(part.last - part.first for part in parts)
        total = job.configuration.steps
        if steps_done(run) == total and steps:
            seconds = sum(part.cpu_seconds for part in parts) / steps * total
            line = read_log(run)[-1]
            figures = {name: float(line[name]) for name in _FIGURES if name in line}
            found.append(Trained(job.name, job.seed, total, seconds, figures))
    return tuple(found)
