"""Enhances pictures of any size: whole, or in tiles if they do not fit into memory.

`tile_strategies` computes the tiles, `tile_size` chooses their size.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext

import numpy as np

from hyperguide.errors import HyperguideError, OutOfMemoryError
from hyperguide.memory import memory_for
from hyperguide.result import Result

from .runner import Runner
from .tile_size import TileSize
from .tile_strategies import Deblurring, Request, Strategy, strategy_for
from .tiles import Tile, Window, tiles

# Called with the fraction of a picture that is done, in [0, 1]; an exception ends the call.
Progress = Callable[[float], object]

# Pixels of the small copy from which an overview of the whole picture is taken.
_OVERVIEW = 1_000_000
_LEAST_OVERVIEW = 50_000


class TiledRunner:
    """Runs pictures of any size. If the engine runs out of memory, tiles are halved."""

    def __init__(self, runner: Runner, tile_size: TileSize) -> None:
        self._runner = runner
        self._tile_size = tile_size
        self._largest = runner.engine.largest
        self._most_pixels: int | None = None  # set once more of them did not fit into memory
        # More large pictures at once would take more memory than planned.
        self._large = threading.BoundedSemaphore(tile_size.at_once)

    def run(self, request: Request, progress: Progress, with_map: bool = True) -> Result:
        """Enhance a picture or a batch; without `with_map`, the result may lack the map."""
        count, height, width = request.size
        most = count if self._largest is None else self._largest[0]
        if count > most:

            def part(first: int) -> Result:
                end = min(first + most, count)
                pictures = request.pictures(first, end)
                share = (end - first) / count
                done = self.run(pictures, lambda s: progress(first / count + s * share), with_map)
                progress(end / count)
                return done

            return _joined(part(first) for first in range(0, count, most))
        with nullcontext() if self._tile_size.is_small(count * height * width) else self._large:
            strategy = strategy_for(self._runner, request)
            if isinstance(strategy, Deblurring) and self._map_is_predicted(request):
                return self._in_two_passes(request, strategy, progress, with_map)
            return self._in_tiles(request, strategy, progress, with_map)[0]

    def _map_is_predicted(self, request: Request) -> bool:
        return self._runner.steerable and not request.dials.maps_are_even

    def _in_two_passes(
        self, request: Request, first: Deblurring, progress: Progress, with_map: bool
    ) -> Result:
        """Predict the maps of all tiles, then enhance each with the power of the whole map."""
        result, is_tiled = self._in_tiles(request, first, lambda s: progress(s / 2), with_map)
        if not is_tiled:
            return result
        assert result.guidance is not None
        second = first.with_known_maps(result.guidance)
        again, _ = self._in_tiles(request, second, lambda s: progress((1 + s) / 2), True)
        return Result(again.image, result.guidance)

    def _in_tiles(
        self, request: Request, strategy: Strategy, progress: Progress, with_map: bool
    ) -> tuple[Result, bool]:
        """Enhance a request. Returns the result, and whether it was assembled from tiles.

        with_map: whether a picture that is computed whole needs its map; tiles always have theirs.
        """
        count, height, width = request.size
        multiple = self._runner.info.size_multiple
        side = self._tile_size.side(request.image, request.layout, strategy.overlap)
        todo = list(tiles(height, width, side, multiple))[::-1]
        done, has_overview = 0, not strategy.needs_overview
        target: Result | None = None
        while todo:
            tile = todo.pop()
            window = tile.window(strategy.overlap, height, width, strategy.wraps)
            if window.pixels < height * width and not has_overview:
                self._take_overview(request, strategy, window.pixels)
                has_overview = True
            halves = tile.split(multiple)
            if len(halves) > 1 and window.pixels * count > (self._most_pixels or math.inf):
                todo += halves[::-1]  # this many pixels did not fit before
                continue
            try:
                with memory_for("a part of the picture"):
                    part = strategy.run(window, with_map or tile.pixels < height * width)
            except OutOfMemoryError as error:
                if len(halves) == 1 or self._tile_size.tile is None:
                    self._most_pixels = None  # another time there may be more memory
                    raise HyperguideError(
                        f"{self._runner.engine.name} has not enough memory for even "
                        f"{window.pixels} pixels: close other programs."
                    ) from error
                self._most_pixels = max(window.pixels * count - 1, 1)
                todo += halves[::-1]
                continue
            if tile.pixels == height * width:
                return part, False
            if target is None:
                with memory_for(f"the result of {width}x{height} pixels"):
                    target = _empty(request)
            _paste(target, part, tile, window, request.layout.batched)
            done += tile.pixels
            progress(done / (height * width))
        assert target is not None
        return target, True

    def _take_overview(self, request: Request, strategy: Strategy, pixels: int) -> None:
        """Give the strategy an overview of the whole picture, small enough for the memory.

        pixels: in the window of a tile.
        """
        count, height, width = request.size
        most = min(_OVERVIEW, self._most_pixels or _OVERVIEW)
        if self._tile_size.tile == "auto":
            most = min(most, max(pixels * count, _LEAST_OVERVIEW))
        while True:
            factor = min((most / (count * height * width)) ** 0.5, 1)
            if self._largest is not None:
                factor = min(factor, self._largest[1] / height, self._largest[2] / width)
            rows, columns = max(round(height * factor), 1), max(round(width * factor), 1)
            try:
                with memory_for("an overview of the picture"):
                    return strategy.take_overview(rows, columns)
            except OutOfMemoryError:
                if most <= _LEAST_OVERVIEW:
                    raise
                most //= 2


def _joined(batches: Iterable[Result]) -> Result:
    """Concatenate the results of batches."""
    results = list(batches)
    maps = [result.guidance for result in results if result.guidance is not None]
    images = np.concatenate([result.image for result in results])
    return Result(images, np.concatenate(maps) if len(maps) == len(results) else None)


def _empty(request: Request) -> Result:
    """An uninitialised result for a request."""
    size = request.size if request.layout.batched else request.size[1:]
    return Result(np.empty_like(request.image, order="C"), np.empty(size, np.float32))


def _paste(target: Result, part: Result, tile: Tile, window: Window, batched: bool) -> None:
    """Copy a tile from the result of its window into the target."""
    into = slice(*tile.rows), slice(*tile.columns)
    out_of = window.rows.inside(tile.rows), window.columns.inside(tile.columns)
    every = (slice(None),) if batched else ()
    target.image[(*every, *into)] = part.image[(*every, *out_of)]
    assert target.guidance is not None
    assert part.guidance is not None
    target.guidance[(*every, *into)] = part.guidance[(*every, *out_of)]
