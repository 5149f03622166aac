"""The driver's side: hands pictures to the workers, and takes their reports."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperguide.batch.crew import Terms
from hyperguide.batch.jobs import Job
from hyperguide.batch.pipeline import Outcome
from hyperguide.batch.resume import settings_of
from hyperguide.batch.work import EnhanceOptions
from hyperguide.errors import HyperguideError, StorageError

from .connection import connected, nodes
from .remote_files import RemoteFiles
from .shared_folders import SharedFolders
from .sizing import Sizing, size_crew
from .stream import Stream
from .tasks import MOST_TOGETHER, Farewell, Greeting, Orders, Place, Report, Task

# Seconds after which the user is told that no worker has begun.
_LONG = 60.0
# Pictures in a chunk, in turn: those whose worker dies are tried once more, each by itself.
_ROUNDS = (MOST_TOGETHER, 1)


@dataclass(frozen=True)
class RayCrew:
    """The workers of a Ray cluster; see `Crew`.

    load: the arguments of `hyperguide.load`, the same for each worker.
    model: the model file. task: of the model.
    address: of the cluster, see `connected`.
    workers: how many; None for all machines of the cluster.
    say: called with sentences for the user.
    """

    load: dict[str, Any]
    model: Path
    task: str
    dials: EnhanceOptions
    address: str
    workers: int | None
    say: Callable[[str], object]

    @property
    def settings(self) -> dict[str, str]:
        """See `Crew`."""
        return settings_of(self.model, vars(self.dials))

    def enhance(
        self,
        jobs: list[Job],
        terms: Terms,
        stopped: Callable[[], bool],
        report: Callable[[float], object],
    ) -> Generator[Outcome, None, None]:
        """See `Crew`; outcomes come as workers finish pictures, not in the order of the jobs.

        Raises HyperguideError if the cluster cannot be used, or a worker cannot start.
        """
        run = _Run(terms, jobs, stopped, report, self.say)
        yield from run.refused()
        if not run.left():
            return
        with connected(self.address, self.say):
            sizing = size_crew(nodes(), self.load["device"], self.workers, len(jobs))
            orders = self._orders(terms, sizing)
            for most in _ROUNDS:
                left = run.left()
                if not left or run.stops:
                    break
                with closing(Stream(orders, sizing, left, most)) as stream:
                    yield from run.follow(stream)
        yield from run.without_report()

    def _orders(self, terms: Terms, sizing: Sizing) -> Orders:
        files = terms.files
        place: Place = SharedFolders.of(terms.claims)
        if isinstance(files, RemoteFiles):
            place = files.open()
        return Orders(
            self.load,
            self.settings["model"],
            self.dials,
            terms.force or terms.journal.replaces,
            terms.resume,
            terms.journal.record.began,
            place,
            os.getcwd(),
            sizing.calls,
            sizing.on_machine,
        )


@dataclass
class _Run:
    """The state of a run: which tasks are left, and which workers are at work."""

    terms: Terms
    jobs: list[Job]
    stopped: Callable[[], bool]
    report: Callable[[float], object]
    say: Callable[[str], object]
    ended: bool = False
    over: set[int] = field(default_factory=set)
    at_work: set[str] = field(default_factory=set)
    engines: set[str] = field(default_factory=set)

    @property
    def stops(self) -> bool:
        """Whether to stop before the next picture."""
        return self.ended or self.stopped()

    def refused(self) -> Generator[Outcome, None, None]:
        """The outcomes of jobs whose files exist and may not be overwritten."""
        for number, job in enumerate(self.jobs):
            try:
                for path in job.writes:
                    self.terms.files.refuse_existing(path, self.terms.may_replace(job))
            except HyperguideError as error:
                self.over.add(number)
                yield Outcome(job, [], error)

    def left(self) -> list[Task]:
        """The tasks without an outcome."""
        stamp = self.terms.files.stamp
        return [
            Task(number, job, stamp(job.output), (stamp(job.source) or (0, 0))[0])
            for number, job in enumerate(self.jobs)
            if number not in self.over
        ]

    def follow(self, stream: Stream) -> Generator[Outcome, None, None]:
        """The outcomes that the workers report; ends early, with all workers, if it must stop."""
        began, told = time.monotonic(), False
        while not stream.over:
            if self.stops:
                stream.stop()
                if not self.at_work:
                    return
            if not (told or self.engines) and time.monotonic() - began > _LONG:
                told = True
                self.say("No worker has begun yet: the cluster may have no free cores or GPUs.")
            for message in stream.messages():
                yield from self._take(message)
            self.report(len(self.over))

    def without_report(self) -> Generator[Outcome, None, None]:
        """The outcomes of pictures whose workers died again and again."""
        if self.stops:
            return
        for number, job in enumerate(self.jobs):
            if number not in self.over:
                yield Outcome(
                    job,
                    [],
                    HyperguideError(
                        f"{job.source}: the worker that enhanced it died, each time: it may lack "
                        "memory for the picture; give --max-memory, or fewer --ray-workers."
                    ),
                )

    def _take(self, message: Greeting | Report | Farewell) -> Generator[Outcome, None, None]:
        match message:
            case Greeting(worker, engine, why, error):
                if error is not None:
                    raise error
                self.at_work.add(worker)
                if engine not in self.engines:
                    self.engines.add(engine)
                    self.say(f"Workers run on {engine} ({why}).")
            case Farewell(worker):
                self.at_work.discard(worker)
            case Report(number) if number not in self.over:
                self.over.add(number)
                yield self._outcome(message)

    def _outcome(self, report: Report) -> Outcome:
        job, error = self.jobs[report.number], report.error
        if error is None:
            try:
                self.terms.journal.add_made(job, report.made_from)
            except HyperguideError as failed:
                error = failed
        if isinstance(error, StorageError):
            self.ended = True
        return Outcome(job, report.notes, error)
