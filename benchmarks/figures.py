"""The figures that the suites report about timed calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hyperguide.bench.statistics import percentile, summary
from hyperguide.bench.turns import undisturbed


def figures_of(taken: Sequence[float], others: Sequence[float], against: str) -> dict[str, Any]:
    """The figures of calls that took `taken` seconds, and of a reference's if given."""
    told = {f"{name}_ms": value for name, value in summary(taken).items() if name != "count"}
    if not others:
        return told
    return told | {
        "against": against,
        "against_p50_ms": 1000 * percentile(others, 50),
        "ratio": undisturbed(taken) / undisturbed(others),
        "against_data": list(others),
    }
