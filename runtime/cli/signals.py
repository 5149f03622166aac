"""Turns Ctrl-C and SIGTERM into a wish to end, so that what is in progress is finished."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stops() -> Iterator[list[int]]:
    """A list that Ctrl-C and SIGTERM append to; the second signal ends the run at once."""
    caught: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

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
