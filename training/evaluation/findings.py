"""What means hide: the picture that loses most, the ones that are harmed, how true the maps are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .measure import Measurement

# A picture is harmed that comes out so much worse than it was, dB.
HARM = 0.2
# Where nothing is to be removed: at so many dB nobody sees a change.
UNHARMED = 38.0
# A map is true whose level is at most so many times too high or too low.
TRUE_WITHIN = 1.5


@dataclass(frozen=True)
class Findings:
    """Of the pictures of a level; None where they do not say it.

    least_gain: output less input, dB, of the picture where that is least.
    harmed: share of the pictures that lose more than HARM.
    unharmed, lowest: of pictures with nothing to remove, the share that comes back at UNHARMED dB
        and more, and the lowest PSNR.
    map_ratio: median of the level of the predicted map by that of the true one.
    map_true: share of the pictures where that is at most a factor of TRUE_WITHIN.
    """

    least_gain: float | None = None
    harmed: float | None = None
    unharmed: float | None = None
    lowest: float | None = None
    map_ratio: float | None = None
    map_true: float | None = None


def find(measurements: Sequence[Measurement]) -> Findings:
    """The findings of some pictures."""
    outputs = np.array([m.output.psnr for m in measurements])
    inputs = np.array([m.input.psnr for m in measurements])
    degraded = np.isfinite(inputs)
    gains = outputs[degraded] - inputs[degraded]
    intact = outputs[~degraded]
    ratios = np.array([m.map_ratio for m in measurements if m.map_ratio is not None])
    is_true = (ratios <= TRUE_WITHIN) & (ratios * TRUE_WITHIN >= 1)
    return Findings(
        least_gain=float(gains.min()) if gains.size else None,
        harmed=float((gains < -HARM).mean()) if gains.size else None,
        unharmed=float((intact >= UNHARMED).mean()) if intact.size else None,
        lowest=float(intact.min()) if intact.size else None,
        map_ratio=float(np.median(ratios)) if ratios.size else None,
        map_true=float(is_true.mean()) if ratios.size else None,
    )
