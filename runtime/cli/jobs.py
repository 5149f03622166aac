"""Which pictures become which files: the plan is checked whole before anything is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hyperguide.atomic import refuse_missing_folder
from hyperguide.errors import HyperguideError
from hyperguide.paths import exists, is_folder
from hyperguide.pictures import SUFFIXES, check_suffix, find_pictures


@dataclass(frozen=True)
class Job:
    """One picture.

    output: the enhanced picture.
    maps: where the map goes as numbers and as a false-colour picture; empty if it is not wanted.
    """

    source: Path
    output: Path
    maps: tuple[Path, ...]

    @property
    def writes(self) -> tuple[Path, ...]:
        """Every file that the job writes."""
        return (self.output, *self.maps)


def plan_jobs(sources: list[Path], output: str, maps: Path | None) -> list[Job]:
    """Pair every picture with its files.

    output: a picture's name for one picture; a folder for several, for a folder of them, or with
        a slash at its end. Folders keep their structure.
    Raises HyperguideError if two files would coincide or a map would replace a source.
    """
    target = Path(output)
    if maps is not None and exists(maps) and not is_folder(maps):
        raise HyperguideError(f"The maps need a folder, but {maps} is a file: give another DIR.")
    one = len(sources) == 1 and not is_folder(sources[0])
    if one and not output.endswith(("/", os.sep)) and not is_folder(target):
        check_suffix(target)
        refuse_missing_folder(target)
        jobs = [_job(sources[0], target, maps)]
    else:
        _refuse_picture_name(target)
        jobs = [job for source in sources for job in _into_folder(source, target, maps)]
    _refuse_clashes(jobs)
    return jobs


def _into_folder(source: Path, target: Path, maps: Path | None) -> list[Job]:
    if not is_folder(source):
        return [_job(source, target / source.name, maps)]
    # Results in a subfolder of the source are not its pictures. Results in the source itself
    # replace them, which needs --force.
    excluded = [p for p in (target, maps) if p is not None and p.resolve() != source.resolve()]
    found = find_pictures(source, excluded)
    if not found:
        raise HyperguideError(f"The folder {source} holds no pictures: give another -i.")
    jobs = []
    for path in found:
        inside = path.relative_to(source)
        folder = None if maps is None else maps / inside.parent
        jobs.append(_job(path, target / inside, folder))
    return jobs


def _job(source: Path, output: Path, maps: Path | None) -> Job:
    if maps is None:
        return Job(source, output, ())
    kinds = ("guidance", "guidance-color")
    return Job(source, output, tuple(maps / f"{source.name}.{kind}.png" for kind in kinds))


def _refuse_picture_name(target: Path) -> None:
    if exists(target) and not is_folder(target):
        raise HyperguideError(f"Several pictures need a folder, but {target} is a file.")
    if target.suffix.lower() in SUFFIXES and not is_folder(target):
        raise HyperguideError(
            f"Several pictures need a folder, but {target} is a picture's name: "
            "give a folder's name."
        )


def _refuse_clashes(jobs: list[Job]) -> None:
    sources = {job.source.resolve() for job in jobs}
    writers: dict[Path, Path] = {}
    for job in jobs:
        for path in job.writes:
            resolved = path.resolve()
            if resolved in writers:
                raise HyperguideError(
                    f"{writers[resolved]} and {job.source} would both write {path}: "
                    "enhance them into different folders."
                )
            writers[resolved] = job.source
        for path in job.maps:
            if path.resolve() in sources:
                raise HyperguideError(f"The map {path} would replace a picture: give another DIR.")
