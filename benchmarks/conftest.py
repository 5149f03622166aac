"""Fixtures of the suites, which time subjects in turns with a reference.

    python -m pytest benchmarks --benchmark-enable -m "not long"

Each benchmark's `extra_info` holds p50, p90 and p99 in milliseconds and, where it has a reference,
the ratio of both undisturbed times. With HYPERGUIDE_BENCH_SITTINGS=2 the whole suite runs twice in
sequence, because other work on the machine comes and goes within minutes and slows some benchmarks
more than others. `report.py` merges the sittings.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from figures import figures_of
from pytest_benchmark.fixture import BenchmarkFixture

from hyperguide.bench.clock import timed
from hyperguide.bench.subject import synthetic_frame

# Per benchmark and sitting, for subject and reference together.
_SECONDS = float(os.environ.get("HYPERGUIDE_BENCH_SECONDS", "5"))
_SITTINGS = int(os.environ.get("HYPERGUIDE_BENCH_SITTINGS", "1"))
_MOST_ROUNDS = 200

Action = Callable[[], Any]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: not part of the ten minutes of `make bench`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if _SITTINGS > 1 and "sitting" in metafunc.fixturenames:
        names = [f"sitting{number + 1}" for number in range(_SITTINGS)]
        metafunc.parametrize("sitting", names, scope="session")  # one sitting after the other


@pytest.fixture(scope="session")
def sitting() -> str:
    return "sitting1"


class InTurns:
    """Times a subject in turns with a reference."""

    def __init__(self, benchmark: BenchmarkFixture) -> None:
        self._benchmark = benchmark

    def __call__(
        self,
        subject: Action,
        reference: Action | None = None,
        *,
        group: str,
        against: str = "",
        warm: bool = True,
        fewest: int = 3,
        **facts: object,
    ) -> Any:
        """Time `subject` and return its result.

        group: benchmarks that a page shows together. against: what the reference is.
        warm: whether an untimed call is made right before each timed one: idle threads of the
            other side hold the cores for a moment after its call.
        fewest: minimum rounds, however long they take.
        facts: for `extra_info`.
        """
        benchmark = self._benchmark
        benchmark.group = group
        if benchmark.disabled:
            return benchmark(subject)
        others: list[float] = []

        def before() -> None:
            if reference is not None:
                if warm:
                    reference()
                others.append(timed(reference)[1])
            if warm:
                subject()

        before()
        cost = others[-1] if others else 0.0
        cost = (1 + warm) * (cost + timed(subject)[1])
        others.clear()
        rounds = int(np.clip(_SECONDS / cost, fewest, _MOST_ROUNDS))
        result = benchmark.pedantic(subject, setup=before, rounds=rounds)
        assert benchmark.stats is not None
        benchmark.extra_info |= figures_of(benchmark.stats.stats.data, others, against) | facts
        return result


@pytest.fixture
def in_turns(benchmark: BenchmarkFixture, sitting: str) -> InTurns:
    return InTurns(benchmark)


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A synthetic frame of 1920x1080, RGB bytes."""
    return synthetic_frame()


def resized(photo: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
    frame = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    return frame if channels == 3 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
