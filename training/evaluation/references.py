"""Targets without weights: the degraded picture itself, and classical methods."""

from __future__ import annotations

from hyperguide.training.seen_photos import NOTHING

from .rivals.bm3d import bm3d
from .rivals.dark_channel import dark_channel
from .rivals.fd import fd
from .rivals.richardson_lucy import richardson_lucy
from .target import Restorer, Target, informed, uninformed
from .wiener import wiener

# Name -> (what it is, method of (degraded, kernel), task).
_UNINFORMED = {
    "input": ("the degraded picture itself", lambda y, k: y, None),
    "fd": ("hyper-Laplacian prior, Krishnan and Fergus 2009", fd, "deblur"),
    "richardson-lucy": (
        "Richardson-Lucy deconvolution, ten iterations",
        richardson_lucy,
        "deblur",
    ),
    "dark-channel": (
        "dark channel prior with guided filter, He et al. 2009",
        lambda y, k: dark_channel(y),
        "dehaze",
    ),
}
# Name -> (what it is, method of (degraded, kernel, noise level), task).
_INFORMED = {
    "wiener": (
        "regularised Wiener filter, told the noise level",
        lambda y, k, level: wiener(y, k, level**2),
        None,
    ),
    "bm3d": (
        "BM3D, its authors' package, told the noise level",
        lambda y, k, level: bm3d(y, level),
        "denoise",
    ),
}


def reference(
    name: str, about: str, restorer: Restorer, task: str | None, is_informed: bool
) -> Target:
    """A target that has seen no photo. is_informed: whether it must be told the noise level."""
    return Target(restorer, name, "reference", task, None, about, is_informed, NOTHING)


REFERENCES = {
    name: reference(name, about, uninformed(name, method), task, False)
    for name, (about, method, task) in _UNINFORMED.items()
} | {
    name: reference(name, about, informed(name, method), task, True)
    for name, (about, method, task) in _INFORMED.items()
}
