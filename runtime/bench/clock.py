"""The clock and threads that benchmarks use; tests replace them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol, TypeVar

Value = TypeVar("Value")

# Seconds that a sleep may take too long; the wait ends with a busy loop of this length.
_OVERSLEPT = 0.001


class Clock(Protocol):
    """A clock that counts seconds from some moment."""

    def now(self) -> float:
        """The current time."""
        ...

    def wait_until(self, moment: float) -> None:
        """Wait until a moment; return at once if it has passed."""
        ...

    def threads(self, number: int) -> Executor:
        """An executor with `number` threads on this clock, for as many tasks."""
        ...


class WallClock:
    """The real clock."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.perf_counter()

    def wait_until(self, moment: float) -> None:
        """See `Clock.wait_until`."""
        left = moment - time.perf_counter()
        if left > _OVERSLEPT:
            time.sleep(left - _OVERSLEPT)
        while time.perf_counter() < moment:
            pass

    def threads(self, number: int) -> Executor:
        """See `Clock.threads`."""
        return ThreadPoolExecutor(number)


def timed(call: Callable[[], Value], clock: Clock | None = None) -> tuple[Value, float]:
    """The result of a call, and the seconds that it took."""
    clock = clock or WallClock()
    began = clock.now()
    value = call()
    return value, clock.now() - began
