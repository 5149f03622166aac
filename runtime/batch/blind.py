"""Blind deblurring: the kernel of each picture is estimated before it is restored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperguide.enhancer import Enhancer
from hyperguide.kernel_estimation import KernelEstimate, estimate_kernel

_NOT_RESTORED = {
    "sharp": "{} looks sharp, or its blur was not found: it is returned unchanged. "
    "Give --kernel-size if you know the size of the blur.",
    "uneven": "Parts of {} are blurred in different ways, so no single kernel restores it: it is "
    "returned unchanged.",
}


@dataclass(frozen=True)
class KernelSearch:
    """In place of a kernel: estimate it for each picture.

    size: odd number of rows and columns of the kernels; None to find it out.
    """

    size: int | None = None

    def __str__(self) -> str:
        return "auto" if self.size is None else f"auto, {self.size}x{self.size}"


def search_kernel(enhancer: Enhancer, pixels: np.ndarray, size: int | None) -> KernelEstimate:
    """Estimate the kernel that blurred a picture; the enhancer's network makes it more exact.

    Not so one for bytes, which rounds what it restores.

    pixels, size: see `estimate_kernel`, also for errors.
    """

    def restore(window: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return enhancer(window, kernel=kernel).image

    takes_floats = enhancer.info.io == "float"
    return estimate_kernel(pixels, size, restore if takes_floats else None)


def why_unchanged(estimate: KernelEstimate, source: Path) -> str | None:
    """A note on a picture that a kernel would not restore; None if it would."""
    reason = _NOT_RESTORED.get(estimate.verdict)
    return None if reason is None else reason.format(source)
