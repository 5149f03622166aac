"""Pairs pictures of remote folders with their outputs, as `batch.jobs` does for local ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hyperguide.batch.jobs import Job, job_of
from hyperguide.batch.passed_over import PassedOver, is_unsupported
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import PICTURE_SUFFIXES
from hyperguide.storage.paths import extended_name

from .remote_files import ListedFiles


def plan_remote(
    files: ListedFiles, sources: list[Path], output: Path, maps: Path | None, kernels: Path | None
) -> tuple[list[Job], PassedOver]:
    """Pair every picture with its output files, in folders; also what was skipped.

    Adds the states of the sources to what `files` knows.
    Raises HyperguideError if a source is not there, a folder holds no pictures, two files would
    coincide, or a file would replace a source that is not its own.
    """
    for folder in filter(None, (output, maps, kernels)):
        if folder.suffix.lower() in PICTURE_SUFFIXES:
            raise HyperguideError(f"Give the name of a folder instead of {folder}.")
    seen = PassedOver()
    results = [folder for folder in (output, maps, kernels) if folder is not None]
    jobs = [
        _job(path, inside, output, maps, kernels)
        for source in sources
        for path, inside in _found(files, source, results, seen)
    ]
    _refuse_clashes(jobs)
    return jobs, seen


def _found(
    files: ListedFiles, source: Path, results: list[Path], seen: PassedOver
) -> Iterator[tuple[Path, Path]]:
    """The pictures of a source, each with its name below the output folder."""
    if not files.is_folder(source):
        if not files.look(source):
            raise HyperguideError(f"There is no {source}: check the name behind -i.")
        yield source, Path(source.name)
        return
    excluded = [folder for folder in results if folder != source]
    names = files.listed(source)
    found = False
    for path in sorted(names):
        inside = path.relative_to(source)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or any(path.is_relative_to(folder) for folder in excluded):
            continue
        suffix = path.suffix.lower()
        if is_unsupported(suffix):
            seen.unsupported[suffix] += 1
        if suffix in PICTURE_SUFFIXES:
            found = True
            files.known[path] = names[path]
            yield path, Path(*inside.parts)
    if not found:
        raise HyperguideError(
            f"The folder {source} holds no pictures that can be read; give another -i."
        )


def _job(path: Path, inside: Path, output: Path, maps: Path | None, kernels: Path | None) -> Job:
    job = job_of(path, output / inside, None if maps is None else maps / inside.parent)
    if kernels is None:
        return job
    name = extended_name(inside.name, ".kernel.png")
    return replace(job, kernel=kernels / inside.parent / name)


def _refuse_clashes(jobs: list[Job]) -> None:
    """Raise HyperguideError if a file has two writers, or replaces a source that is not its own."""
    sources = {job.source for job in jobs}
    writers: dict[Path, Path] = {}
    for job in jobs:
        for path in job.writes:
            if path in writers:
                raise HyperguideError(
                    f"{writers[path]} and {job.source} would both write {path}: enhance them into "
                    "different folders."
                )
            writers[path] = job.source
            if path in sources and (path != job.output or path != job.source):
                raise HyperguideError(
                    f"{path} would replace a picture that is to be read: give another folder."
                )
