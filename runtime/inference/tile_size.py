"""Chooses how large the tiles of a picture are."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.memory import free_bytes, used_bytes
from hyperguide.pixels import Layout

from .runner import Runner
from .tiles import side_for

# For files that do not state their memory per pixel.
_BYTES_PER_PIXEL = 1000
# Engines take up to this many times the size of their tensors; OpenVINO most, as it pads channels.
_OVERHEAD = 4.2
# Deblurring's are mostly spectra, which have no channels to pad: up to 2.5 times.
_OVERHEAD_OF_DEBLURRING = 3.0
# Bytes that are used without checking the free memory.
_SMALL = 1 << 28


class TileSize:
    """Chooses the side of tiles by the memory, the engine's limits, and the user's settings.

    tile, max_memory, at_once: see `Enhancer`.
    """

    def __init__(
        self,
        runner: Runner,
        tile: int | Literal["auto"] | None,
        max_memory: int | None,
        at_once: int,
    ) -> None:
        numbers = [value for value in (tile, max_memory) if value not in (None, "auto")]
        if any(not isinstance(value, int) or value < 1 for value in numbers):
            raise HyperguideError(
                "The tile and max_memory must be positive whole numbers: pixels, and bytes."
            )
        self._runner = runner
        self._multiple = runner.info.size_multiple
        overhead = _OVERHEAD_OF_DEBLURRING if runner.takes_kernel else _OVERHEAD
        self._cost = runner.info.cost.get("bytes_per_pixel", _BYTES_PER_PIXEL) * overhead
        self.tile = tile
        self._max_memory = max_memory
        self.at_once = at_once

    def is_small(self, pixels: int) -> bool:
        """Whether this many pixels fit without checking the free memory."""
        return pixels * self._cost * self.at_once < _SMALL

    def side(self, image: np.ndarray, layout: Layout, overlap: int) -> int:
        """The longest side of a tile.

        overlap: pixels that the network sees beyond the tile.
        """
        side = self._wanted(image, layout, overlap)
        largest = self._runner.engine.largest
        _, height, width = layout.size(image)
        if self.tile is None or largest is None:
            return side
        _, rows, columns = largest
        if height <= rows and width <= columns:
            return side
        within = min(rows, columns) - 2 * overlap
        if within < max(overlap, self._multiple):
            raise HyperguideError(
                f"{self._runner.path} takes pictures of {columns}x{rows} at most, too little to "
                "split larger ones into tiles: build it with other --shapes."
            )
        return min(side, within - within % self._multiple)

    def _wanted(self, image: np.ndarray, layout: Layout, overlap: int) -> int:
        """The side that the user asked for, or that fits into memory."""
        count, height, width = layout.size(image)
        whole = max(height, width)
        if self.tile is None:
            return whole
        if self.tile != "auto":
            return min(self.tile, whole)
        if self._max_memory is not None:
            free = self._max_memory - (used_bytes() or image.nbytes)
        elif self.is_small(count * height * width):
            return whole
        else:
            free = (free_bytes() or 2**63) // 2
        outputs = image.nbytes + 4 * count * height * width
        pixels = int((free / self.at_once - outputs) / self._cost / count)
        if height * width <= pixels:
            return whole
        return min(side_for(pixels, overlap, self._multiple), whole)
