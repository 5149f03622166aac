"""Statistics of latencies: percentiles, and their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Two-sided quantile of the normal distribution at 95 %.
_NORMAL_95 = 1.96


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` % of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def uncertainty(values: Sequence[float]) -> float:
    """Half the width of the median's 95 % confidence interval, as a share of the median.

    From order statistics, which assume only that values are independent. Infinite for fewer than
    six values, of which no two bound the median with that confidence.
    """
    ordered = np.sort(values)
    count = len(ordered)
    reach = _NORMAL_95 * math.sqrt(count) / 2
    low, high = math.floor(count / 2 - reach), math.ceil(count / 2 + reach)
    if count < 6 or low < 0 or high >= count:
        return math.inf
    return float((ordered[high] - ordered[low]) / 2 / np.median(ordered))


def summary(values: Sequence[float]) -> dict[str, float]:
    """Latencies in milliseconds: p50, p90, p99, mean, minimum, maximum, and their count."""
    named = {f"p{percent}": percentile(values, percent) for percent in (50, 90, 99)}
    named |= {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}
    return {name: 1000 * value for name, value in named.items()} | {"count": len(values)}


def growth(latencies: Sequence[float], fps: float) -> float:
    """Seconds by which the latency grows with each second of frames at a fixed rate.

    The slope of a fitted line: 0 if the engine keeps up, positive if it falls behind.
    """
    if len(latencies) < 2:
        return 0.0
    due = np.arange(len(latencies)) / fps
    return float(np.polyfit(due, latencies, 1)[0])
