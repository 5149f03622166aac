"""What can be measured: a way to restore pictures, and its description."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.training.seen_photos import UNKNOWN, SeenPhotos

Restored = tuple[np.ndarray, np.ndarray | None]


class Restorer(Protocol):
    """A way to restore a picture."""

    def __call__(
        self,
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        """Restore a picture.

        degraded: float32, shape (H, W) or (H, W, 3), any size; full scale = 1.
        kernel: the blur, shape (kh, kw), for deblurring.
        guidance: a map to use instead of the predicted one, shape (H, W).
        scale: factor for the map, like the dial `guidance_scale`.
        Returns (restored, of the same shape; the map before scaling, shape (H, W), or None).
        Raises HyperguideError for colour where gray is needed, and for a map or a scale that the
        restorer does not use.
        """
        ...


@dataclass(frozen=True)
class Target:
    """A restorer and its description.

    name: what the user called it.
    kind: `run`, `model file`, `official weights` or `reference`.
    task: what it is for; None for references that suit every task.
    sha256: of the file with its weights; None for references.
    about: free text.
    informed: whether it must be given the true noise level, like the Wiener filter.
    seen: the photos that it was trained on.
    """

    restorer: Restorer
    name: str
    kind: str
    task: str | None
    sha256: str | None
    about: str
    informed: bool = False
    seen: SeenPhotos = UNKNOWN


def refuse_map(name: str, guidance: np.ndarray | None, scale: float) -> None:
    """Raise HyperguideError if a map or a scale was given to a target that uses none."""
    if guidance is not None or scale != 1:
        raise HyperguideError(f"{name} is unguided, it has no map that can be told or scaled.")


def told_level(name: str, guidance: np.ndarray | None, scale: float) -> float:
    """The standard deviation of the noise that a map stands for, full scale = 1.

    Raises HyperguideError without a map.
    """
    if guidance is None:
        raise HyperguideError(
            f"{name} must know the noise level: take a suite with noise, or give --told-noise."
        )
    return scale * float(np.sqrt(np.mean(np.square(guidance, dtype=np.float64))))


def uninformed(
    name: str, method: Callable[[np.ndarray, np.ndarray | None], np.ndarray]
) -> Restorer:
    """A method of (degraded, kernel) that takes no map."""

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        refuse_map(name, guidance, scale)
        return method(degraded, kernel), None

    return restore


def informed(
    name: str, method: Callable[[np.ndarray, np.ndarray | None, float], np.ndarray]
) -> Restorer:
    """A method of (degraded, kernel, noise level) that must be told the level."""

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        return method(degraded, kernel, told_level(name, guidance, scale)), None

    return restore


def sha256(path: Path) -> str:
    """The hash of a file with weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
