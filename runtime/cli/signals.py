"""Turns Ctrl-C and SIGTERM into a wish to end, so that what is in progress is finished."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds within which two signals are one.
_TOGETHER = 0.3


@contextmanager
def stops(clock: Callable[[], float] = time.monotonic) -> Iterator[list[int]]:
    """A list that Ctrl-C and SIGTERM append to; the second signal ends the run at once.

    A second one that comes together with the first is the same: `timeout`, and terminals whose
    shell is ending, send it to the process and to its group.
    """
    caught: list[int] = []
    first = 0.0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not caught:
            first = clock()
            caught.append(number)
        elif clock() - first > _TOGETHER:
            raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {n: signal.getsignal(n) for n in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:  # nohup, background jobs
            signal.signal(number, stop)
    try:
        yield caught
    finally:
        for number in numbers:
            signal.signal(number, before[number])
