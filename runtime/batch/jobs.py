"""Pairs input pictures with output files, and checks the whole plan before anything is written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import PICTURE_SUFFIXES, check_suffix, find_pictures
from hyperguide.storage.atomic import refuse_missing_folder
from hyperguide.storage.claim import refuse_leading_away
from hyperguide.storage.paths import exists, extended_name, is_folder, real

from .passed_over import PassedOver, look_over


@dataclass(frozen=True)
class Job:
    """One picture and its output files.

    output: the enhanced picture.
    maps: files of the map as numbers and as a false-colour picture; empty if not wanted.
    kernel: file of the estimated kernel; None if not wanted.
    """

    source: Path
    output: Path
    maps: tuple[Path, ...]
    kernel: Path | None = None

    @property
    def writes(self) -> tuple[Path, ...]:
        """Every file that the job writes."""
        return (self.output, *self.maps, *([self.kernel] if self.kernel is not None else []))


def plan_jobs(
    sources: list[Path], output: str, maps: Path | None, kernels: str | None = None
) -> list[Job]:
    """Pair every picture with its output files.

    output: a file name for one picture; a folder for several pictures, for a folder of them, or
        if it ends in a slash. Subfolders keep their structure.
    kernels: a `.png` file or a folder in the same way, for the estimated kernels; None for none.
    Raises HyperguideError if two files would coincide, if one would replace a source that is not
    its own, or if a link in a folder leads out of it.
    """
    target = Path(output)
    if maps is not None and exists(maps) and not is_folder(maps):
        raise HyperguideError(f"The maps need a folder, but {maps} is a file: give another DIR.")
    one = len(sources) == 1 and not is_folder(sources[0])
    if one and not _names_folder(output):
        check_suffix(target)
        refuse_missing_folder(target)
        jobs = [job_of(sources[0], target, maps)]
    else:
        _refuse_picture_name(target)
        folders = _folders(output, maps, kernels)
        jobs = [job for source in sources for job in _into_folder(source, target, maps, folders)]
        _refuse_links([(job.output, target) for job in jobs])
        if maps is not None:
            _refuse_links([(path, maps) for job in jobs for path in job.maps])
    if kernels is not None:
        jobs = _with_kernels(jobs, target, kernels, one)
    _refuse_clashes(jobs)
    return jobs


def passed_over(
    sources: list[Path], output: str, maps: Path | None, kernels: str | None = None
) -> PassedOver:
    """The files that `plan_jobs` skips in source folders."""
    seen = PassedOver()
    for source in filter(is_folder, sources):
        look_over(source, _results(source, _folders(output, maps, kernels)), seen)
    return seen


def _folders(output: str, maps: Path | None, kernels: str | None) -> list[Path]:
    """The output folders that were named."""
    return [Path(name) for name in (output, maps, kernels) if name is not None]


def _into_folder(source: Path, target: Path, maps: Path | None, folders: list[Path]) -> list[Job]:
    if not is_folder(source):
        return [job_of(source, target / source.name, maps)]
    excluded = _results(source, folders)
    found = find_pictures(source, excluded)
    if not found:
        left = look_over(source, excluded, PassedOver()).kinds
        why = f": {left} are not supported" if left else ""
        raise HyperguideError(
            f"The folder {source} holds no pictures that can be read{why}; give another -i."
        )
    jobs = []
    for path in found:
        inside = path.relative_to(source)
        folder = None if maps is None else maps / inside.parent
        jobs.append(job_of(path, target / inside, folder))
    return jobs


def _results(source: Path, folders: list[Path]) -> list[Path]:
    """The output folders, which are excluded when a source is searched for pictures.

    If an output folder is the source itself, results replace its pictures, which needs --force.
    """
    return [folder for folder in folders if real(folder) != real(source)]


def job_of(source: Path, output: Path, maps: Path | None) -> Job:
    """The job of a picture. maps: the folder of its map; None if it is not wanted."""
    if maps is None:
        return Job(source, output, ())
    kinds = ("guidance", "guidance-color")
    return Job(
        source, output, tuple(maps / extended_name(source.name, f".{kind}.png") for kind in kinds)
    )


def _with_kernels(jobs: list[Job], target: Path, kernels: str, one: bool) -> list[Job]:
    """The jobs with files for their kernels. one: whether there is a single picture."""
    place = Path(kernels)
    if one and not _names_folder(kernels):
        if place.suffix.lower() != ".png":
            raise HyperguideError(f"The kernel is saved as a picture: end {place} in .png.")
        refuse_missing_folder(place)
        return [replace(jobs[0], kernel=place)]
    if place.suffix.lower() == ".png" or (exists(place) and not is_folder(place)):
        raise HyperguideError(
            f"The kernels of several pictures need a folder, but {place} is a file's name."
        )

    def inside(output: Path) -> Path:
        name = extended_name(output.name, ".kernel.png")
        return place / output.relative_to(target).parent / name

    files = [inside(job.output) for job in jobs]
    _refuse_links([(file, place) for file in files])
    return [replace(job, kernel=file) for job, file in zip(jobs, files, strict=True)]


def _names_folder(name: str) -> bool:
    """Whether a name on the command line is that of a folder, which may not exist yet."""
    return name.endswith(("/", os.sep)) or is_folder(Path(name))


def _refuse_picture_name(target: Path) -> None:
    if exists(target) and not is_folder(target):
        raise HyperguideError(f"Several pictures need a folder, but {target} is a file.")
    if target.suffix.lower() in PICTURE_SUFFIXES and not is_folder(target):
        raise HyperguideError(
            f"Several pictures need a folder, but {target} is a picture's name: "
            "give a folder's name."
        )


def _refuse_links(files: Iterable[tuple[Path, Path]]) -> None:
    """Raise HyperguideError if links lead a file out of the folder beside it."""
    seen: set[Path] = set()
    for path, folder in files:
        if path.parent not in seen:
            seen.add(path.parent)
            refuse_leading_away(path, folder)


def _refuse_clashes(jobs: list[Job]) -> None:
    """Raise HyperguideError if a file has two writers, or replaces a source that is not its own."""
    folders = {path.parent for job in jobs for path in (job.source, *job.writes)}
    real_folders = {folder: real(folder) for folder in folders}

    def place(path: Path) -> Path:  # the name itself, without following a link there
        return real_folders[path.parent] / path.name

    def leads_to(path: Path) -> Path:
        return real(path) if path.is_symlink() else place(path)

    sources = {at(job.source): job.source for job in jobs for at in (place, leads_to)}
    writers: dict[Path, Path] = {}
    for job in jobs:
        own = {place(job.source), leads_to(job.source)}
        for path in job.writes:
            if place(path) in writers:
                raise HyperguideError(
                    f"{writers[place(path)]} and {job.source} would both write {path}: "
                    "enhance them into different folders."
                )
            writers[place(path)] = job.source
            for taken in {place(path), leads_to(path)} & sources.keys():
                if path != job.output or taken not in own:
                    what = {job.output: "output", job.kernel: "kernel"}.get(path, "map")
                    raise HyperguideError(
                        f"The {what} {path} would replace a picture that is to be read, "
                        f"{sources[taken]}: give another folder."
                    )
