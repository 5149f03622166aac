"""Pictures larger than memory: cut, enhanced in parts, and put together."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace

import cv2
import numpy as np

from hyperguide.errors import HyperguideError, OutOfMemoryError
from hyperguide.memory import memory_for
from hyperguide.model_format.model_file import DIALS, KERNEL
from hyperguide.pixels import (
    Layout,
    from_tensor,
    full_scale,
    layout_of,
    next_multiple,
    pad_to_multiple,
    to_tensor,
)
from hyperguide.result import Result

from .dials import Dials
from .guided_upsampling import Transfer
from .runner import Runner
from .tile_size import Cut
from .tiles import Seen, Tile, sample, tiles

# Called with how much of a picture is done, in [0, 1]; what it raises ends the call.
Report = Callable[[float], object]

# A picture is looked at whole in about so many pixels, where the map needs that.
_GLANCE = 1_000_000
_LEAST_GLANCE = 50_000
# So many pixels at the edges of the parts of a blurred picture bring their map to a level.
_LEVELED = 64


class Parts:
    """Runs pictures of any size within the memory that there is.

    `tile_size` says how large the parts are.
    """

    def __init__(self, runner: Runner, cut: Cut) -> None:
        self._runner = runner
        self._info = runner.info
        self._cut = cut
        self._most_pixels: int | None = None  # more than that did not fit into memory
        self._largest = runner.engine.largest
        # More large ones at once would take more than is planned.
        self._large = threading.BoundedSemaphore(cut.at_once)

    def run(self, image: np.ndarray, layout: Layout, dials: Dials, report: Report) -> Result:
        """Enhance a picture, in parts if it is large or the engine runs out of memory."""
        count, height, width = layout.size(image)
        most = count if self._largest is None else self._largest[0]
        if count > most:

            def part(first: int) -> Result:
                end = min(first + most, count)
                pictures = image[first:end], layout, dials.pictures(first, end)
                done = self.run(*pictures, lambda s: report((first + s * (end - first)) / count))
                report(end / count)
                return done

            return _joined(part(first) for first in range(0, count, most))
        with nullcontext() if self._cut.is_small(count * height * width) else self._large:
            return self._run(image, layout, dials, report)

    def _run(self, image: np.ndarray, layout: Layout, dials: Dials, report: Report) -> Result:
        # Parts of a blurred picture depend on the power of its map, known once all are predicted.
        once = not self._runner.takes_kernel or dials.maps_are_even or not self._runner.steerable
        if once:
            return self._in_parts(image, layout, dials, report)[0]
        result, cut = self._in_parts(image, layout, dials, lambda s: report(s / 2))
        if not cut:
            return result
        assert result.guidance is not None
        known = dials.with_maps(result.guidance.reshape(-1, 1, *result.guidance.shape[-2:]))
        level = np.square(known.values["guidance_in"], dtype=np.float64).mean((1, 2, 3))
        again, _ = self._in_parts(image, layout, known, lambda s: report((1 + s) / 2), level)
        return Result(again.image, result.guidance)

    def _in_parts(
        self,
        image: np.ndarray,
        layout: Layout,
        dials: Dials,
        report: Report,
        level: np.ndarray | None = None,
    ) -> tuple[Result, bool]:
        """The result, and whether the picture was cut.

        level: mean square of each picture's map, see `_with_level`.
        """
        count, height, width = layout.size(image)
        multiple = self._info.size_multiple
        overlap = self._overlap(dials)
        todo = list(tiles(height, width, self._cut.side(image, layout, overlap), multiple))[::-1]
        done, glance = 0, None
        target: Result | None = None
        while todo:
            tile = todo.pop()
            seen = tile.seen(overlap, height, width, self._runner.takes_kernel)
            if seen.pixels < height * width and glance is None and self._looks_far(dials):
                glance = self._glance(image, layout, dials, seen.pixels)
            halves = tile.split(multiple)
            if len(halves) > 1 and seen.pixels * count > (self._most_pixels or math.inf):
                todo += halves[::-1]  # so much did not fit before
                continue
            try:
                with memory_for("a part of the picture"):
                    part = self._run_tile(image, layout, dials, seen, glance, level)
            except OutOfMemoryError as error:
                if len(halves) == 1 or self._cut.tile is None:
                    self._most_pixels = None  # there may be more another time
                    raise HyperguideError(
                        f"{self._runner.engine.name} has not enough memory for even "
                        f"{seen.pixels} pixels: close other programs."
                    ) from error
                self._most_pixels = max(seen.pixels * count - 1, 1)
                todo += halves[::-1]
                continue
            if tile.pixels == height * width:
                return part, False
            if target is None:
                with memory_for(f"the result of {width}x{height} pixels"):
                    target = Result(
                        np.empty_like(image, order="C"), _empty_map(layout, height, width, count)
                    )
            _paste(target, part, tile, seen, layout)
            done += tile.pixels
            report(done / (height * width))
        assert target is not None
        return target, True

    def _run_tile(
        self,
        image: np.ndarray,
        layout: Layout,
        dials: Dials,
        seen: Seen,
        glance: np.ndarray | Transfer | None,
        level: np.ndarray | None,
    ) -> Result:
        """Enhance the part of a picture that the network is to see."""
        rows, columns = seen.rows.places, seen.columns.places
        part = image[:, rows][:, :, columns] if layout.batched else image[rows][:, columns]
        if isinstance(glance, Transfer):
            return _transferred(glance, part, layout, dials, seen)
        multiple = self._info.size_multiple
        feeds = dials.feeds(rows, columns, multiple)
        if level is not None:
            padded = feeds["guidance_in"].shape[2:]
            feeds = _with_level(feeds, seen, (padded[0], padded[1]), level)
        if glance is not None:
            _, height, width = layout.size(image)
            predicted = sample(glance, seen.rows.main, seen.columns.main, (height, width))
            feeds |= _with_prediction(feeds, pad_to_multiple(predicted, multiple))
        is_part = part.size < image.size
        return self._runner.run(part, layout, feeds, is_part)

    def _overlap(self, dials: Dials) -> int:
        """How far beyond a part the network must see."""
        reach = self._info.receptive_field
        if self._runner.takes_kernel:  # a Fourier transform sees everything, but little from afar
            kernel = dials.values.get(KERNEL)
            reach += 2 * max(kernel.shape[2:] if kernel is not None else (1, 1)) + _LEVELED
        return next_multiple(reach, self._info.size_multiple)

    def _looks_far(self, dials: Dials) -> bool:
        """Whether a part by itself would be given another map, or another look, than the whole."""
        if self._info.whole_picture:
            return True
        if self._info.context == "local" or self._runner.takes_kernel:
            return False
        mix = dials.values.get("guidance_mix")
        return mix is None or float(mix.min()) < 1

    def _glance(
        self, image: np.ndarray, layout: Layout, dials: Dials, pixels: int
    ) -> np.ndarray | Transfer:
        """What is found out from the whole picture, made smaller, for the sake of its parts.

        pixels: that a part may have.
        Returns the predicted map, shape (N, 1, h, w), or how to enhance the parts.
        """
        count, height, width = layout.size(image)
        most = min(_GLANCE, self._most_pixels or _GLANCE)
        if self._cut.tile == "auto":
            most = min(most, max(pixels * count, _LEAST_GLANCE))
        while True:
            factor = min((most / (count * height * width)) ** 0.5, 1)
            if self._largest is not None:
                factor = min(factor, self._largest[1] / height, self._largest[2] / width)
            try:
                with memory_for("a look at the whole picture"):
                    return self._look(image, layout, dials, factor)
            except OutOfMemoryError:
                if most <= _LEAST_GLANCE:
                    raise
                most //= 2

    def _look(
        self, image: np.ndarray, layout: Layout, dials: Dials, factor: float
    ) -> np.ndarray | Transfer:
        """What `_glance` finds out at a size, as a share of the picture's."""
        _, height, width = layout.size(image)
        rows, columns = max(round(height * factor), 1), max(round(width * factor), 1)
        small = _reduced(image, layout, rows, columns)
        if self._info.whole_picture:
            return self._enhance_small(small, layout, dials, (height, width))
        return self._predict(small, layout)

    def _predict(self, small: np.ndarray, layout: Layout) -> np.ndarray:
        """The map of pictures, shape (N, 1, h, w)."""
        result = self._runner.run(
            small, replace(layout, batched=True, planes=True, dtype=small.dtype), {}
        )
        assert result.guidance is not None
        return result.guidance[:, None]

    def _enhance_small(
        self, small: np.ndarray, layout: Layout, dials: Dials, size: tuple[int, int]
    ) -> Transfer:
        """How small copies are enhanced at full strength.

        size: height and width of the pictures.
        """
        scale = np.float32(full_scale(small.dtype))
        floats = small[..., : layout.color].astype(np.float32) / scale
        rows, columns = floats.shape[1:3]
        feeds = dials.shrunk(rows, columns)
        feeds.pop("strength", None)
        padded = {
            name: value if value.size == 1 else pad_to_multiple(value, self._info.size_multiple)
            for name, value in feeds.items()
        }
        result = self._runner.run(floats, layout_of(floats), padded)
        assert result.guidance is not None
        return Transfer(floats, result.image, result.guidance, size)


