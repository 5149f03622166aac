"""What every engine offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np


class Engine(Protocol):
    """A loaded model."""

    @property
    def name(self) -> str:
        """The engine that really runs it, for people."""
        ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once.

        feeds: `image` and any dials, float32, rank 4; files of bytes take `image` as uint8.
        Returns `enhanced` and `guidance`.
        """
        ...


@runtime_checkable
class TakesBytes(Protocol):
    """What an engine offers beside `Engine` if it converts pictures itself."""

    def run_bytes(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Run once on pictures of bytes, dials at their defaults.

        pixels: uint8, shape (N, H, W, C); H and W multiples of the model's.
        Returns `enhanced`, uint8 of the same shape, and `guidance`.
        """
        ...
