"""Strategies for computing tiles that together equal the picture enhanced whole.

`LocalContext`: what is far away does not matter, so tiles that overlap are enough.
`MapOfWhole`: the map depends on the whole picture, and is predicted once, from a small copy.
`WholeScene`: the result does too. A small copy is enhanced, and its change applied to each tile.
`Deblurring`: Fourier transforms. Tiles wrap at borders, and share the power of the whole map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from hyperguide.model_format.contract import KERNEL
from hyperguide.padding import SizeRequirements
from hyperguide.pixels import Layout, from_tensor, full_scale, layout_of, to_tensor
from hyperguide.result import Result

from .dials import Dials, blended, mixed, only_map
from .guided_upsampling import Transfer
from .runner import Runner
from .tiles import Window, sample

# Pixels at the edge of a tile's window that may be changed to set the mean power of its map.
_LEVELING = 64

_WHOLE = slice(None)


@dataclass(frozen=True)
class Request:
    """A picture or a batch to enhance, with its dials."""

    image: np.ndarray
    layout: Layout
    dials: Dials

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of pictures, height, width."""
        return self.layout.size(self.image)

    def pictures(self, first: int, end: int) -> Request:
        """The request for pictures `first` to `end` of the batch."""
        return replace(self, image=self.image[first:end], dials=self.dials.pictures(first, end))

    def pixels(self, window: Window) -> np.ndarray:
        """The part of the picture in a window."""
        rows, columns = window.rows.places, window.columns.places
        if self.layout.batched:
            return self.image[:, rows][:, :, columns]
        return self.image[rows][:, columns]

    def feeds(self, window: Window, sizes: SizeRequirements) -> dict[str, np.ndarray]:
        """The dials in a window, padded."""
        return self.dials.feeds(window.rows.places, window.columns.places, sizes)

    def small_copy(self, rows: int, columns: int) -> np.ndarray:
        """The pictures resized, shape (N, rows, columns, C)."""
        pictures = self.image if self.layout.batched else self.image[None]
        if self.layout.dtype == np.float16:
            pictures = pictures.astype(np.float32)
        small = [cv2.resize(p, (columns, rows), interpolation=cv2.INTER_AREA) for p in pictures]
        return np.stack(small).reshape(len(pictures), rows, columns, -1)


class Strategy(Protocol):
    """Computes the tiles of one request.

    overlap: pixels that the network must see beyond a tile, a multiple of its size multiple.
    wraps: see `Tile.window`.
    needs_overview: whether `take_overview` must be called before a tile is computed.
    """

    overlap: int
    wraps: bool
    needs_overview: bool

    def take_overview(self, rows: int, columns: int) -> None:
        """Compute what all tiles share, from a copy of the picture of this size."""

    def run(self, window: Window, with_map: bool = True) -> Result:
        """Enhance the pixels in a window; without `with_map`, the result may lack the map."""


class LocalContext:
    """Tiles whose windows reach as far as what matters to them."""

    wraps = False
    needs_overview = False

    def __init__(self, runner: Runner, request: Request) -> None:
        self._runner = runner
        self._request = request
        self._sizes = runner.info.sizes
        self.overlap = runner.info.tile_overlap

    def take_overview(self, rows: int, columns: int) -> None:
        """Do nothing: tiles share nothing."""

    def run(self, window: Window, with_map: bool = True) -> Result:
        """Enhance the pixels in a window."""
        return self._enhance(window, self._request.feeds(window, self._sizes), with_map)

    def _enhance(self, window: Window, feeds: Mapping[str, np.ndarray], with_map: bool) -> Result:
        part = self._request.pixels(window)
        is_part = part.size < self._request.image.size
        return self._runner.run(part, self._request.layout, feeds, is_part, with_map)


class MapOfWhole(LocalContext):
    """Tiles that share a map predicted from a small copy of the whole picture."""

    needs_overview = True
    _predicted: np.ndarray | None = None

    def take_overview(self, rows: int, columns: int) -> None:
        """Predict the map."""
        small = self._request.small_copy(rows, columns)
        layout = replace(self._request.layout, batched=True, planes=True, dtype=small.dtype)
        result = self._runner.run(small, layout, {})
        assert result.guidance is not None
        self._predicted = result.guidance[:, None]

    def run(self, window: Window, with_map: bool = True) -> Result:
        """Enhance the pixels in a window, with its own map if it is the whole picture."""
        feeds = self._request.feeds(window, self._sizes)
        if self._predicted is not None:
            _, height, width = self._request.size
            own = sample(self._predicted, window.rows.main, window.columns.main, (height, width))
            feeds |= only_map(mixed(self._sizes.pad(own), feeds))
        return self._enhance(window, feeds, with_map)


