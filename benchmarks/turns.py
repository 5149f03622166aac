"""Timing several actions in turns within one process, so that what drifts hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from hyperguide.bench.statistics import percentile, summary

Action = Callable[[], object]

_CALLS = 4  # of an action in a row
_FEWEST = 12  # of each


def in_turns(actions: Sequence[Action], seconds: float, fewest: int = _FEWEST) -> list[list[float]]:
    """The seconds that each call of each action took.

    An action is called some times in a row after one call that does not count: the threads of the
    one before go on waiting for work a while, and hold the cores. Every second turn goes backwards.

    seconds: no turn begins later. fewest: calls of each at least, that count.
    """
    taken: list[list[float]] = [[] for _ in actions]
    end = time.perf_counter() + seconds
    order = list(zip(actions, taken, strict=True))
    while time.perf_counter() < end or len(taken[0]) < fewest:
        order.reverse()
        for action, times in order:
            action()
            times += [seconds_of(action) for _ in range(_CALLS)]
    return taken


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """How many times as long the first action took: the median over the turns.

    one, other: of two actions, from `in_turns`. Within a turn the machine is as fast for both.
    """
    turns = zip(_turns(one), _turns(other), strict=True)
    return median(median(a) / median(b) for a, b in turns)


def undisturbed(taken: Sequence[float]) -> float:
    """What a call takes where nothing else runs: other work on the machine only ever adds time.

    Not the least one: a tenth of them may be lucky.
    """
    return float(np.quantile(taken, 0.1))


def figures_of(taken: Sequence[float], others: Sequence[float], against: str) -> dict[str, Any]:
    """What is told of calls in seconds, and of a reference's if there is one."""
    told = {f"{name}_ms": value for name, value in summary(taken).items() if name != "count"}
    if not others:
        return told
    return told | {
        "against": against,
        "against_p50_ms": 1000 * percentile(others, 50),
        "ratio": undisturbed(taken) / undisturbed(others),
        "against_data": list(others),
    }


def _turns(taken: Sequence[float]) -> list[Sequence[float]]:
    return [taken[first : first + _CALLS] for first in range(0, len(taken), _CALLS)]


def seconds_of(action: Action) -> float:
    """The time that a call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
