"""Estimates blur kernels from blurred pictures.

`coarse_to_fine` finds the kernel of a window, `estimate` chooses windows and judges the result.
"""

from __future__ import annotations

from .estimate import KernelEstimate, estimate_kernel

__all__ = ["KernelEstimate", "estimate_kernel"]
