"""`hyperguide enhance --ray`: pictures and folders on a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from hyperguide.batch.crew import Terms
from hyperguide.cluster.addresses import FileSystems, is_address
from hyperguide.cluster.connection import refuse_missing
from hyperguide.cluster.crew import RayCrew
from hyperguide.cluster.remote_files import ListedFiles
from hyperguide.cluster.remote_jobs import plan_remote
from hyperguide.cluster.remote_record import keep_remote_journal
from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import remove_leftovers
from hyperguide.video.addresses import VIDEO_SUFFIXES, is_video

from .choices import Choices
from .folders import enhance_folder, enhance_jobs, tell
from .messages import say
from .pictures import more_folders, options_of, plan, silence_opencv, without_maps_of_nothing

# Seconds in which the system ends workers that were killed in the middle of a picture.
_DYING = 2.0


def enhance_on_cluster(choices: Choices) -> None:
    """Enhance pictures and folders of them with the workers of a Ray cluster.

    Raises HyperguideError as `enhance_pictures` does, and if the cluster cannot be used.
    """
    if choices.show or choices.output is None:
        raise click.UsageError("--ray writes files: give a folder with -o, and leave out --show.")
    for name in choices.inputs:
        _refuse_video(name)
    refuse_missing()
    silence_opencv()
    choices = without_maps_of_nothing(choices)
    if any(map(is_address, _names(choices))):
        _enhance_remote(choices)
    else:
        _enhance_shared(choices)


def _refuse_video(name: str) -> None:
    suffix = Path(name.partition("?")[0]).suffix.lower()
    if suffix in VIDEO_SUFFIXES or (is_video(name) and not is_address(name)):
        raise HyperguideError(f"{name} is a video, and --ray takes only pictures: leave out --ray.")


def _names(choices: Choices) -> list[str]:
    more = map(str, more_folders(choices))
    return [*choices.inputs, str(choices.output), *more]


def _enhance_shared(choices: Choices) -> None:
    """Enhance folders that all machines of the cluster see under the same names."""
    output = str(choices.output)
    jobs = plan(choices, output)
    folder = Path(output)
    if jobs[0].output == folder:
        raise HyperguideError(
            f"--ray enhances many pictures, into a folder: leave it out for the one {folder}, or "
            "end -o in a slash."
        )
    crew, more = _crew(choices), more_folders(choices)
    with _cleaned({path.parent for job in jobs for path in job.writes}):
        enhance_folder(crew, jobs, folder, more, choices.force, choices.resume)


def _enhance_remote(choices: Choices) -> None:
    """Enhance folders of object stores and other remote file systems."""
    systems = FileSystems()
    sources = [systems.parse(name) for name in choices.inputs]
    folder = systems.parse(str(choices.output))
    maps = choices.save_guidance and systems.parse(str(choices.save_guidance))
    kernels = systems.parse(choices.save_kernel) if choices.save_kernel else None
    places = tuple(place for place in (folder, maps, kernels) if place is not None)
    files = ListedFiles(systems.opened, places)
    files.refresh()
    jobs, seen = plan_remote(files, sources, folder, maps, kernels)
    for note in seen.notes:
        say(note)
    crew, force, resume = _crew(choices), choices.force, choices.resume
    if resume:
        files.remove_leftovers()
    try:
        kept = keep_remote_journal(files, folder, crew.settings, resume, force)
        with kept as (journal, notes):
            terms = Terms(force, resume, journal, files)
            count, stopped = enhance_jobs(crew, jobs, terms, notes)
        tell(count, folder, stopped)
    except BaseException:
        files.remove_leftovers()
        raise


def _crew(choices: Choices) -> RayCrew:
    info = choices.info
    options = options_of(choices, info)
    choices.warn_without_kernel(info)
    loading, model, address = choices.loading, choices.model_file, choices.ray or ""
    return RayCrew(loading, model, info.task, options, address, choices.ray_workers, say)


@contextmanager
def _cleaned(folders: set[Path]) -> Iterator[None]:
    """Remove, if a run fails, the temporary files of workers that were killed."""
    try:
        yield
    except BaseException:
        end = time.monotonic() + _DYING
        while folders and time.monotonic() < end:
            folders = {folder for folder in folders if remove_leftovers(folder)}
            time.sleep(0.1 if folders else 0)
        raise
