"""Enhances a folder of pictures: progress, messages, early ends and resuming."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from hyperguide.batch.crew import Crew, Terms
from hyperguide.batch.files import LocalFiles
from hyperguide.batch.jobs import Job
from hyperguide.batch.pipeline import Outcome, enhance_all, room_for
from hyperguide.batch.resume import keep_journal, settings_of
from hyperguide.batch.work import EnhanceOptions, Work
from hyperguide.enhancer import Enhancer
from hyperguide.errors import DiskFullError, HyperguideError, StorageError
from hyperguide.printable import printable
from hyperguide.storage.atomic import remove_leftovers
from hyperguide.storage.claim import claim, refuse_coinciding
from hyperguide.storage.paths import real

from .messages import say
from .progress import progress_bar
from .signals import stops


@dataclass(frozen=True)
class LocalCrew:
    """This process. max_memory: bytes that it may use; None for half of what is free."""

    enhancer: Enhancer
    dials: EnhanceOptions
    max_memory: int | None

    @property
    def task(self) -> str:
        """See `Crew`."""
        return self.enhancer.info.task

    @property
    def settings(self) -> dict[str, str]:
        """See `Crew`."""
        return settings_of(self.enhancer.path, vars(self.dials))

    def enhance(
        self,
        jobs: list[Job],
        terms: Terms,
        stopped: Callable[[], bool],
        report: Callable[[float], object],
    ) -> Generator[Outcome, None, None]:
        """See `Crew`."""
        work = Work(self.enhancer, self.dials, terms.may_replace, terms.files, terms.journal)
        room = room_for(self.max_memory)
        return enhance_all(work, jobs, self.enhancer.at_once, room, stopped, report)


def enhance_folder(
    crew: Crew, jobs: list[Job], folder: Path, more: list[Path], force: bool, resume: bool
) -> None:
    """Enhance every picture, even if others fail, and report how many succeeded.

    more: the folders of maps and kernels.
    The run claims all folders. After Ctrl-C or SIGTERM, pictures being computed are still written,
    unless they are computed in parts; a second signal drops them.
    Raises HyperguideError if some failed, if nothing can be written any more, or if another run
    uses one of the folders.
    """
    with ExitStack() as stack:
        claims = tuple(stack.enter_context(claim(place)) for place in _different(folder, more))
        for place in {path.parent for job in jobs for path in job.writes}:
            remove_leftovers(place)
        refuse_coinciding((job.output for job in jobs), folder)
        others = [path for job in jobs for path in job.writes if path != job.output]
        for place in more:
            refuse_coinciding((path for path in others if path.is_relative_to(place)), place)
        kept = keep_journal(folder, crew.settings, resume, force)
        journal, notes = stack.enter_context(kept)
        terms = Terms(force, resume, journal, LocalFiles(claims=claims), claims)
        count, stopped = enhance_jobs(crew, jobs, terms, notes)
    tell(count, folder, stopped)


def enhance_jobs(crew: Crew, jobs: list[Job], terms: Terms, notes: list[str]) -> tuple[Count, bool]:
    """Enhance what is not complete. Returns the counts, and whether it was stopped."""
    for note in notes:
        say(note)
    journal = terms.journal
    todo = [job for job in jobs if not (terms.resume and journal.is_complete(job))]
    count = Count(len(jobs), len(jobs) - len(todo))
    with stops() as stop:
        if todo:
            _run(crew, todo, terms, count, stop)
    terms.files.refresh()
    count.look_again(terms)
    stopped = bool(stop) and not count.over
    if count.ended is None and not stopped:
        journal.end()
    return count, stopped


def _different(folder: Path, more: list[Path]) -> list[Path]:
    """The folders, each of them once."""
    found: dict[Path, Path] = {}
    for place in (folder, *more):
        found.setdefault(real(place), place)
    return list(found.values())


def tell(count: Count, folder: Path, stopped: bool) -> None:
    """Report how a run ended, and raise the exception that decides its exit code."""
    if count.ended is not None:
        mend = "make room and go" if isinstance(count.ended, DiskFullError) else "go"
        raise HyperguideError(f"{count.ended} {count.told}; {mend} on with --resume.")
    if stopped:
        say(f"{folder}: {count.told}; go on with --resume.")
        raise KeyboardInterrupt
    say(f"{folder}: {count.told}.")
    if count.failed:
        others = f"; the others are in {folder}" if count.failed < count.total else ""
        raise HyperguideError(
            f"{count.failed} of {count.total} pictures failed, see above{others}."
        )
    if count.lost:
        raise HyperguideError(
            f"{count.lost} of {count.total} pictures were written, but are not in {folder} any "
            "more: something else removes files there."
        )


class Count:
    """Counts the outcomes of `total` pictures.

    ended: why nothing can be written any more; None as long as something can.
    """

    def __init__(self, total: int, skipped: int) -> None:
        self.total, self.skipped = total, skipped
        self.failed = self.lost = 0
        self.ended: StorageError | None = None
        self._done: list[Job] = []

    def add(self, outcome: Outcome) -> None:
        """Count the outcome of a picture."""
        if isinstance(outcome.error, StorageError):
            self.ended = self.ended or outcome.error
        elif outcome.error is not None:
            self.failed += 1
        else:
            self._done.append(outcome.job)

    def look_again(self, terms: Terms) -> None:
        """Count pictures that were written but no longer exist."""
        there = [job for job in self._done if all(map(terms.files.exists, job.writes))]
        self.lost, self._done = len(self._done) - len(there), there
        try:
            for one in terms.claims:
                one.check()
        except StorageError as error:
            self.ended = self.ended or error

    @property
    def over(self) -> bool:
        """Whether no picture is left."""
        return self.skipped + len(self._done) + self.failed + self.lost == self.total

    @property
    def told(self) -> str:
        """The counts as text."""
        lost = f", {self.lost} lost again" if self.lost else ""
        return (
            f"of {self.total} pictures {len(self._done)} done, {self.skipped} skipped, "
            f"{self.failed} failed{lost}"
        )


def _run(crew: Crew, jobs: list[Job], terms: Terms, count: Count, stop: list[int]) -> None:
    """Enhance pictures with a progress bar, and print their notes as they come."""
    with progress_bar("picture") as bar:
        row = bar.add_task(crew.task, total=count.total, completed=count.skipped)

        def show(done: float) -> None:
            bar.update(row, completed=count.skipped + done)

        with closing(crew.enhance(jobs, terms, lambda: len(stop) > 0, show)) as outcomes:
            for outcome in outcomes:
                count.add(outcome)
                for note in _notes(outcome):
                    words = printable(note)
                    bar.console.print(words, markup=False, highlight=False, soft_wrap=True)


def _notes(outcome: Outcome) -> list[str]:
    """Sentences for the user about a picture, each of which names it."""
    error, source = outcome.error, str(outcome.job.source)
    if isinstance(error, StorageError):  # reported at the end
        return []
    notes = outcome.notes if error is None else [str(error)]
    if error is not None and not isinstance(error, HyperguideError):
        notes = [f"internal error, {type(error).__name__}: {error}"]
    return [note if source in note else f"{source}: {note}" for note in notes]
