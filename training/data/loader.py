"""Batches of a plan in its order, drawn ahead by background processes."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from hyperguide.errors import HyperguideError

from ..preset import Stage
from .batches import Batch, Data, Stream

Draw = tuple[Stream, int, Stage]
"""What `Data.draw` needs to know of one batch: stream, number, stage."""

_STOPS = (signal.SIGINT, signal.SIGTERM)
_DEATH_SECONDS = 5.0  # longest that a killed process takes to be gone
_AHEAD = 2  # batches that each worker prepares in advance


class Loader:
    """An iterator over the batches of a plan, to be used in a `with`.

    The batches do not depend on `workers`. Closing, an exception, Ctrl-C and garbage collection
    end the workers; those of a parent that was killed notice it and end by themselves. A worker
    that was killed is an error, which can come in the middle of anything that is done in the
    `with`.

    plan: may be endless; workers are some batches ahead in it.
    workers: background processes; 0 draws in this one, as does a process that has used OpenVINO:
        forked from beside its threads, workers compute NaN or crash.
    seed, shard: see `Data.draw`.
    """

    def __init__(
        self,
        data: Data,
        plan: Iterable[Draw],
        workers: int = 0,
        *,
        seed: int,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._data = data
        draws = _Draws(data, seed, shard)
        self._workers: Any = None  # Any: DataLoader's iterator closes by a private method
        self._processes: list[BaseProcess] = []
        self._batches: Iterator[Batch | HyperguideError] = map(draws.__getitem__, plan)
        if workers and "openvino" not in sys.modules:
            self._workers = self._batches = _start(draws, plan, workers)
            self._processes = list(self._workers._workers)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next batch. Raises HyperguideError as `Data.draw` does, from a worker too."""
        try:
            drawn = next(self._batches)
            if isinstance(drawn, HyperguideError):
                raise drawn
            return self._data.absorb(drawn) if self._workers is not None else drawn
        except BaseException as error:
            self._end(error)
            raise

    def close(self) -> None:
        """End the workers; nothing is drawn any more."""
        if self._workers is not None:
            # Its finalizer would do so, but not while a traceback refers to it.
            self._workers._shutdown_workers()
            for process in self._processes:
                if process.is_alive():
                    process.kill()  # hangs, and ignores that it was asked to end
        self._batches = iter(())

    def _end(self, error: BaseException | None) -> None:
        """Close; raise HyperguideError where the error is that a worker was killed."""
        # DataLoader finds out in the middle of whatever it does; what it raises depends on that.
        if isinstance(error, EOFError | OSError):  # its end of the pipe is closed before it is dead
            wait([process.sentinel for process in self._processes], _DEATH_SECONDS)
        codes = [process.exitcode for process in self._processes]  # unless asked, they only wait
        self.close()
        killed = [code for code in codes if code]
        if killed and isinstance(error, RuntimeError | EOFError | OSError):
            cause = signal.Signals(-killed[0]).name if killed[0] < 0 else f"code {killed[0]}"
            raise HyperguideError(
                f"A background process that prepares batches was ended ({cause}), as systems do "
                "where memory is short: go on with --resume, fewer --workers or a smaller --cache."
            ) from error

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)


class _Draws(Dataset[Any]):
    """A data set whose index is an item of the plan."""

    def __init__(self, data: Data, seed: int, shard: tuple[int, int]) -> None:
        self.data, self._seed, self._shard = data, seed, shard

    def __getitem__(self, item: Draw) -> Batch | HyperguideError:
        stream, number, stage = item
        try:
            return self.data.draw(stream, number, stage, self._seed, self._shard)
        except HyperguideError as error:
            # Returned, for DataLoader would put a traceback into the message of a raised one.
            return error


def _start(draws: _Draws, plan: Iterable[Draw], workers: int) -> Iterator[Any]:
    # Only forked processes share what is decoded. Elsewhere than on Linux forking is not safe.
    forked = sys.platform == "linux"
    if forked:
        draws.data.decode_all()
    loader: DataLoader[Any] = DataLoader(
        draws,
        sampler=plan,  # its items reach the workers as they are
        batch_size=None,
        num_workers=workers,
        collate_fn=_unchanged,
        worker_init_fn=partial(_begin, os.getpid()),
        multiprocessing_context="fork" if forked else "spawn",
        prefetch_factor=_AHEAD,
        generator=torch.Generator(),  # leaves the global one alone
    )
    with _interrupts_held(), _garbage_kept():
        return iter(loader)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back meanwhile; processes started in it hold them back for good.

    They may reach the whole process group, but what they mean is the parent's business.
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
    """Keep processes started meanwhile from collecting what they inherit.

    It may hold engines whose threads did not come along: destroying them would wait for those.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _unchanged(batch: Any) -> Any:
    return batch


def _begin(parent: int, worker: int) -> None:
    """Set up a worker."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    if os.getppid() != parent:
        os._exit(1)  # DataLoader's watch over the parent begins only now
    torch.set_num_threads(1)
    cv2.setNumThreads(0)  # OpenCV's threads do not survive a fork, and it would wait for them
    info = get_worker_info()
    assert info is not None
    assert isinstance(info.dataset, _Draws)
    info.dataset.data.photos.share_bound(info.num_workers)