def _reduced(image: np.ndarray, layout: Layout, rows: int, columns: int) -> np.ndarray:
    """Small copies of pictures, shape (N, rows, columns, C)."""
    pictures = image if layout.batched else image[None]
    if layout.dtype == np.float16:
        pictures = pictures.astype(np.float32)
    small = [cv2.resize(p, (columns, rows), interpolation=cv2.INTER_AREA) for p in pictures]
    return np.stack(small).reshape(len(pictures), rows, columns, -1)


def _transferred(
    transfer: Transfer, part: np.ndarray, layout: Layout, dials: Dials, seen: Seen
) -> Result:
    """Enhance a part as the small copy of the whole was."""
    tensor, _ = to_tensor(part, layout.color)
    enhanced, guidance = transfer(tensor, seen.rows.main, seen.columns.main)
    feeds = dials.feeds(seen.rows.places, seen.columns.places, 1)
    if "strength" in feeds:
        enhanced = (tensor + feeds["strength"] * (enhanced - tensor)).clip(0, 1)
    return Result(from_tensor(enhanced, part, layout), guidance if layout.batched else guidance[0])


def _with_level(
    feeds: dict[str, np.ndarray], seen: Seen, size: tuple[int, int], level: np.ndarray
) -> dict[str, np.ndarray]:
    """The dials of a part whose map has the whole picture's power, by its outermost pixels.

    Deconvolution weighs its prior by that power. What is kept of the part does not see those
    pixels. Where a part is very much noisier than the whole they cannot make up for it.
    size: height and width of the part. level: the mean square of each map, shape (N,).
    """
    outer = seen.rows.near_seams(_LEVELED)[:, None] | seen.columns.near_seams(_LEVELED)
    if not outer.any():  # it sees the whole picture
        return feeds
    outer = np.pad(outer, [(0, s - have) for s, have in zip(size, outer.shape, strict=True)])
    maps = feeds["guidance_in"].copy()
    lacking = level * outer.size - np.square(maps[:, 0, ~outer], dtype=np.float64).sum(1)
    maps[:, 0, outer] = np.sqrt(np.maximum(lacking / outer.sum(), 0))[:, None]
    return feeds | {"guidance_in": maps}


def _joined(batches: Iterable[Result]) -> Result:
    """Batches one behind the other."""
    pairs = [(result.image, result.guidance) for result in batches]
    images, maps = zip(*pairs, strict=True)
    return Result(np.concatenate(images), np.concatenate(maps))


def _empty_map(layout: Layout, height: int, width: int, count: int) -> np.ndarray:
    return np.empty((count, height, width) if layout.batched else (height, width), np.float32)


def _paste(target: Result, part: Result, tile: Tile, seen: Seen, layout: Layout) -> None:
    """Put what a tile gives into the whole."""
    into = slice(*tile.rows), slice(*tile.columns)
    out_of = seen.rows.inside(tile.rows), seen.columns.inside(tile.columns)
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
