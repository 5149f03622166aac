"""A batch as Algorithm 1 takes it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Sample(NamedTuple):
    """A batch of D_h, {y, x, sigma}, or of D_tr, {y, x}.

    degraded, clean: shape (N, C, H, W) in [0, 1]; noise may exceed the range.
    guidance: shape (N, 1, H, W) in the task's unit; zeros where there is no map.
    kernel: shape (N, 1, kh, kw), odd sides, sum 1; None for tasks without blur.
    airlight, transmission: A, shape (N, C, 1, 1), and t, shape (N, 1, H, W), of the scattering
        model that made y; None unless it made all samples of the batch.
    told, trust: hints for the outer problem, see `hints.draw_hint`; None if there are none.
    scale: of the map that guides the outer problem when there is a teacher, shape (N, 1, 1, 1),
        see `hints.draw_scale`; None for 1.
    """

    degraded: Tensor
    clean: Tensor
    guidance: Tensor
    kernel: Tensor | None = None
    airlight: Tensor | None = None
    transmission: Tensor | None = None
    told: Tensor | None = None
    trust: Tensor | None = None
    scale: Tensor | None = None
