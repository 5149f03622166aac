"""A folder of pictures: how it is told of, how it ends early and how it goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

import click

from hyperguide.enhancer import Enhancer
from hyperguide.errors import DiskFullError, HyperguideError
from hyperguide.memory import free_bytes
from hyperguide.paths import make_folder

from .jobs import Job
from .overlap import Outcome, enhance_all
from .picture import Dials, Work
from .progress import progress_bar
from .resume import begin, end, in_place, is_complete, settings_of

# Share of the memory that pictures under way may take before the next one is read; with results
# and maps it becomes about a fifth.
_SHARE = 1 / 16


def enhance_folder(
    enhancer: Enhancer,
    jobs: list[Job],
    dials: Dials,
    folder: Path,
    force: bool,
    resume: bool,
    max_memory: int | None,
) -> None:
    """Enhance every picture, whatever happens to the others, and say how many came out.

    Ctrl-C and SIGTERM let those be written that are being computed; a second one drops them.
    Raises HyperguideError if some failed or the disk is full.
    """
    make_folder(folder)
    began = begin(folder, settings_of(enhancer.path, dials), resume, force)
    todo = [job for job in jobs if not (resume and is_complete(job, began))]
    work = Work(enhancer, dials, lambda job: force or began > 0 or (resume and not in_place(job)))
    count = _Count(len(jobs), len(jobs) - len(todo))
    room = int(_SHARE * (max_memory or free_bytes() or 1 << 32))
    with _stops() as stop:
        if todo:
            _run(work, todo, room, count, stop)
    if count.full is not None:
        raise HyperguideError(f"{count.full} {count.told}; make room and go on with --resume.")
    if stop and not count.over:
        click.echo(f"{folder}: {count.told}; go on with --resume.", err=True)
        raise KeyboardInterrupt
    end(folder)
    click.echo(f"{folder}: {count.told}.", err=True)
    if count.failed:
        raise HyperguideError(
            f"{count.failed} of {len(jobs)} pictures failed, see above; the others are in {folder}."
        )


class _Count:
    """How many pictures came out how, of `total`.

    full: why the disk takes no more; None as long as it does.
    """

    def __init__(self, total: int, skipped: int) -> None:
        self.total, self.skipped = total, skipped
        self.done = self.failed = 0
        self.full: DiskFullError | None = None

    def add(self, outcome: Outcome) -> None:
        """Count a picture that was tried."""
        if isinstance(outcome.error, DiskFullError):
            self.full = self.full or outcome.error
        elif outcome.error is not None:
            self.failed += 1
        else:
            self.done += 1

    @property
    def over(self) -> bool:
        """Whether no picture is left."""
        return self.skipped + self.done + self.failed == self.total

    @property
    def told(self) -> str:
        """The count in words."""
        return (
            f"of {self.total} pictures {self.done} done, {self.skipped} skipped, "
            f"{self.failed} failed"
        )


def _run(work: Work, jobs: list[Job], room: int, count: _Count, stop: list[int]) -> None:
    """Enhance pictures under a bar, with notes in their order."""
    with progress_bar("picture") as bar:
        row = bar.add_task(work.enhancer.info.task, total=count.total, completed=count.skipped)

        def show(done: float) -> None:
            bar.update(row, completed=count.skipped + done)

        outcomes = enhance_all(work, jobs, work.enhancer.at_once, room, lambda: len(stop) > 0, show)
        with closing(outcomes):
            for outcome in outcomes:
                count.add(outcome)
                for note in _notes(outcome):
                    bar.console.print(note, markup=False, highlight=False, soft_wrap=True)


def _notes(outcome: Outcome) -> list[str]:
    """What to tell the user of a picture, which each sentence names."""
    error, source = outcome.error, str(outcome.job.source)
    if isinstance(error, DiskFullError):  # told at the end
        return []
    notes = outcome.notes if error is None else [str(error)]
    if error is not None and not isinstance(error, HyperguideError):
        notes = [f"internal error, {type(error).__name__}: {error}"]
    return [note if source in note else f"{source}: {note}" for note in notes]


@contextmanager
def _stops() -> Iterator[list[int]]:
    """A list that Ctrl-C and SIGTERM fill; the second one ends the run at once."""
    caught: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {n: signal.getsignal(n) for n in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:  # nohup, background jobs
            signal.signal(number, stop)
    try:
        yield caught
    finally:
        for number in numbers:
            signal.signal(number, before[number])
