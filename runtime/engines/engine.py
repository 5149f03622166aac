"""The interfaces that engines implement."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
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
        """Human-readable name of the engine that actually runs the model."""
        ...

    @property
    def largest(self) -> tuple[int, int, int] | None:
        """Maximum pictures, rows and columns of a call; None if only memory limits them."""
        ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once.

        feeds: `image` and any dials, float32, rank 4; uint8 files take `image` as uint8.
        Returns `enhanced` and `guidance`.
        """
        ...

    def close(self) -> None:
        """Free the engine's resources; it cannot run afterwards."""
        ...


@runtime_checkable
class PreparesSizes(Protocol):
    """Implemented, beside `Engine`, by engines that are faster for sizes that they know."""

    def preparing(self) -> AbstractContextManager[None]:
        """While it is open, calls of this thread prepare the engine for pictures of their size.

        This takes time once for a size and for the dials that are turned. Only the sizes that were
        used last stay prepared.
        """
        ...


# Number of calls worth making at once on a GPU: one copies while another computes.
CALLS_ON_GPU = 2

# Matches the engines' messages when they run out of memory.
_NO_MEMORY = re.compile(r"bad.?alloc|out of memory|allocat", re.IGNORECASE)


def failure(sentence: str, error: Exception) -> HyperguideError:
    """An engine's runtime error as one sentence; OutOfMemoryError if it ran out of memory."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    kind = OutOfMemoryError if _NO_MEMORY.search(str(error)) else HyperguideError
    return kind(f"{sentence}: {reason}")


def closed(path: Path) -> HyperguideError:
    """The error of calls after the engine of a file was closed."""
    return HyperguideError(f"{path} was closed: load it again.")


@runtime_checkable
class TakesBytes(Protocol):
    """Implemented, beside `Engine`, by engines that convert pictures themselves."""

    def run_bytes(
        self, pixels: np.ndarray, dials: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Run once on uint8 pictures.

        pixels: uint8, shape (N, H, W, C); H and W multiples of the model's `size_multiple`.
        dials: those that are not at their defaults, as in `Engine.run`.
        Returns `enhanced`, uint8 of the same shape, and `guidance`.
        """
        ...


@runtime_checkable
class OmitsMaps(Protocol):
    """Implemented, beside `Engine`, by engines that save time if the map is not wanted."""

    def run_image(self, image: np.ndarray, dials: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run once and return `enhanced` alone.

        image, dials: as in `Engine.run`; engines that take bytes also take them here, see
            `TakesBytes`.
        Raises FloatingPointError if the result would be bytes and a value is NaN or infinite.
        """
        ...


@runtime_checkable
class KeepsMemory(Protocol):
    """Implemented, beside `Engine`, by engines that keep a call's memory for the next one."""

    def run_once(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run as `Engine.run` does, but keep no memory.

        For parts of large pictures: their sizes differ, so the memory of one does not fit another.
        """
        ...


@runtime_checkable
class TakesGpuArrays(Protocol):
    """Implemented, beside `Engine`, by engines that can keep pictures in GPU memory."""

    def run_on_gpu(self, image: GpuArray, dials: Mapping[str, np.ndarray]) -> dict[str, GpuArray]:
        """Run once without copies from or to the host.

        image: as the file's input of that name. dials: in host memory.
        Returns `enhanced` and `guidance`, fully computed.
        """
        ...


@dataclass(frozen=True)
class Times:
    """Times of one GPU call, in milliseconds."""

    copy_in: float
    compute: float
    copy_out: float


@runtime_checkable
class TellsTimes(Protocol):
    """Implemented, beside `Engine`, by engines that can time copies and computation separately."""

    def run_timed(self, feeds: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Times]:
        """Run as `Engine.run` does, step by step, and also return how long each step took."""
        ...
