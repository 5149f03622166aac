"""Many pictures at once: while some are computed, others are read and written."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hyperguide.errors import StorageError

from .jobs import Job
from .work import Enhanced, Work

# Pictures under way beyond those that are computed: they are read and written meanwhile.
SPARE = 2
# JPEG and WebP files of photos take a tenth to a thirtieth of the pictures, PNG files half.
_UNPACKED = 32
# Seconds between reports. As soon are signals heard on systems where they interrupt no waiting.
_PAUSE = 0.1


@dataclass(frozen=True)
class Outcome:
    """How a picture ended: with notes for the user, or with an error."""

    job: Job
    notes: list[str]
    error: Exception | None = None


class _DroppedError(Exception):
    """A picture under way is not to be finished."""


@dataclass
class _Picture:
    """A picture under way, or one that waits for those before it to be told.

    size: of the picture in bytes; before it is read, what the file lets expect.
    share: of a large picture that is done, in [0, 1].
    outcome: None as long as it is under way, and if it was dropped.
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
) -> Generator[Outcome, None, None]:
    """Enhance pictures; whatever happens to one does not stop the others, but for a full disk.

    Each picture has a thread to itself, from its file to its results. The calling thread begins
    them in their order and waits, so that signals reach it.

    calls: of the engine at once.
    room: in bytes. No picture is read while those under way hold more, so that no more than one
        comes on top; results and maps take twice as much again.
    stopped: once it says so, no other picture is computed, those that are enhanced in parts are
        dropped, and the others under way are finished.
    report: called in the calling thread, about every 0.1 s, with how many pictures are done, also
        those that wait to be told, and parts of large ones.
    Yields the outcomes in the order of the jobs. Who ends early drops the pictures under way.
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
                    picture = _Picture(job, _expected_size(job))
                    under_way.append(picture)
                    pending.append(picture)
                    pool.submit(crew.finish, picture)
                elif pending:
                    crew.changed.wait(_PAUSE)
                else:
                    return
        finally:
            crew.leaves = True


class _Crew:
    """What the threads have in common.

    changed: set when a picture was read or is over.
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
        """Whether no other picture is to be computed."""
        return self._ends or self.leaves or self._stopped()

    def finish(self, picture: _Picture) -> None:
        """Do all of a picture, in a thread of its own."""
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


def _expected_size(job: Job) -> int:
    """The bytes of a picture that is to be read; none if reading it is going to fail."""
    try:
        return _UNPACKED * job.source.stat().st_size
    except OSError:
        return 0


def _without_frames(error: Exception) -> Exception:
    """An error that no longer keeps the pictures of the functions that it went through."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__context__
    return error
