"""`hyperguide enhance` for video: files, pipes, cameras and streams."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hyperguide.enhancer import Enhancer
from hyperguide.errors import HyperguideError
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.storage.paths import is_folder
from hyperguide.video.addresses import Address, is_video, parse_source
from hyperguide.video.encoders import EncoderWishes
from hyperguide.video.files import FileOptions, enhance_file
from hyperguide.video.sinks import parse_destination
from hyperguide.video.streaming import enhance_stream
from hyperguide.video.summary import Summary

from .choices import Choices
from .live import enhance_live
from .messages import say
from .progress import progress_bar
from .signals import stops


@dataclass(frozen=True)
class VideoJob:
    """A source and its destination."""

    source: Address
    destination: Address


def enhance_videos(choices: Choices) -> None:
    """Enhance videos one after the other with a progress bar for each, or a live source.

    Ctrl-C and SIGTERM end a video early; its output then holds what is done.
    Raises HyperguideError for what went wrong, after the rest of that video is delivered.
    """
    if choices.quality is not None:
        raise click.UsageError("--quality is for pictures: give --crf.")
    if choices.estimates_kernel:
        raise click.UsageError("--kernel auto is for pictures: give a kernel file.")
    is_preview = choices.show and choices.output is None
    sources = _parse_sources(choices.inputs, True if is_preview else choices.live)
    if sources[0].is_live:
        if choices.save_guidance is not None:
            raise click.UsageError("--save-guidance is not for live sources: add --no-live.")
        output = None if choices.output is None else parse_destination(choices.output)
        options = _options(choices, choices.info)
        enhance_live(choices.open, sources[0], output, choices.show, options, choices.force)
        return
    if choices.show or choices.output is None:
        raise click.UsageError("--show plays a file without writing it: leave out -o.")
    jobs = plan_videos(sources, choices.output)
    with choices.open() as enhancer:
        options = _options(choices, enhancer.info)
        for job in jobs:
            _enhance_one(enhancer, job, options, choices.force, choices.resume)


def _options(choices: Choices, info: ModelInfo) -> FileOptions:
    return FileOptions(
        choices.frame_dials(info),
        choices.smooth,
        choices.temporal,
        wishes=EncoderWishes(choices.codec, choices.crf, choices.preset, choices.pix_fmt),
        audio=choices.audio,
        strict=choices.strict,
        hwaccel=choices.hwaccel,
        max_memory=choices.max_memory,
        maps=choices.save_guidance,
    )


def _parse_sources(names: tuple[str, ...], live: bool | None) -> list[Address]:
    """Parse what stands behind -i. Raises click.UsageError if pictures are among videos."""
    for name in names:
        if not is_video(name):
            raise click.UsageError(
                f"{name} is no video: enhance pictures and videos with a call each."
            )
    found = [parse_source(name, live) for name in names]
    if len(found) > 1 and any(one.is_live for one in found):
        raise click.UsageError("Give one live source at a time.")
    return found


def plan_videos(sources: list[Address], output: str) -> list[VideoJob]:
    """Pair every source with its destination. Raises HyperguideError if they do not fit."""
    if len(sources) == 1 and not is_folder(Path(output)):
        return [VideoJob(sources[0], parse_destination(output))]
    for one in sources:
        if not one.is_file:
            raise HyperguideError(f"{one} needs a name for its output, {output} is a folder.")
    if not is_folder(Path(output)):
        raise HyperguideError(
            f"Several videos need a folder, but there is none called {output}: create it."
        )
    return [VideoJob(one, parse_destination(str(Path(output) / one.path.name))) for one in sources]


def _enhance_one(
    enhancer: Enhancer, job: VideoJob, options: FileOptions, force: bool, resume: bool
) -> None:
    with stops() as stop, closing(_Bar(enhancer.info.task)) as bar:
        run = _file_run if job.source.is_file and job.destination.is_file else _stream_run
        summary = run(enhancer, job, options, force, resume, bar, lambda: len(stop) > 0)
    _tell(job, enhancer, summary)
    if stop:
        raise KeyboardInterrupt


def _file_run(
    enhancer: Enhancer,
    job: VideoJob,
    options: FileOptions,
    force: bool,
    resume: bool,
    bar: _Bar,
    stop: Callable[[], bool],
) -> Summary:
    output = job.destination.path
    return enhance_file(
        enhancer, job.source, output, options, force, resume, bar.show, bar.say, stop
    )


def _stream_run(
    enhancer: Enhancer,
    job: VideoJob,
    options: FileOptions,
    force: bool,
    resume: bool,
    bar: _Bar,
    stop: Callable[[], bool],
) -> Summary:
    if resume:
        raise HyperguideError("Only files can be resumed: leave out --resume.")
    return enhance_stream(
        enhancer, job.source, job.destination, options, force, bar.show, bar.say, stop
    )


def _tell(job: VideoJob, enhancer: Enhancer, summary: Summary) -> None:
    for note in summary.notes:
        say(note)
    say(f"{job.destination}: {summary.words(enhancer.info.guidance)}.")
    if not summary.complete:
        again = "; go on with --resume" if job.source.is_file and job.destination.is_file else ""
        say(f"It holds {summary.until:.2f} s{again}.")


class _Bar:
    """A progress bar that appears with the first frame."""

    def __init__(self, task: str) -> None:
        self._bar = progress_bar("frame", "slowest")
        self._task = task
        self._row: Any = None

    def say(self, note: str) -> None:
        """Print a note; before the first frame."""
        say(note)

    def show(self, done: int, count: int | None, slowest: str) -> None:
        """Show how far the work is."""
        if self._row is None:
            self._bar.start()
            self._row = self._bar.add_task(self._task, total=count, completed=done - 1, slowest="")
        total = None if count is None else max(count, done)
        self._bar.update(self._row, completed=done, total=total, slowest=f"slowest: {slowest}")

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._row is not None:
            self._bar.stop()