class WholeScene(LocalContext):
    """Tiles that are changed in the same way as a small copy of the whole picture."""

    needs_overview = True
    _transfer: Transfer | None = None

    def take_overview(self, rows: int, columns: int) -> None:
        """Enhance the copy at full strength."""
        small = self._request.small_copy(rows, columns)
        scale = np.float32(full_scale(small.dtype))
        floats = small[..., : self._request.layout.color].astype(np.float32) / scale
        feeds = self._request.dials.shrunk(rows, columns).feeds(_WHOLE, _WHOLE, self._sizes)
        feeds.pop("strength", None)
        result = self._runner.run(floats, layout_of(floats), feeds)
        assert result.guidance is not None
        _, height, width = self._request.size
        self._transfer = Transfer(floats, result.image, result.guidance, (height, width))

    def run(self, window: Window, with_map: bool = True) -> Result:
        """Enhance the pixels in a window, by the network itself if it is the whole picture."""
        if self._transfer is None:
            return super().run(window, with_map)
        layout, part = self._request.layout, self._request.pixels(window)
        tensor, _ = to_tensor(part, layout.color)
        enhanced, guidance = self._transfer(tensor, window.rows.main, window.columns.main)
        enhanced = blended(tensor, enhanced, self._request.feeds(window, SizeRequirements(1)))
        picture = from_tensor(enhanced, part, layout)
        return Result(picture, guidance if layout.batched else guidance[0])


class Deblurring(LocalContext):
    """Tiles of a blurred picture: the network sees all of it, but distant pixels matter little.

    level: mean square of each picture's map, shape (N,). Deconvolution weights its prior by it, so
        every tile must have the same; None if it is not known yet, or the map is constant.
    """

    wraps = True

    def __init__(self, runner: Runner, request: Request, level: np.ndarray | None = None) -> None:
        super().__init__(runner, request)
        self._level = level
        kernel = request.dials.values.get(KERNEL)
        sides = kernel.shape[2:] if kernel is not None else (1, 1)
        reach = runner.info.receptive_field + 2 * max(sides) + _LEVELING
        self.overlap = self._sizes.of(reach)

    def run(self, window: Window, with_map: bool = True) -> Result:
        """Enhance the pixels in a window."""
        feeds = self._request.feeds(window, self._sizes)
        if self._level is not None:
            feeds |= _leveled(feeds["guidance_in"], window, self._level)
        return self._enhance(window, feeds, with_map)

    def with_known_maps(self, maps: np.ndarray) -> Deblurring:
        """The same with the maps predicted for all tiles, shape (..., H, W), unscaled."""
        request = self._request
        dials = request.dials.with_maps(maps.reshape(-1, 1, *maps.shape[-2:]))
        level = np.square(dials.values["guidance_in"], dtype=np.float64).mean((1, 2, 3))
        return Deblurring(self._runner, replace(request, dials=dials), level)


def strategy_for(runner: Runner, request: Request) -> Strategy:
    """The strategy that suits a network and the dials of a request."""
    info = runner.info
    if info.whole_picture:
        return WholeScene(runner, request)
    if runner.takes_kernel:
        return Deblurring(runner, request)
    mix = request.dials.values.get("guidance_mix")
    predicts = mix is None or float(mix.min()) < 1
    if info.context == "global" and predicts:
        return MapOfWhole(runner, request)
    return LocalContext(runner, request)


def _leveled(maps: np.ndarray, window: Window, level: np.ndarray) -> dict[str, np.ndarray]:
    """The map of a window, with its outermost pixels changed so that its mean square is `level`.

    The part of the window that is kept does not see those pixels. They cannot compensate for a part
    that is much noisier than the whole.
    maps: padded, shape (N, 1, H, W).
    """
    outer = window.rows.near_seams(_LEVELING)[:, None] | window.columns.near_seams(_LEVELING)
    if not outer.any():  # the window is the whole picture
        return {}
    missing = [padded - own for padded, own in zip(maps.shape[2:], outer.shape, strict=True)]
    outer = np.pad(outer, [(0, count) for count in missing])
    maps = maps.copy()
    lacking = level * outer.size - np.square(maps[:, 0, ~outer], dtype=np.float64).sum(1)
    maps[:, 0, outer] = np.sqrt(np.maximum(lacking / outer.sum(), 0))[:, None]
    return {"guidance_in": maps}
