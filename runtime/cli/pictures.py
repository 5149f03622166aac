"""`hyperguide enhance` for pictures and folders of pictures."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click
import cv2

from hyperguide.batch.files import LocalFiles
from hyperguide.batch.jobs import Job, passed_over, plan_jobs
from hyperguide.batch.resume import in_place, is_newer_than_source
from hyperguide.batch.work import EnhanceOptions, Work
from hyperguide.enhancer import Enhancer
from hyperguide.model_format.model_info import ModelInfo

from .choices import Choices
from .folders import LocalCrew, enhance_folder
from .messages import say
from .progress import share_bar


def enhance_pictures(choices: Choices) -> None:
    """Enhance a picture, or several and folders of them.

    Raises HyperguideError if they cannot be read or the results cannot be written.
    """
    if choices.show or choices.output is None:
        raise click.UsageError("--show is for cameras, streams and videos: leave it out.")
    if choices.output == "-" or "://" in choices.output:
        raise click.UsageError(f"Pictures cannot be written to {choices.output}: name a file.")
    silence_opencv()
    choices = without_maps_of_nothing(choices)
    output = choices.output
    assert output is not None
    jobs = plan(choices, output)
    # One picture is faster with a call on all cores, many with a call on each core.
    with choices.open(at_once=min(os.cpu_count() or 1, len(jobs))) as enhancer:
        options = options_of(choices, enhancer.info)
        force, resume = choices.force, choices.resume
        if len(jobs) == 1 and jobs[0].source == Path(choices.inputs[0]):
            _enhance_one(enhancer, jobs[0], options, Path(output), force, resume)
        else:
            crew = LocalCrew(enhancer, options, choices.max_memory)
            enhance_folder(crew, jobs, Path(output), more_folders(choices), force, resume)


def plan(choices: Choices, output: str) -> list[Job]:
    """The jobs of folders and pictures; says what is skipped in folders."""
    sources, maps = list(map(Path, choices.inputs)), choices.save_guidance
    jobs = plan_jobs(sources, output, maps, choices.save_kernel)
    for note in passed_over(sources, output, maps, choices.save_kernel).notes:
        say(note)
    return jobs


def without_maps_of_nothing(choices: Choices) -> Choices:
    """The choices without maps if none are computed, which the user is told."""
    if choices.strength == 0 and choices.save_guidance is not None:
        say("No maps are written: at strength 0 none are computed.")
        return replace(choices, save_guidance=None)
    return choices


def more_folders(choices: Choices) -> list[Path]:
    """The folders of maps and kernels."""
    names = (choices.save_guidance, choices.save_kernel)
    return [Path(name) for name in names if name is not None]


def options_of(choices: Choices, info: ModelInfo) -> EnhanceOptions:
    """What the user set for all pictures."""
    return EnhanceOptions(
        choices.strength,
        choices.read_mask(),
        choices.read_guidance(info),
        choices.guidance_scale,
        choices.read_kernel(info),
        choices.quality,
    )


def silence_opencv() -> None:
    """Silence OpenCV, whose messages of several lines would surround our one sentence."""
    set_level = getattr(cv2, "setLogLevel", None)  # of OpenCV 4
    (set_level or cv2.utils.logging.setLogLevel)(0)


def _enhance_one(
    enhancer: Enhancer, job: Job, dials: EnhanceOptions, output: Path, force: bool, resume: bool
) -> None:
    if resume and is_newer_than_source(job):
        say(f"{job.output} is there already: skipped.")
        return
    may_replace = force or (resume and not in_place(job))
    work = Work(enhancer, dials, lambda job: may_replace, LocalFiles(named=output))
    with share_bar(enhancer.info.task) as report:
        enhanced = work.enhance(work.read(job), report)  # frees what was read
    for note in work.write(job, enhanced):
        say(note)
