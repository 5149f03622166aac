"""The contrast of windows, on which sparsity and damping depend."""

from __future__ import annotations

import numpy as np

_USUAL, _MOST_GAIN = 0.2, 8.0  # standard deviations, full scale = 1


def contrast_gain(window: np.ndarray) -> float:
    """What makes the contrast of a window usual: sparsity and damping are for such."""
    return float(min(_USUAL / max(float(window.std()), 1e-6), _MOST_GAIN))
