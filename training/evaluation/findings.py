"""What means hide: the worst picture, the share of harmed ones, the accuracy of the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .measure import Measurement

# A picture is harmed if its PSNR drops by more than this, dB.
HARM = 0.2
# For pictures with nothing to remove: at this PSNR, dB, no change is visible.
UNHARMED = 38.0
# A map is true if its level is at most this factor too high or too low.
TRUE_WITHIN = 1.5


@dataclass(frozen=True)
class Findings:
    """Findings on the pictures of a level; None where not applicable.

    least_gain: lowest gain of a picture, output minus input PSNR, dB.
    harmed: share of the pictures that lose more than HARM.
    unharmed, lowest: for pictures with nothing to remove, the share with an output PSNR of at least
        UNHARMED dB, and the lowest PSNR.
    part_error, worst_part: in suites that look at parts of each picture, such as text, the mean
        absolute error of its worst part in levels of 8 bits, on average and at most.
    map_ratio: median ratio of the predicted map's level to the true one's.
    map_true: share of the pictures where that ratio is within a factor of TRUE_WITHIN.
    """

    least_gain: float | None = None
    harmed: float | None = None
    unharmed: float | None = None
    lowest: float | None = None
    part_error: float | None = None
    worst_part: float | None = None
    map_ratio: float | None = None
    map_true: float | None = None


def find(measurements: Sequence[Measurement]) -> Findings:
    """Compute the findings on some pictures."""
    outputs = np.array([m.output.psnr for m in measurements])
    inputs = np.array([m.input.psnr for m in measurements])
    degraded = np.isfinite(inputs)
    gains = outputs[degraded] - inputs[degraded]
    intact = outputs[~degraded]
    ratios = np.array([m.map_ratio for m in measurements if m.map_ratio is not None])
    parts = [m.part_error for m in measurements if m.part_error is not None]
    is_true = (ratios <= TRUE_WITHIN) & (ratios * TRUE_WITHIN >= 1)
    return Findings(
        least_gain=float(gains.min()) if gains.size else None,
        harmed=float((gains < -HARM).mean()) if gains.size else None,
        unharmed=float((intact >= UNHARMED).mean()) if intact.size else None,
        lowest=float(intact.min()) if intact.size else None,
        part_error=float(np.mean(parts)) if parts else None,
        worst_part=max(parts, default=None),
        map_ratio=float(np.median(ratios)) if ratios.size else None,
        map_true=float(is_true.mean()) if ratios.size else None,
    )
