"""What every engine offers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from hyperguide.arrays import GpuArray
from hyperguide.errors import HyperguideError, OutOfMemoryError


class Engine(Protocol):
    """A loaded model."""

    @property
    def name(self) -> str:
        """The engine that really runs it, for people."""
        ...

    @property
    def largest(self) -> tuple[int, int, int] | None:
        """The most pictures, rows and columns of a call; None where memory alone decides."""
        ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once.

        feeds: `image` and any dials, float32, rank 4; files of bytes take `image` as uint8.
        Returns `enhanced` and `guidance`.
        """
        ...

    def close(self) -> None:
        """Free what it holds; it runs no more."""
        ...


# So many calls are worth making at once on a GPU: the copies of one go on while another computes.
CALLS_ON_GPU = 2

# What engines say when they get no memory.
_NO_MEMORY = re.compile(r"bad.?alloc|out of memory|allocat", re.IGNORECASE)


def failure(sentence: str, error: Exception) -> HyperguideError:
    """What an engine raised while it ran, as one sentence; OutOfMemoryError where it is that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    kind = OutOfMemoryError if _NO_MEMORY.search(str(error)) else HyperguideError
    return kind(f"{sentence}: {reason}")


def closed(path: Path) -> HyperguideError:
    """What a call raises once the engine of a file was closed."""
    return HyperguideError(f"{path} was closed: load it again.")


@runtime_checkable
class TakesBytes(Protocol):
    """What an engine offers beside `Engine` if it converts pictures itself."""

    def run_bytes(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Run once on pictures of bytes, dials at their defaults.

        pixels: uint8, shape (N, H, W, C); H and W multiples of the model's.
        Returns `enhanced`, uint8 of the same shape, and `guidance`.
        """
        ...


@runtime_checkable
class KeepsMemory(Protocol):
    """What an engine offers beside `Engine` if it keeps the memory of a call for the next one."""

    def run_once(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run as `Engine.run` does, and keep no memory.

        For parts of large pictures, whose sizes differ: what is kept of one does not fit another.
        """
        ...


@runtime_checkable
class TakesGpuArrays(Protocol):
    """What an engine offers beside `Engine` if pictures may stay in the GPU's memory."""

    def run_on_gpu(self, image: GpuArray, dials: Mapping[str, np.ndarray]) -> dict[str, GpuArray]:
        """Run once without copies from or to the host.

        image: as the file's input of that name; any dials are in the host's memory.
        Returns `enhanced` and `guidance`, computed when this returns.
        """
        ...


@dataclass(frozen=True)
class Times:
    """Of one call on a GPU, in milliseconds."""

    copy_in: float
    compute: float
    copy_out: float


@runtime_checkable
class TellsTimes(Protocol):
    """What an engine offers beside `Engine` if its copies can be told from what it computes."""

    def run_timed(self, feeds: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Times]:
        """Run as `Engine.run` does, one step after the other, and say how long each took."""
        ...
