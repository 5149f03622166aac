"""Times several calls in turns within one process, so that drift affects all of them alike."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from .clock import Clock, WallClock, timed
from .load import Call

_CALLS = 4  # of the same kind in a row
_FEWEST = 12  # of each kind


def in_turns(
    calls: Sequence[Call], seconds: float, fewest: int = _FEWEST, clock: Clock | None = None
) -> list[list[float]]:
    """The seconds that each of several calls took, each time.

    In a turn each call is made several times in a row, after one untimed call: the threads of the
    previous call keep waiting for work for a while, and hold the cores. Every second turn runs in
    reverse order.

    seconds: no turn begins later. fewest: minimum timed calls of each.
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
    """The ratio of the first call's time to the second's: the median over the turns.

    one, other: times from `in_turns`. Within a turn the machine is equally fast for both.
    """
    turns = zip(_turns(one), _turns(other), strict=True)
    return median(median(a) / median(b) for a, b in turns)


def undisturbed(taken: Sequence[float]) -> float:
    """The time of a call when nothing else runs: other work on the machine only adds time.

    The 10 % quantile, not the minimum: a tenth of the times may be lucky.
    """
    return float(np.quantile(taken, 0.1))


def _turns(taken: Sequence[float]) -> list[Sequence[float]]:
    return [taken[first : first + _CALLS] for first in range(0, len(taken), _CALLS)]
