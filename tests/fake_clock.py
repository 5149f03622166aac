"""A clock that advances only when every thread that uses it waits, and its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from heapq import heappop, heappush
from itertools import count
from typing import Any


class FakeClock:
    """A fake `hyperguide.bench.clock.Clock`.

    When no thread is running, time jumps to the next moment that a thread waits for. Waiting
    threads resume one at a time, so that the result does not depend on the system's scheduler.
    """

    def __init__(self, moment: float = 100.0) -> None:
        self._moment = moment
        self._running = 1  # the thread that made the clock
        self._waiting: list[tuple[float, int]] = []  # a heap of moments, each with its order
        self._orders = count()
        self._changed = threading.Condition()
        self._gone_on: set[int] = set()

    def now(self) -> float:
        return self._moment

    def wait_until(self, moment: float) -> None:
        with self._changed:
            order = next(self._orders)
            heappush(self._waiting, (max(moment, self._moment), order))
            self._count(-1)
            self._changed.wait_for(lambda: order in self._gone_on)
            self._gone_on.remove(order)

    def work(self, seconds: float) -> None:
        """Spend a given time."""
        self.wait_until(self._moment + seconds)

    def threads(self, number: int) -> Executor:
        return _Threads(self, number)

    def _count(self, change: int) -> None:
        """Change the number of running threads; the caller holds the lock."""
        self._running += change
        if self._running == 0 and self._waiting:
            self._moment, order = heappop(self._waiting)
            self._gone_on.add(order)
            self._running = 1
            self._changed.notify_all()

    def count(self, change: int) -> None:
        """Change the number of running threads."""
        with self._changed:
            self._count(change)


class _Threads(ThreadPoolExecutor):
    """One thread for each piece of work; the caller only waits for them."""

    def __init__(self, clock: FakeClock, number: int) -> None:
        super().__init__(number)
        self._clock, self._number = clock, number

    def __enter__(self) -> _Threads:
        self._clock.count(self._number - 1)
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._clock.count(1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def run() -> Any:
            try:
                return fn(*args, **kwargs)
            finally:
                self._clock.count(-1)

        return super().submit(run)
