"""How benchmarks load an engine, against queues whose waiting times are known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from hyperguide.bench.clock import WallClock
from hyperguide.bench.load import Load, at_once, at_rate, joined, one_by_one
from hyperguide.bench.statistics import growth, percentile, summary, uncertainty


class _FakeClock:
    """A clock that stands still but when somebody waits or works."""

    def __init__(self) -> None:
        self.moment = 100.0

    def now(self) -> float:
        return self.moment

    def wait_until(self, moment: float) -> None:
        self.moment = max(self.moment, moment)


class _FakeEngine:
    """Takes a known time for each call."""

    def __init__(self, clock: _FakeClock, times: Sequence[float]) -> None:
        self._clock, self._times = clock, iter(times)

    def __call__(self) -> None:
        self._clock.moment += next(self._times)


def _waiting(times: Sequence[float], fps: float) -> list[float]:
    """Waiting and service of each frame in a queue with one server (Lindley, 1952)."""
    waited, latencies = 0.0, []
    for service in times:
        latencies.append(waited + service)
        waited = max(waited + service - 1 / fps, 0.0)
    return latencies


def _drawn(count: int, mean: float) -> list[float]:
    """Times that vary as those of a busy machine, some of them long."""
    return list(np.random.default_rng(0).gamma(2.0, mean / 2, count))


@pytest.mark.parametrize("share", [0.5, 0.9, 1.3])
def test_latency_at_a_rate_is_that_of_the_queue(share: float) -> None:
    fps = 50.0
    times = _drawn(500, share / fps)
    clock = _FakeClock()
    load = at_rate(_FakeEngine(clock, times), fps, 10, clock=clock)
    np.testing.assert_allclose(load.latencies, _waiting(times, fps), atol=1e-9)


def test_one_slow_call_delays_all_behind_it() -> None:
    """What a loop that waits for each answer would not show: it would ask less often."""
    times = [0.008] * 100
    times[50] = 0.1
    clock = _FakeClock()
    load = at_rate(_FakeEngine(clock, times), 100, 1, clock=clock)
    late = sum(latency > 0.0081 for latency in load.latencies)
    assert late == 46  # 2 ms are made up with each frame
    closed = one_by_one(_FakeEngine(clock, times), 0.88, clock)
    assert sum(latency > 0.0081 for latency in closed.latencies) == 1


def test_above_capacity_the_latency_grows() -> None:
    clock = _FakeClock()
    slow = at_rate(_FakeEngine(clock, [0.015] * 200), 100, 2, clock=clock)
    assert growth(slow.latencies, 100) == pytest.approx(0.5)
    assert slow.calls_per_second == pytest.approx(1 / 0.015)
    fast = at_rate(_FakeEngine(clock, [0.009] * 200), 100, 2, clock=clock)
    assert growth(fast.latencies, 100) == pytest.approx(0, abs=1e-9)
    assert fast.calls_per_second == pytest.approx(100, rel=1e-9)  # no more than come


def test_on_the_clock_on_the_wall_the_slowest_percent_is_that_of_the_queue() -> None:
    """Of work that takes as long as it does on a busy machine; stalls between calls may add."""
    fps, found = 100.0, []
    for _ in range(3):
        clock = WallClock()
        planned, took = iter(_drawn(300, 0.006)), []

        def call(
            planned: Iterator[float] = planned,
            took: list[float] = took,
            clock: WallClock = clock,
        ) -> None:
            began = clock.now()
            clock.wait_until(began + next(planned))
            took.append(clock.now() - began)

        load = at_rate(call, fps, 3.0)
        expected = percentile(_waiting(took, fps), 99)
        found.append(percentile(load.latencies, 99) / expected)
        if found[-1] == pytest.approx(1, rel=0.05):
            return
    pytest.fail(f"p99 is {found} times what it should be")


def test_two_servers_take_frames_in_turn() -> None:
    """Work of 15 ms each 10 ms is too much for one and not for two."""
    load = at_rate(lambda: time.sleep(0.015), 100, 0.5, servers=2)
    assert len(load.latencies) == 50
    assert percentile(load.latencies, 50) < 0.03
    assert growth(load.latencies, 100) < 0.1


def test_streams_run_side_by_side() -> None:
    inside, most = [0], [0]
    lock = threading.Lock()

    def call() -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.01)
        with lock:
            inside[0] -= 1

    load = at_once(call, 3, 0.2)
    assert most[0] == 3
    assert load.calls_per_second > 150
    assert 0.2 <= load.seconds < 0.4


def test_calls_that_fail_end_the_load() -> None:
    def call() -> None:
        raise ValueError("broken")

    for load in (
        lambda: one_by_one(call, 1),
        lambda: at_once(call, 2, 1),
        lambda: at_rate(call, 10, 1, servers=2),
        lambda: at_rate(call, 10, 1),
    ):
        with pytest.raises(ValueError, match="broken"):
            load()


def test_a_loop_runs_until_its_time_is_over_and_once_at_least() -> None:
    clock = _FakeClock()
    load = one_by_one(_FakeEngine(clock, [0.3] * 9), 1.0, clock)
    assert load.latencies == pytest.approx([0.3] * 4)
    assert load.seconds == pytest.approx(1.2)
    assert len(one_by_one(_FakeEngine(clock, [5.0]), 1.0, clock).latencies) == 1
    both = joined([Load((0.1, 0.2), 0.4), Load((0.3,), 0.6)])
    assert both == Load((0.1, 0.2, 0.3), 1.0)
    assert both.calls_per_second == 3


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(v) for v in np.random.default_rng(0).permutation(200)]
    assert percentile(values, 99) == np.percentile(values, 99, method="inverted_cdf") == 197
    assert (percentile(values, 0), percentile(values, 100)) == (0, 199)
    assert percentile([3.0], 50) == 3.0
    told = summary([0.001, 0.003, 0.002])
    assert told == pytest.approx(
        {"p50": 2, "p90": 3, "p99": 3, "mean": 2, "min": 1, "max": 3, "count": 3}
    )


def test_the_uncertainty_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    truth = np.log(2)  # the median of the exponential distribution
    for count in (10, 60):
        hits, rounds = 0, 400
        for _ in range(rounds):
            values = rng.exponential(1, count)
            ordered, middle = np.sort(values), np.median(values)
            reach = uncertainty(list(values)) * middle * 2
            # The width is that of the interval between two of the values.
            widths = ordered[None, :] - ordered[:, None]
            low, high = np.argwhere(np.isclose(widths, reach))[0]
            hits += ordered[low] <= truth <= ordered[high]
        assert hits / rounds > 0.93
    assert uncertainty([1.0] * 5) == np.inf
    assert uncertainty([2.0] * 50) == 0
