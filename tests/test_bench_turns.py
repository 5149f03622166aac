"""Timing in turns, on a clock with known times."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fake_clock import FakeClock
from hyperguide.bench.clock import timed
from hyperguide.bench.turns import in_turns, ratio, undisturbed


def _call(clock: FakeClock, log: list[str], name: str, seconds: float) -> Callable[[], str]:
    """A call that takes twice as long if the previous call was a different one."""

    def call() -> str:
        clock.work(seconds if log and log[-1] == name else 2 * seconds)
        log.append(name)
        return name

    return call


def test_a_timed_call_returns_its_result_and_its_seconds() -> None:
    clock = FakeClock()
    assert timed(_call(clock, [], "a", 0.5), clock) == ("a", pytest.approx(1.0))


def test_calls_take_turns_and_the_first_of_a_row_does_not_count() -> None:
    clock, log = FakeClock(), list[str]()
    calls = [_call(clock, log, name, seconds) for name, seconds in (("a", 0.25), ("b", 0.5))]
    one, other = in_turns(calls, seconds=0, fewest=8, clock=clock)
    assert "".join(log) == "bbbbb" + "aaaaa" + "aaaaa" + "bbbbb"  # every second turn is reversed
    assert one == pytest.approx([0.25] * 8)
    assert other == pytest.approx([0.5] * 8)


def test_no_turn_begins_after_the_seconds() -> None:
    clock = FakeClock()
    (taken,) = in_turns([lambda: clock.work(1)], seconds=11, fewest=1, clock=clock)
    assert len(taken) == 12  # three turns of five calls, of which four count


def test_the_ratio_is_that_within_turns() -> None:
    """If the machine is three times as slow for a while, both are."""
    one, other = [0.2] * 4 + [0.6] * 4 + [0.2] * 4, [0.1] * 4 + [0.3] * 4 + [0.1] * 4
    assert ratio(one, other) == pytest.approx(2)
    disturbed = [0.2] * 4 + [0.2, 9.0, 0.2, 0.2] + [5.0] * 4
    assert ratio(disturbed, [0.1] * 12) == pytest.approx(2)
    with pytest.raises(ValueError, match="shorter"):
        ratio(one, other[:8])


def test_other_work_on_the_machine_does_not_count() -> None:
    assert undisturbed([0.01] + [0.1] * 29 + [0.5] * 70) == pytest.approx(0.1)
