"""Processes that compute the items of a plan ahead, and what happens if one is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Any

import pytest
import torch
from torch import Tensor

from hyperguide.training.data.workers import WorkerError, Workers

pytestmark = pytest.mark.alone

LARGE = 10 << 20  # more than a pipe holds


def nothing() -> None:
    pass


def workers_of(
    compute: Callable[[int], Any], plan: Iterable[int] | None = None, number: int = 2
) -> Workers[int, Any]:
    return Workers(compute, count() if plan is None else plan, number, nothing)


def test_results_come_in_the_plan_s_order() -> None:
    workers = workers_of(lambda n: (n, os.getpid()), range(7), 3)
    results = list(workers)
    assert [n for n, _ in results] == list(range(7))
    assert len({pid for _, pid in results}) == 3
    workers.close()
    assert not multiprocessing.active_children()


def test_the_plan_is_read_two_items_ahead_of_each_process() -> None:
    taken = []

    def plan() -> Iterator[int]:
        for n in count():
            taken.append(n)
            yield n

    workers = workers_of(lambda n: n, plan(), 2)
    assert len(taken) == 4
    assert next(workers) == 0
    assert len(taken) == 5
    workers.close()


def test_tensors_of_workers_arrive_unchanged_and_may_be_written() -> None:
    def compute(n: int) -> tuple[Tensor, Tensor | None]:
        return torch.arange(12.0).reshape(3, 4).t() + n, None

    workers = workers_of(compute)
    tensor, none = next(workers)
    assert none is None
    assert torch.equal(tensor, torch.arange(12.0).reshape(3, 4).t())
    tensor += 1
    workers.close()


def test_an_error_of_a_worker_is_raised_with_its_traceback() -> None:
    def compute(n: int) -> int:
        return 6 // (n - 2)

    workers = workers_of(compute)
    assert list(islice(workers, 2)) == [-3, -6]
    with pytest.raises(ZeroDivisionError) as raised:
        next(workers)
    assert "6 // (n - 2)" in raised.value.__notes__[0]
    workers.close()


@pytest.mark.parametrize("when", ["computing", "handing over", "done"])
def test_a_worker_may_be_killed_at_any_moment(when: str) -> None:
    began, beginning = multiprocessing.Pipe(duplex=False)

    def compute(n: int) -> bytes:
        beginning.send(os.getpid())
        if when == "computing":
            signal.pause()
        return bytes(LARGE if when == "handing over" else 1)

    workers = workers_of(compute)
    victim = workers.processes[0].pid
    assert victim is not None
    while began.recv() != victim:
        pass
    if when != "computing":
        workers._pipes[0].poll(None)  # the first bytes of a result have arrived
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        list(workers)
    workers.close()
    assert not multiprocessing.active_children()


def test_a_worker_that_ends_by_itself_is_told_by_its_exit_code() -> None:
    workers = workers_of(lambda n: os._exit(3))
    with pytest.raises(WorkerError, match="code 3"):
        next(workers)
    workers.close()
