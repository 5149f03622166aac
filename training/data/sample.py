"""A batch as Algorithm 1 sees it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Sample(NamedTuple):
    """A batch of D_h, {y, x, sigma}, or of D_tr, {y, x}.

    degraded, clean: shape (N, C, H, W) in [0, 1], noise may leave it.
    guidance: shape (N, 1, H, W) in the task's unit; zeros where the batch brings no map.
    kernel: shape (N, 1, kh, kw), odd sides, sum 1; None for tasks without blur.
    airlight, transmission: A, shape (N, C, 1, 1), and t, shape (N, 1, H, W), of the scattering
        model that made y; None where not all of the batch's samples were made by it.
    """

    degraded: Tensor
    clean: Tensor
    guidance: Tensor
    kernel: Tensor | None = None
    airlight: Tensor | None = None
    transmission: Tensor | None = None
