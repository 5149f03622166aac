"""Timing several calls in turns within one process, so that what drifts hits all alike."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from .clock import Clock, WallClock, timed
from .load import Call

_CALLS = 4  # of one in a row
_FEWEST = 12  # of each


def in_turns(
    calls: Sequence[Call], seconds: float, fewest: int = _FEWEST, clock: Clock | None = None
) -> list[list[float]]:
    """The seconds that each of several calls took, each time.

    In a turn each is made some times in a row after one time that does not count: the threads of
    the one before go on waiting for work a while, and hold the cores. Every second turn goes
    backwards.

    seconds: no turn begins later. fewest: times at least, of each, that count.
    """
    clock = clock or WallClock()
    taken: list[list[float]] = [[] for _ in calls]
    end = clock.now() + seconds
    order = list(zip(calls, taken, strict=True))
    while clock.now() < end or len(taken[0]) < fewest:
        order.reverse()
        for call, times in order:
            call()
            times += [timed(call, clock)[1] for _ in range(_CALLS)]
    return taken


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """How many times as long the first call took: the median over the turns.

    one, other: of two calls, from `in_turns`. Within a turn the machine is as fast for both.
    """
    turns = zip(_turns(one), _turns(other), strict=True)
    return median(median(a) / median(b) for a, b in turns)


def undisturbed(taken: Sequence[float]) -> float:
    """What a call takes where nothing else runs: other work on the machine only ever adds time.

    Not the least one: a tenth of them may be lucky.
    """
    return float(np.quantile(taken, 0.1))


def _turns(taken: Sequence[float]) -> list[Sequence[float]]:
    return [taken[first : first + _CALLS] for first in range(0, len(taken), _CALLS)]
