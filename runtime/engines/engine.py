"""What every engine offers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from hyperguide.errors import HyperguideError, OutOfMemoryError


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


# What engines say when they get no memory.
_NO_MEMORY = re.compile(r"bad.?alloc|out of memory|allocat", re.IGNORECASE)


def failure(sentence: str, error: Exception) -> HyperguideError:
    """What an engine raised while it ran, as one sentence; OutOfMemoryError where it is that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    kind = OutOfMemoryError if _NO_MEMORY.search(str(error)) else HyperguideError
    return kind(f"{sentence}: {reason}")


@runtime_checkable
class TakesBytes(Protocol):
    """What an engine offers beside `Engine` if it converts pictures itself."""

    def run_bytes(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Run once on pictures of bytes, dials at their defaults.

        pixels: uint8, shape (N, H, W, C); H and W multiples of the model's.
        Returns `enhanced`, uint8 of the same shape, and `guidance`.
        """
        ...
