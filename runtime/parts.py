"""Pictures larger than memory: cut, enhanced in parts, and put together."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np

from .cut import Cut
from .dials import Dials
from .errors import HyperguideError, OutOfMemoryError
from .model_file import DIALS, KERNEL
from .pixels import Layout, next_multiple, pad_to_multiple
from .result import Result
from .runner import Runner
from .tiles import Tile, sample, tiles

# Called with how much of a picture is done, in [0, 1]; what it raises ends the call.
Report = Callable[[float], object]

# A picture is looked at whole in about so many pixels, where the map needs that.
_GLANCE = 1_000_000
_LEAST_GLANCE = 50_000


class Parts:
    """Runs pictures of any size within the memory that there is.

    tile, max_memory, at_once: see `Enhancer`.
    """

    def __init__(
        self,
        runner: Runner,
        tile: int | Literal["auto"] | None,
        max_memory: int | None,
        at_once: int,
    ) -> None:
        self._runner = runner
        self._info = runner.info
        self._tile = tile
        self._cut = Cut(runner, tile, max_memory, at_once)
        self._most_pixels: int | None = None  # more than that did not fit into memory
        self._largest = runner.engine.largest
        self._large = threading.BoundedSemaphore(at_once)  # more would take more than is planned

    def run(self, image: np.ndarray, layout: Layout, dials: Dials, report: Report) -> Result:
        """Enhance a picture, in parts if it is large or the engine runs out of memory."""
        count, height, width = layout.size(image)
        most = count if self._largest is None else self._largest[0]
        if count > most:
            every = range(0, count, most)
            return _joined(
                self.run(image[i : i + most], layout, dials.pictures(i, i + most), report)
                for i in every
            )
        with nullcontext() if self._cut.is_small(count * height * width) else self._large:
            return self._run(image, layout, dials, report)

    def _run(self, image: np.ndarray, layout: Layout, dials: Dials, report: Report) -> Result:
        count, height, width = layout.size(image)
        multiple = self._info.size_multiple
        overlap = self._overlap(dials)
        todo = list(tiles(height, width, self._cut.side(image, layout, overlap), multiple))[::-1]
        done, glance = 0, None
        target: Result | None = None
        while todo:
            tile = todo.pop()
            seen = tile.seen(overlap, height, width)
            if seen.pixels < height * width and glance is None and self._looks_far(dials):
                glance = self._glance(image, layout, seen.pixels)
            halves = tile.split(multiple)
            if len(halves) > 1 and seen.pixels * count > (self._most_pixels or math.inf):
                todo += halves[::-1]  # so much did not fit before
                continue
            try:
                part = self._run_tile(image, layout, dials, seen, glance)
            except (OutOfMemoryError, MemoryError) as error:
                if len(halves) == 1 or self._tile is None:
                    self._most_pixels = None  # there may be more another time
                    raise HyperguideError(
                        f"{self._runner.engine.name} has not enough memory for even "
                        f"{seen.pixels} pixels: close other programs."
                    ) from error
                self._most_pixels = max(seen.pixels * count - 1, 1)
                todo += halves[::-1]
                continue
            if tile.pixels == height * width:
                return part
            if target is None:
                target = Result(np.empty_like(image), _empty_map(layout, height, width, count))
            _paste(target, part, tile, seen, layout)
            done += tile.pixels
            report(done / (height * width))
        assert target is not None
        return target

    def _run_tile(
        self,
        image: np.ndarray,
        layout: Layout,
        dials: Dials,
        seen: Tile,
        glance: np.ndarray | None,
    ) -> Result:
        """Enhance the part of a picture that the network is to see."""
        rows, columns = slice(*seen.rows), slice(*seen.columns)
        part = image[:, rows, columns] if layout.batched else image[rows, columns]
        multiple = self._info.size_multiple
        feeds = dials.feeds(rows, columns, multiple)
        if glance is not None:
            _, height, width = layout.size(image)
            predicted = sample(glance, seen.rows, seen.columns, (height, width))
            feeds |= _with_prediction(feeds, pad_to_multiple(predicted, multiple))
        return self._runner.run(part, layout, feeds)

    def _overlap(self, dials: Dials) -> int:
        """How far beyond a part the network must see."""
        reach = self._info.receptive_field
        if self._runner.takes_kernel:  # a Fourier transform sees everything, but little from afar
            kernel = dials.values.get(KERNEL)
            reach += 2 * max(kernel.shape[2:] if kernel is not None else (1, 1))
        return next_multiple(reach, self._info.size_multiple)

    def _looks_far(self, dials: Dials) -> bool:
        """Whether the map of a part would be another one than that of the whole picture."""
        if self._info.context == "local" or self._runner.takes_kernel:
            return False
        mix = dials.values.get("guidance_mix")
        return mix is None or float(mix.min()) < 1

    def _glance(self, image: np.ndarray, layout: Layout, pixels: int) -> np.ndarray:
        """The map that is predicted for a whole picture, made smaller; shape (N, 1, h, w).

        pixels: that a part may have.
        """
        count, height, width = layout.size(image)
        most = min(_GLANCE, self._most_pixels or _GLANCE)
        if self._tile == "auto":
            most = min(most, max(pixels * count, _LEAST_GLANCE))
        while True:
            factor = min((most / (count * height * width)) ** 0.5, 1)
            if self._largest is not None:
                factor = min(factor, self._largest[1] / height, self._largest[2] / width)
            try:
                return self._predict(image, layout, round(height * factor), round(width * factor))
            except (OutOfMemoryError, MemoryError):
                if most <= _LEAST_GLANCE:
                    raise
                most //= 2

    def _predict(self, image: np.ndarray, layout: Layout, rows: int, columns: int) -> np.ndarray:
        """The map of pictures made so small."""
        size = (max(columns, 1), max(rows, 1))
        pictures = image if layout.batched else image[None]
        if layout.dtype == np.float16:
            pictures = pictures.astype(np.float32)
        small = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures])
        small = small.reshape(len(pictures), size[1], size[0], -1)
        result = self._runner.run(
            small, replace(layout, batched=True, planes=True, dtype=small.dtype), {}
        )
        assert result.guidance is not None
        return result.guidance[:, None]


def _joined(batches: Iterable[Result]) -> Result:
    """Batches one behind the other."""
    pairs = [(result.image, result.guidance) for result in batches]
    images, maps = zip(*pairs, strict=True)
    return Result(np.concatenate(images), np.concatenate(maps))


def _empty_map(layout: Layout, height: int, width: int, count: int) -> np.ndarray:
    return np.empty((count, height, width) if layout.batched else (height, width), np.float32)


def _paste(target: Result, part: Result, tile: Tile, seen: Tile, layout: Layout) -> None:
    """Put what a tile gives into the whole."""
    into = slice(*tile.rows), slice(*tile.columns)
    out_of = tuple(
        slice(kept[0] - given[0], kept[1] - given[0])
        for kept, given in ((tile.rows, seen.rows), (tile.columns, seen.columns))
    )
    every = (slice(None),) if layout.batched else ()
    target.image[(*every, *into)] = part.image[(*every, *out_of)]
    assert target.guidance is not None
    assert part.guidance is not None
    target.guidance[(*every, *into)] = part.guidance[(*every, *out_of)]


def _with_prediction(feeds: dict[str, np.ndarray], predicted: np.ndarray) -> dict[str, np.ndarray]:
    """The dials of a part whose predicted map is given from outside."""
    mix = feeds.get("guidance_mix", np.float32(DIALS["guidance_mix"]))
    given = feeds.get("guidance_in", np.float32(DIALS["guidance_in"]))
    predicted = mix * given + (1 - mix) * predicted
    whole = np.ones((1, 1, 1, 1), np.float32)
    return {"guidance_in": np.ascontiguousarray(predicted, np.float32), "guidance_mix": whole}
