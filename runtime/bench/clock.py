"""The time that benchmarks go by, and the threads that live in it; tests bring their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol, TypeVar

Value = TypeVar("Value")

# The system wakes a sleeper so much late; the rest is waited for awake.
_OVERSLEPT = 0.001


class Clock(Protocol):
    """Seconds since some moment."""

    def now(self) -> float:
        """The present moment."""
        ...

    def wait_until(self, moment: float) -> None:
        """Return at a moment, or at once if it is over."""
        ...

    def threads(self, number: int) -> Executor:
        """So many threads that go by this clock, for as many pieces of work."""
        ...


class WallClock:
    """The clock on the wall."""

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
    """What a call returns, and the seconds that it took."""
    clock = clock or WallClock()
    began = clock.now()
    value = call()
    return value, clock.now() - began
