"""What the driver and the workers tell each other; everything here is pickled."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from hyperguide.batch.files import Files, Stamp
from hyperguide.batch.jobs import Job
from hyperguide.batch.work import EnhanceOptions

# The most pictures that a worker is given together.
MOST_TOGETHER = 32


class Place(Protocol):
    """The folders of a run, as the driver describes them to workers."""

    def open(self) -> Files:
        """The files, on the worker's machine. Raises HyperguideError if they are not there."""
        ...


@dataclass(frozen=True)
class Orders:
    """What every worker of a run is told when it starts.

    load: the arguments of `hyperguide.load`.
    model: digest of the model file that the driver sees.
    force, resume: whether files may be overwritten: all, or all that do not replace their source.
    began: when the run began, in nanoseconds of the clock of its files.
    folder: where relative names start.
    calls: pictures to compute at once. on_machine: the same for all workers of a machine.
    """

    load: dict[str, Any]
    model: str
    dials: EnhanceOptions
    force: bool
    resume: bool
    began: int | None
    place: Place
    folder: str
    calls: int
    on_machine: int


@dataclass(frozen=True)
class Task:
    """A picture to enhance.

    number: of the picture in the run.
    before: the state of its output when it was planned; None if there was none.
    size: bytes of its file; 0 if unknown.
    """

    number: int
    job: Job
    before: Stamp | None
    size: int


@dataclass(frozen=True)
class Report:
    """The outcome of a task.

    made_from: state to record; see `resume.made_from`.
    """

    number: int
    notes: list[str] = field(default_factory=list)
    error: Exception | None = None
    made_from: Stamp | None = None


@dataclass(frozen=True)
class Greeting:
    """A worker begins. error: why it cannot. worker: its name, unique in the run."""

    worker: str
    engine: str = ""
    why: str = ""
    error: Exception | None = None


@dataclass(frozen=True)
class Farewell:
    """A worker was asked to stop, and has nothing in progress any more."""

    worker: str


def chunks(tasks: list[Task], workers: int, most: int = MOST_TOGETHER) -> Iterator[list[Task]]:
    """Split tasks into what a worker is given together: less and less towards the end.

    So workers end together, and there are few chunks (guided self-scheduling, Polychronopoulos
    and Kuck, 1987).
    """
    begin = 0
    while begin < len(tasks):
        size = min(max((len(tasks) - begin) // (3 * workers), 1), most)
        yield tasks[begin : begin + size]
        begin += size


def packed(tasks: list[Task]) -> bytes:
    """Tasks as bytes: about 30 for each, since their names are alike."""
    return zlib.compress(pickle.dumps(tasks))


def unpacked(content: bytes) -> list[Task]:
    """The tasks that `packed` was given."""
    tasks: list[Task] = pickle.loads(zlib.decompress(content))
    return tasks
