"""`hyperguide enhance` for pictures and folders of pictures."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click
import cv2

from hyperguide.batch.jobs import Job, passed_over, plan_jobs
from hyperguide.batch.resume import in_place, is_newer_than_source
from hyperguide.batch.work import EnhanceOptions, Work
from hyperguide.enhancer import Enhancer

from .choices import Choices
from .folders import enhance_folder
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
    _silence_opencv()
    if choices.strength == 0 and choices.save_guidance is not None:
        say("No maps are written: at strength 0 none are computed.")
        choices = replace(choices, save_guidance=None)
    sources, output, maps = list(map(Path, choices.inputs)), choices.output, choices.save_guidance
    assert output is not None
    jobs = plan_jobs(sources, output, maps, choices.save_kernel)
    for note in passed_over(sources, output, maps, choices.save_kernel).notes:
        say(note)
    # One picture is faster with a call on all cores, many with a call on each core.
    with choices.open(at_once=min(os.cpu_count() or 1, len(jobs))) as enhancer:
        options = EnhanceOptions(
            choices.strength,
            choices.read_mask(),
            choices.read_guidance(enhancer.info),
            choices.guidance_scale,
            choices.read_kernel(enhancer.info),
            choices.quality,
        )
        force, resume = choices.force, choices.resume
        if len(jobs) == 1 and jobs[0].source == sources[0]:
            _enhance_one(enhancer, jobs[0], options, Path(output), force, resume)
        else:
            more = [Path(name) for name in (maps, choices.save_kernel) if name is not None]
            place, limit = Path(output), choices.max_memory
            enhance_folder(enhancer, jobs, options, place, more, force, resume, limit)


def _silence_opencv() -> None:
    """Silence OpenCV, whose messages of several lines would surround our one sentence."""
    set_level = getattr(cv2, "setLogLevel", None)  # of OpenCV 4
    (set_level or cv2.utils.logging.setLogLevel)(0)


def _enhance_one(
    enhancer: Enhancer, job: Job, dials: EnhanceOptions, output: Path, force: bool, resume: bool
) -> None:
    if resume and is_newer_than_source(job):
        say(f"{job.output} is there already: skipped.")
        return
    work = Work(enhancer, dials, lambda job: force or (resume and not in_place(job)), output)
    with share_bar(enhancer.info.task) as report:
        enhanced = work.enhance(work.read(job), report)  # frees what was read
    for note in work.write(job, enhanced):
        say(note)
