"""Targets without weights: the degraded picture itself, and classical methods."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hyperguide.training.seen_photos import NOTHING

from .rivals.bm3d import bm3d
from .rivals.dark_channel import dark_channel
from .rivals.fd import fd
from .rivals.richardson_lucy import richardson_lucy
from .target import Restored, Target, refuse_map, told_level
from .wiener import wiener

# Restores (degraded, kernel, noise level).
_Method = Callable[[np.ndarray, np.ndarray | None, float], np.ndarray]


def _reference(
    name: str, about: str, method: _Method, task: str | None = None, informed: bool = False
) -> Target:
    """informed: whether the method uses the noise level, which is 0 otherwise."""

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        if informed:
            level = told_level(name, guidance, scale)
        else:
            refuse_map(name, guidance, scale)
            level = 0.0
        return method(degraded, kernel, level), None

    return Target(restore, name, "reference", task, None, about, informed, NOTHING)


REFERENCES = {
    target.name: target
    for target in (
        _reference("input", "the degraded picture itself", lambda y, k, level: y),
        _reference(
            *("wiener", "regularised Wiener filter, told the noise level"),
            lambda y, k, level: wiener(y, k, level**2),
            informed=True,
        ),
        _reference(
            *("fd", "hyper-Laplacian prior, Krishnan and Fergus 2009"),
            lambda y, k, level: fd(y, k),
            task="deblur",
        ),
        _reference(
            *("richardson-lucy", "Richardson-Lucy deconvolution, ten iterations"),
            lambda y, k, level: richardson_lucy(y, k),
            task="deblur",
        ),
        _reference(
            *("dark-channel", "dark channel prior with guided filter, He et al. 2009"),
            lambda y, k, level: dark_channel(y),
            task="dehaze",
        ),
        _reference(
            *("bm3d", "BM3D, its authors' package, told the noise level"),
            lambda y, k, level: bm3d(y, level),
            task="denoise",
            informed=True,
        ),
    )
}
