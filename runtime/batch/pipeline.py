"""Processes many pictures at once: while some are computed, others are read and written."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hyperguide.errors import StorageError
from hyperguide.memory import free_bytes

from .jobs import Job
from .work import Enhanced, Work

# Pictures in progress in addition to those being computed: they are read or written meanwhile.
SPARE = 2
# Pixels are 10 to 30 times larger than JPEG and WebP files of photos, twice as large as PNG files.
_UNPACKED = 32
# Share of the memory that pictures in progress may take before the next one is read; with results
# and maps it becomes about a fifth.
_SHARE = 1 / 16
# Seconds between reports, and the delay of signals on systems where they do not interrupt waiting.
_PAUSE = 0.1


@dataclass(frozen=True)
class Outcome:
    """The outcome of a picture: notes for the user, or an error."""

    job: Job
    notes: list[str]
    error: Exception | None = None


class _DroppedError(Exception):
    """Raised to abandon a picture that is being processed."""


@dataclass
class _Picture:
    """A picture in progress, or a finished one whose outcome waits for those before it.

    size: of the picture in bytes; before it is read, an estimate from the size of its file.
    share: of a large picture that is done, in [0, 1].
    outcome: None while in progress, and if it was dropped.
    """

    job: Job
    size: int
    share: float = 0.0
    over: bool = False
    outcome: Outcome | None = None


def enhance_all(
    work: Work,
    jobs: Iterable[Job],
    calls: int,
    room: int,
    stopped: Callable[[], bool] = lambda: False,
    report: Callable[[float], object] = lambda done: None,
    size_of: Callable[[Job], int] | None = None,
) -> Generator[Outcome, None, None]:
    """Enhance pictures. An error in one does not stop the others, unless it is a StorageError.

    Each picture has its own thread, from reading to writing. The calling thread starts them in
    order and waits, so that signals reach it.

    calls: concurrent calls of the engine.
    room: in bytes. No picture is read while those in progress hold more, so at most one exceeds
        it. Results and maps take twice as much in addition.
    stopped: once true, no other picture is computed, those that are enhanced in parts are dropped,
        and the others in progress are finished.
    report: called in the calling thread, about every 0.1 s, with the number of pictures done,
        including those not yet yielded and the finished parts of large ones.
    size_of: bytes of a job's picture file, 0 if unknown; None asks the file system.
    Yields the outcomes in the order of the jobs. Closing the generator drops pictures in progress.
    """
    todo = iter(jobs)
    under_way: list[_Picture] = []
    pending: deque[_Picture] = deque()
    done = 0
    crew = _Crew(work, calls, stopped)
    with ThreadPoolExecutor(calls + SPARE) as pool:
        try:
            while True:
                crew.changed.clear()
                done += sum(p.outcome is not None for p in under_way if p.over)
                under_way = [p for p in under_way if not p.over]
                report(done + sum(p.share for p in under_way))
                if pending and pending[0].over:
                    if (outcome := pending.popleft().outcome) is not None:
                        yield outcome
                elif len(under_way) < calls + SPARE and (
                    sum(p.size for p in under_way) <= room
                    and not crew.stops
                    and (job := next(todo, None)) is not None
                ):
                    picture = _Picture(job, _UNPACKED * (size_of or _size_of_file)(job))
                    under_way.append(picture)
                    pending.append(picture)
                    pool.submit(crew.finish, picture)
                elif pending:
                    crew.changed.wait(_PAUSE)
                else:
                    return
        finally:
            crew.leaves = True


def room_for(max_memory: int | None) -> int:
    """The bytes that pictures in progress may take, see `enhance_all`.

    max_memory: bytes that the process may use; None for half of what is free.
    """
    return int(_SHARE * (max_memory or free_bytes() or 1 << 32))


class _Crew:
    """The state that the threads share.

    changed: set when a picture has been read or is over.
    leaves: once true, nothing more is written.
    """

    def __init__(self, work: Work, calls: int, stopped: Callable[[], bool]) -> None:
        self.changed = threading.Event()
        self.leaves = False
        self._work = work
        self._calls = threading.Semaphore(calls)
        self._stopped = stopped
        self._ends = False

    @property
    def stops(self) -> bool:
        """Whether to stop before the next picture."""
        return self._ends or self.leaves or self._stopped()

    def finish(self, picture: _Picture) -> None:
        """Read, enhance and write a picture, in its own thread."""
        try:
            picture.outcome = Outcome(picture.job, self._write(picture, self._enhance(picture)))
        except _DroppedError:
            pass
        except Exception as error:  # one odd picture must not stop a folder
            if isinstance(error, StorageError):
                self._ends = True
            picture.outcome = Outcome(picture.job, [], _without_frames(error))
        finally:
            picture.over = True
            self.changed.set()

    def _enhance(self, picture: _Picture) -> Enhanced:
        image = self._work.read(picture.job)
        picture.size = image.nbytes
        self.changed.set()

        def report(share: float) -> None:
            if share < 1 and self.stops:
                raise _DroppedError
            picture.share = share

        with self._calls:
            if self.stops:
                raise _DroppedError
            return self._work.enhance(image, report)

    def _write(self, picture: _Picture, enhanced: Enhanced) -> list[str]:
        if self.leaves:
            raise _DroppedError
        return self._work.write(picture.job, enhanced)


def _size_of_file(job: Job) -> int:
    """The bytes of a picture's file; 0 if reading it will fail."""
    try:
        return job.source.stat().st_size
    except OSError:
        return 0


def _without_frames(error: Exception) -> Exception:
    """The error without its tracebacks, whose frames would keep pictures in memory."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__context__
    return error
