"""An engine that runs out of memory."""

from __future__ import annotations

import numpy as np

from hyperguide.engines import OnnxRuntimeCpu
from hyperguide.errors import OutOfMemoryError


class SmallEngine:
    """An engine with memory for a given number of pixels."""

    name = "a small engine"
    largest = None

    def close(self) -> None:
        pass

    def __init__(self, engine: OnnxRuntimeCpu, pixels: int) -> None:
        self._engine, self._pixels = engine, pixels
        self.sizes: list[int] = []

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        count, _, height, width = feeds["image"].shape
        self.sizes.append(count * height * width)
        if count * height * width > self._pixels:
            raise OutOfMemoryError("bad allocation")
        return self._engine.run(feeds)
