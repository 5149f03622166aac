"""How benchmarks load an engine, compared with queues of known waiting times."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from fake_clock import FakeClock
from hyperguide.bench import clock as clocks
from hyperguide.bench.clock import WallClock
from hyperguide.bench.load import Load, at_once, at_rate, joined, one_by_one
from hyperguide.bench.statistics import growth, percentile, summary, uncertainty


class _FakeEngine:
    """Each call takes a known time."""

    def __init__(self, clock: FakeClock, times: Sequence[float]) -> None:
        self._clock, self._times = clock, iter(times)

    def __call__(self) -> None:
        self._clock.work(next(self._times))


def _waiting(times: Sequence[float], fps: float, servers: int = 1) -> list[float]:
    """Latency of each frame in a queue (Lindley, 1952; Kiefer and Wolfowitz, 1955)."""
    left, latencies = np.zeros(servers), []  # until each server is free
    for service in times:
        latencies.append(float(left[0] + service))
        left[0] += service
        left = np.sort(np.maximum(left - 1 / fps, 0))
    return latencies


def _drawn(count: int, mean: float) -> list[float]:
    """Times that vary like those of a busy machine, with a few long ones."""
    return list(np.random.default_rng(0).gamma(2.0, mean / 2, count))


@pytest.mark.parametrize("servers", [1, 2, 3])
@pytest.mark.parametrize("share", [0.5, 0.9, 1.3])
def test_latency_at_a_rate_is_that_of_the_queue(share: float, servers: int) -> None:
    fps = 50.0
    times = _drawn(500, servers * share / fps)
    clock = FakeClock()
    load = at_rate(_FakeEngine(clock, times), fps, 10, servers, clock)
    np.testing.assert_allclose(load.latencies, _waiting(times, fps, servers), atol=1e-9)
    assert percentile(load.latencies, 99) == pytest.approx(
        np.percentile(_waiting(times, fps, servers), 99, method="inverted_cdf")
    )


def test_one_slow_call_delays_all_behind_it() -> None:
    """A loop that waits for each answer would not show this, because it would ask less often."""
    times = [0.008] * 100
    times[50] = 0.1
    clock = FakeClock()
    load = at_rate(_FakeEngine(clock, times), 100, 1, clock=clock)
    late = sum(latency > 0.0081 for latency in load.latencies)
    assert late == 46  # each frame makes up for 2 ms
    closed = one_by_one(_FakeEngine(clock, times), 0.88, clock)
    assert sum(latency > 0.0081 for latency in closed.latencies) == 1


def test_above_capacity_the_latency_grows() -> None:
    clock = FakeClock()
    slow = at_rate(_FakeEngine(clock, [0.015] * 200), 100, 2, clock=clock)
    assert growth(slow.latencies, 100) == pytest.approx(0.5)
    assert slow.calls_per_second == pytest.approx(1 / 0.015)
    fast = at_rate(_FakeEngine(clock, [0.009] * 200), 100, 2, clock=clock)
    assert growth(fast.latencies, 100) == pytest.approx(0, abs=1e-9)
    assert fast.calls_per_second == pytest.approx(100, rel=1e-9)  # no more than arrive


def test_the_wall_clock_never_wakes_early_and_sleeps_nearly_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sleeping ends a little late, and each look at the clock takes a little time."""
    moment, slept = [5.0], []

    def look() -> float:
        moment[0] += 1e-5
        return moment[0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        moment[0] += seconds + 0.0003

    monkeypatch.setattr(clocks, "time", SimpleNamespace(perf_counter=look, sleep=sleep))
    clock = WallClock()
    clock.wait_until(6.0)
    assert 6.0 <= clock.now() < 6.0001
    assert slept == [pytest.approx(1.0, abs=0.002)]
    clock.wait_until(5.5)  # already over
    clock.wait_until(clock.now() + 0.0005)  # too short to sleep
    assert len(slept) == 1


def test_two_servers_take_frames_in_turn() -> None:
    """15 ms of work every 10 ms is too much for one server, but not for two."""
    clock = FakeClock()
    load = at_rate(lambda: clock.work(0.015), 100, 0.5, 2, clock)
    assert load.latencies == pytest.approx([0.015] * 50)
    assert growth(load.latencies, 100) == pytest.approx(0, abs=1e-9)
    assert load.seconds == pytest.approx(0.49 + 0.015)


def test_streams_run_side_by_side() -> None:
    inside, most = [0], [0]
    clock = FakeClock()

    def call() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        clock.work(0.01)
        inside[0] -= 1

    load = at_once(call, 3, 0.195, clock)
    assert most[0] == 3
    assert len(load.latencies) == 3 * 20
    assert load.seconds == pytest.approx(0.2)
    assert load.calls_per_second == pytest.approx(300)


def test_calls_that_fail_end_the_load() -> None:
    def call() -> None:
        raise ValueError("broken")

    clock = FakeClock()
    for load in (
        lambda: one_by_one(call, 1, clock),
        lambda: at_once(call, 2, 1, clock),
        lambda: at_rate(call, 10, 1, 2, clock),
        lambda: at_rate(call, 10, 1, 1, clock),
    ):
        with pytest.raises(ValueError, match="broken"):
            load()


def test_a_closed_loop_runs_until_its_time_is_over_and_once_at_least() -> None:
    clock = FakeClock()
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
