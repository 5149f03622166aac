"""Who enhances the pictures of a folder, and what a run may do there."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from hyperguide.storage.claim import Claim

from .files import Files
from .jobs import Job
from .pipeline import Outcome
from .resume import Journal, in_place


@dataclass(frozen=True)
class Terms:
    """What a run may do in its folders.

    claims: on the output folders; none on object stores.
    """

    force: bool
    resume: bool
    journal: Journal
    files: Files
    claims: tuple[Claim, ...] = ()

    def may_replace(self, job: Job) -> bool:
        """Whether the files of a job may be overwritten."""
        again = self.resume and not in_place(job, self.files)
        return self.force or self.journal.replaces or again


class Crew(Protocol):
    """Who enhances the pictures of a folder."""

    @property
    def task(self) -> str:
        """The task of the model."""
        ...

    @property
    def settings(self) -> dict[str, str]:
        """Everything that affects the pictures; see `settings_of`."""
        ...

    def enhance(
        self,
        jobs: list[Job],
        terms: Terms,
        stopped: Callable[[], bool],
        report: Callable[[float], object],
    ) -> Generator[Outcome, None, None]:
        """Enhance pictures and record those written; see `enhance_all`."""
        ...
