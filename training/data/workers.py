"""Computes a function of a plan's items ahead of time in background processes, in order.

Each process has its own pipe and shares no lock, so that a killed process, whatever it was doing,
blocks nobody. torch's DataLoader shares an event and a queue.
"""

from __future__ import annotations

import copyreg
import gc
import io
import multiprocessing
import pickle
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

import cv2
import torch
from torch import Tensor

from hyperguide.errors import HyperguideError

Item = TypeVar("Item")
Result = TypeVar("Result")

_STOPS = (signal.SIGINT, signal.SIGTERM)
_AHEAD = 2  # items queued for each process


class WorkerError(Exception):
    """A process ended unexpectedly; the message names the signal or the exit code."""


class Workers(Generic[Item, Result]):
    """An iterator over compute(item) for the items of a plan.

    Closing, garbage collection and the end of the program end the processes; they also exit if
    their parent is killed.

    compute: takes an item; item and result must be picklable. On Linux the processes are forked,
        elsewhere `compute` must be picklable too.
    plan: may be infinite; it is read some items ahead.
    count: processes, at least 1.
    begin: called once in each process, before its first item.
    Iterating raises what `compute` raised, and WorkerError if a process was killed.
    """

    def __init__(
        self,
        compute: Callable[[Item], Result],
        plan: Iterable[Item],
        count: int,
        begin: Callable[[], None],
    ) -> None:
        # Only forked processes share existing memory. Forking is not safe outside Linux.
        forked = sys.platform == "linux"
        context: Any = multiprocessing.get_context("fork" if forked else "spawn")
        self._plan = iter(plan)
        self.processes: list[BaseProcess] = []
        self._pipes: list[Connection] = []
        self._asked: deque[int] = deque()  # the worker of each pending item
        self._end = Finalize(self, _end, (self.processes, self._pipes), exitpriority=1)
        with _interrupts_held(), _garbage_kept():
            for _ in range(count):
                ours, theirs = context.Pipe()
                self._pipes.append(ours)
                inherited = list(self._pipes) if forked else []
                process = context.Process(
                    target=_work, args=(theirs, inherited, compute, begin), daemon=True
                )
                process.start()
                theirs.close()
                self.processes.append(process)
        for _ in range(_AHEAD):
            for worker in range(count):
                self._ask(worker)

    def _ask(self, worker: int) -> None:
        for item in self._plan:
            with suppress(OSError):  # killed, which is detected when its result is due
                self._pipes[worker].send_bytes(_pickled(item))
            self._asked.append(worker)
            break

    def __iter__(self) -> Iterator[Result]:
        return self

    def __next__(self) -> Result:
        if not self._asked:
            raise StopIteration
        worker = self._asked.popleft()
        try:
            message = self._pipes[worker].recv_bytes()
        except (EOFError, OSError):
            raise WorkerError(_cause(self.processes[worker])) from None
        self._ask(worker)
        result, error = pickle.loads(message)
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End the processes; nothing more is computed."""
        self._asked.clear()
        self._end()


def _cause(process: BaseProcess) -> str:
    """Why the process of a closed pipe ended: the signal or the exit code."""
    process.join()
    code = process.exitcode or 0
    return signal.Signals(-code).name if code < 0 else f"code {code}"


def _end(processes: list[BaseProcess], pipes: list[Connection]) -> None:
    for process in processes:
        process.kill()  # it has nothing to save
    for process in processes:
        process.join()
    for pipe in pipes:
        pipe.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM meanwhile; processes started in it block them permanently.

    They may reach the whole process group, but only the parent handles them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Keep processes started meanwhile from garbage-collecting what they inherit.

    That may include engines whose threads were not forked: destroying these would wait for them.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _work(
    pipe: Connection,
    inherited: list[Connection],
    compute: Callable[[Item], Result],
    begin: Callable[[], None],
) -> None:
    """The main function of a process: answers each item on the pipe until its other end closes."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    for end in inherited:
        end.close()  # while open here, the parent's death would not close the pipes
    torch.set_num_threads(1)
    cv2.setNumThreads(0)  # OpenCV's threads do not survive a fork, and it would wait for them
    begin()
    while True:
        try:
            item = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            message = _pickled((compute(item), None))
        except Exception as error:
            if not isinstance(error, HyperguideError):
                error.add_note("".join(traceback.format_exception(error)))
            message = _pickled((None, error))
        try:
            pipe.send_bytes(message)
        except OSError:
            return


class _Pickler(pickle.Pickler):
    """Pickles tensors as arrays, because torch's own pickling opens an archive for each."""

    dispatch_table = copyreg.dispatch_table | {
        Tensor: lambda tensor: (torch.from_numpy, (tensor.numpy(),))
    }


def _pickled(message: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=5).dump(message)
    return file.getvalue()
