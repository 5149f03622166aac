"""What can be said of latencies: percentiles, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Two-sided quantile of the normal distribution at 95 %.
_NORMAL_95 = 1.96


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def uncertainty(values: Sequence[float]) -> float:
    """Half the width of the median's 95 % confidence interval, as a share of the median.

    By order statistics, which asks nothing of the distribution but that values do not depend on
    each other. Infinite for fewer than six values, of which no two bound the median so surely.
    """
    ordered = np.sort(values)
    count = len(ordered)
    reach = _NORMAL_95 * math.sqrt(count) / 2
    low, high = math.floor(count / 2 - reach), math.ceil(count / 2 + reach)
    if count < 6 or low < 0 or high >= count:
        return math.inf
    return float((ordered[high] - ordered[low]) / 2 / np.median(ordered))


def summary(values: Sequence[float]) -> dict[str, float]:
    """Latencies in milliseconds: p50, p90, p99, mean, least and most, and their count."""
    named = {f"p{percent}": percentile(values, percent) for percent in (50, 90, 99)}
    named |= {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}
    return {name: 1000 * value for name, value in named.items()} | {"count": len(values)}


def growth(latencies: Sequence[float], fps: float) -> float:
    """By how many seconds the latency grows with each second of frames at a rate.

    The slope of a straight line: 0 where the engine keeps up, above it what it falls behind.
    """
    if len(latencies) < 2:
        return 0.0
    due = np.arange(len(latencies)) / fps
    return float(np.polyfit(due, latencies, 1)[0])
