"""Many pictures: while one is computed, the next is read and those before it are written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .jobs import Job
from .picture import Work

# PNG files take about twice as long to write as to read.
WRITERS = 2


@dataclass(frozen=True)
class Outcome:
    """How a picture ended: with notes for the user, or with an error."""

    job: Job
    notes: list[str]
    error: Exception | None = None


@dataclass(frozen=True)
class _Writing:
    """A picture that is being written, of so many bytes; or one that has failed already."""

    job: Job
    size: int
    future: Future[list[str]]

    def outcome(self) -> Outcome:
        """How it ended; waits for it."""
        try:
            return Outcome(self.job, self.future.result())
        except Exception as error:  # one odd picture must not stop a folder
            return Outcome(self.job, [], error)


class _DroppedError(Exception):
    """The picture under way is not to be finished."""


def enhance_all(
    work: Work,
    jobs: Iterable[Job],
    room: int,
    stopped: Callable[[], bool] = lambda: False,
    report: Callable[[float], object] = lambda share: None,
) -> Generator[Outcome, None, None]:
    """Enhance pictures; whatever happens to one does not stop the others.

    The engine runs in the calling thread, one call at a time, which uses all cores: several calls
    at once cost as much CPU time (`benchmarks/folder.py`) and several times the memory. At most one
    picture waits for it, and none is read while those under way hold more than `room` bytes, so
    that large ones do not pile up: no more than one comes on top of `room`.

    room: in bytes, of pictures as they were read; their results and maps take twice as much again.
    stopped: once it says so, no other picture begins, one that is enhanced in parts is dropped,
        and those that are computed are written.
    report: called after each part of a large picture with how much of it is done, in [0, 1].
    Yields the outcomes in the order of the jobs.
    """
    todo = iter(jobs)
    writing: deque[_Writing] = deque()

    def report_or_drop(share: float) -> None:
        if share < 1 and stopped():
            raise _DroppedError
        report(share)

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(WRITERS) as writers:

        def begin() -> tuple[Job, Future[np.ndarray]] | None:
            job = None if stopped() else next(todo, None)
            return None if job is None else (job, reader.submit(work.read, job))

        ahead = begin()
        while ahead is not None:
            job, reading = ahead
            size = _size(reading)
            if stopped():
                break
            ahead = begin() if size + _held(writing) <= room else None
            try:
                future = _enhance(work, job, reading, report_or_drop, writers)
            except _DroppedError:
                break
            writing.append(_Writing(job, size, future))
            while writing and (writing[0].future.done() or len(writing) > WRITERS):
                yield writing.popleft().outcome()
            if ahead is None:
                while _held(writing) > room:
                    yield writing.popleft().outcome()
                ahead = begin()
        while writing:
            yield writing.popleft().outcome()


def _enhance(
    work: Work,
    job: Job,
    reading: Future[np.ndarray],
    report: Callable[[float], object],
    writers: ThreadPoolExecutor,
) -> Future[list[str]]:
    """Enhance a picture and have it written; a failure waits for its turn to be told."""
    try:
        return writers.submit(work.write, job, work.enhance(reading.result(), report))
    except _DroppedError:
        raise
    except Exception as error:  # one odd picture must not stop a folder
        failed: Future[list[str]] = Future()
        failed.set_exception(error)
        return failed


def _size(reading: Future[np.ndarray]) -> int:
    """The bytes of a picture, once it is read; none if it could not be."""
    return 0 if reading.exception() is not None else reading.result().nbytes


def _held(writing: Iterable[_Writing]) -> int:
    return sum(picture.size for picture in writing if not picture.future.done())
