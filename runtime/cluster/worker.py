"""The actor: loads the model once, then reads, enhances and writes the pictures it is given."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from hyperguide.batch.files import Files, Stamp
from hyperguide.batch.jobs import Job
from hyperguide.batch.pipeline import Outcome, enhance_all, room_for
from hyperguide.batch.resume import in_place, made_from, written_since
from hyperguide.batch.work import Work
from hyperguide.enhancer import Enhancer, load
from hyperguide.errors import HyperguideError
from hyperguide.model_format.engine_file import digest
from hyperguide.storage.file_content import read_content

from .tasks import Farewell, Greeting, Orders, Report, Task, unpacked

# Columns of the tables that go to and from workers.
TASKS, REPORT = "tasks", "report"
# How often pictures are tried together, and then each by itself, if workers die of them.
_ATTEMPTS = 2


class Worker:
    """One process of the cluster; Ray Data calls it with a table of one row.

    roster: an actor of `Roster`.
    """

    def __init__(self, orders: Orders, roster: Any) -> None:
        self._orders, self._roster = orders, roster
        self._stop = _joined(roster)
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._greeting = Greeting(self._name)
        try:
            self._files, self._enhancer = _opened(orders)
        except Exception as error:  # which Ray would repeat, and print with its frames
            self._greeting = replace(self._greeting, error=portable(error))
        else:
            engine, why = self._enhancer.engine, self._enhancer.why
            self._greeting = replace(self._greeting, engine=engine, why=why)
        self._greeted = self._left = False

    def __call__(self, table: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """Yield a row for each picture of the packed tasks in `table`, in order."""
        for message in self._messages(unpacked(table[TASKS][0])):
            row = np.empty(1, object)
            row[0] = pickle.dumps(message)
            yield {REPORT: row}

    def _messages(self, tasks: list[Task]) -> Iterator[Greeting | Report | Farewell]:
        if not self._greeted:
            self._greeted = True
            yield self._greeting
        if self._greeting.error is None and self._may_begin(tasks):
            yield from self._reports(tasks)
        if self._stop.is_set() and not self._left:
            self._left = True
            yield Farewell(self._name)

    def _may_begin(self, tasks: list[Task]) -> bool:
        """Whether to enhance pictures: unless workers died of them, again and again.

        Ray gives them to another worker without end.
        """
        import ray

        return bool(ray.get(self._roster.begin.remote(tasks[0].number)) <= _ATTEMPTS)

    def _reports(self, tasks: list[Task]) -> Iterator[Report]:
        orders, record = self._orders, _Record(self._files)
        work = Work(self._enhancer, orders.dials, self._may_replace, self._files, record)
        sizes = {task.job: task.size for task in tasks}
        made: set[Job] = set()  # by a worker that died before it could report them

        def fresh() -> Iterator[Job]:
            for task in tasks:
                if _was_made(task, orders.began, self._files):
                    made.add(task.job)
                else:
                    yield task.job

        waiting = deque(tasks)

        def made_before(job: Job | None) -> Iterator[Report]:
            """Reports of the pictures made earlier, up to a job, whose task is taken away."""
            while waiting and waiting[0].job != job:
                task = waiting.popleft()
                if task.job in made:
                    state = self._files.stamp(task.job.source)
                    yield Report(task.number, made_from=state)

        room = room_for(orders.load["max_memory"]) * orders.calls // orders.on_machine
        outcomes = enhance_all(
            work, fresh(), orders.calls, room, self._stop.is_set, size_of=sizes.__getitem__
        )
        for outcome in outcomes:
            yield from made_before(outcome.job)
            yield _report(waiting.popleft().number, outcome, record)
        yield from made_before(None)

    def _may_replace(self, job: Job) -> bool:
        """Whether a job's files may be overwritten: as the user allows, and those of this run."""
        orders = self._orders
        if orders.force or (orders.resume and not in_place(job, self._files)):
            return True
        states = map(self._files.stamp, job.writes)
        began = orders.began
        return began is not None and all(state is None or state[1] >= began for state in states)


class _Record:
    """Keeps what the driver records; see `Records`."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._made: dict[Job, Stamp | None] = {}

    def add(self, job: Job, before: Stamp) -> None:
        """See `Records`."""
        self._made[job] = made_from(job, before, self._files)

    def pop(self, job: Job) -> Stamp | None:
        """The state to record for a job."""
        return self._made.pop(job, None)


def portable(error: Exception) -> Exception:
    """An error that other processes can unpickle, with the same message for the user."""
    if isinstance(error, HyperguideError):
        return type(error)(str(error))  # without its cause
    return HyperguideError(f"internal error, {type(error).__name__}: {error}")


def _opened(orders: Orders) -> tuple[Files, Enhancer]:
    """The files and the enhancer. Raises HyperguideError if they differ from the driver's."""
    if os.path.isdir(orders.folder):
        os.chdir(orders.folder)
    cv2.setNumThreads(max(orders.calls, 1))
    files = orders.place.open()
    enhancer = load(**orders.load, at_once=orders.on_machine, threads=1)
    if digest(read_content(enhancer.path, "model file")) != orders.model:
        raise HyperguideError(
            f"The model file {enhancer.path} of the machine {socket.gethostname()} is another one "
            "than that of the machine where the run was started: install the same version of "
            "hyperguide on both, or copy the file."
        )
    return files, enhancer


def _was_made(task: Task, began: int | None, files: Files) -> bool:
    """Whether the files of a task were written since it was planned."""
    if began is None or files.stamp(task.job.output) == task.before:
        return False
    return written_since(task.job, began, files)


def _report(number: int, outcome: Outcome, record: _Record) -> Report:
    error = None if outcome.error is None else portable(outcome.error)
    return Report(number, outcome.notes, error, record.pop(outcome.job))


def _joined(roster: Any) -> threading.Event:
    """Join the roster. Returns an event that is set as soon as the run is to stop."""
    import ray

    event, me = threading.Event(), ray.get_runtime_context().current_actor

    def watch() -> None:
        try:
            ray.get(roster.join.remote(me))
        except Exception:  # the run is over
            return
        event.set()

    threading.Thread(target=watch, daemon=True).start()
    return event
