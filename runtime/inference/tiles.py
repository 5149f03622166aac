"""Tiles of a picture: the window that the network sees for each, and the part that is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hyperguide.padding import next_multiple

Range = tuple[int, int]
"""First pixel, and one past the last."""


@dataclass(frozen=True)
class Span:
    """The pixels along one axis that the network sees for a tile.

    main: the tile and its surroundings.
    inner: whether the main piece starts, and ends, inside the picture.
    wrapped: a second piece at the opposite border: after the first tile, or before the last one.
    """

    main: Range
    inner: tuple[bool, bool]
    wrapped: Range | None = None

    @property
    def length(self) -> int:
        """Number of pixels."""
        more = self.wrapped
        return self.main[1] - self.main[0] + (0 if more is None else more[1] - more[0])

    @property
    def places(self) -> slice | np.ndarray:
        """Their indices in the picture."""
        if self.wrapped is None:
            return slice(*self.main)
        return np.concatenate([np.arange(*piece) for piece in self._pieces])

    def inside(self, part: Range) -> slice:
        """Where a range of the main piece lies within the span."""
        before = self._pieces[0]
        skipped = 0 if before == self.main else before[1] - before[0]
        first = part[0] - self.main[0] + skipped
        return slice(first, first + part[1] - part[0])

    def near_seams(self, length: int) -> np.ndarray:
        """Which pixels lie within `length` of a seam; bool of shape (self.length,)."""
        near = []
        for piece in self._pieces:
            place = np.arange(piece[1] - piece[0])
            # The main piece starts or ends inside the picture where the wrapped one does not.
            at_start, at_end = self.inner if piece == self.main else self.inner[::-1]
            near.append((at_start & (place < length)) | (at_end & (place >= len(place) - length)))
        return np.concatenate(near)

    @property
    def _pieces(self) -> list[Range]:
        if self.wrapped is None:
            return [self.main]
        behind = self.main[0] == 0
        return [self.main, self.wrapped] if behind else [self.wrapped, self.main]


@dataclass(frozen=True)
class Window:
    """The pixels that the network sees for a tile."""

    rows: Span
    columns: Span

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.rows.length * self.columns.length


@dataclass(frozen=True)
class Tile:
    """A part of the result. Its origin is a multiple of the network's size multiple."""

    rows: Range
    columns: Range

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    def window(self, overlap: int, height: int, width: int, wraps: bool = False) -> Window:
        """What the network must see to compute this tile.

        overlap: pixels beyond the tile, a multiple of the network's size multiple.
        wraps: whether opposite borders are neighbours, as for a Fourier transform. A tile at a
            border then also sees the opposite one, so that the window wraps as the picture does.
        """
        return Window(
            _span(self.rows, overlap, height, wraps),
            _span(self.columns, overlap, width, wraps),
        )

    def split(self, multiple: int) -> list[Tile]:
        """Two halves across the longer side, or itself if it is too short to be split."""
        tall = self.rows[1] - self.rows[0] >= self.columns[1] - self.columns[0]
        first, end = self.rows if tall else self.columns
        middle = first + next_multiple((end - first) // 2, multiple)
        if not first < middle < end:
            return [self]
        if tall:
            return [Tile((first, middle), self.columns), Tile((middle, end), self.columns)]
        return [Tile(self.rows, (first, middle)), Tile(self.rows, (middle, end))]


def tiles(height: int, width: int, side: int, multiple: int) -> Iterator[Tile]:
    """Cover a picture with tiles of about equal size.

    side: of the largest tile; rounded up to a multiple.
    """
    for rows in _ranges(height, side, multiple):
        for columns in _ranges(width, side, multiple):
            yield Tile(rows, columns)


def side_for(pixels: int, overlap: int, multiple: int) -> int:
    """The side of the largest square tile whose window has at most this many pixels.

    At least the overlap: smaller tiles would waste most of the computation.
    """
    side = max(math.isqrt(max(pixels, 0)) - 2 * overlap, overlap, 1)
    return next_multiple(side, multiple)


def sample(grid: np.ndarray, rows: Range, columns: Range, size: tuple[int, int]) -> np.ndarray:
    """Enlarge maps linearly to `size`, and return a part of the result.

    grid: maps, shape (N, 1, h, w). size: height and width of the enlarged maps.
    Returns shape (N, 1, rows, columns).
    """
    above, below, share = _neighbours(rows, grid.shape[2], size[0])
    lines = grid[:, :, above] * (1 - share)[:, None] + grid[:, :, below] * share[:, None]
    before, behind, share = _neighbours(columns, grid.shape[3], size[1])
    part: np.ndarray = lines[:, :, :, before] * (1 - share) + lines[:, :, :, behind] * share
    return part


def _neighbours(part: Range, cells: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two cells next to each pixel, and the weight of the second."""
    place = (np.arange(*part) + 0.5) * (cells / length) - 0.5
    place = place.clip(0, cells - 1).astype(np.float32)
    before = place.astype(np.intp)
    return before, np.minimum(before + 1, cells - 1), place - before


def _span(part: Range, overlap: int, length: int, wraps: bool) -> Span:
    main = max(part[0] - overlap, 0), min(part[1] + overlap, length)
    at_start, at_end = main[0] == 0, main[1] == length
    inner = (not at_start, not at_end)
    if not wraps or at_start == at_end:
        return Span(main, inner)
    # Starts at a multiple of the overlap, so that blocks are aligned as in the whole picture.
    other = (length - length % overlap - overlap, length) if at_start else (0, overlap)
    if (other[0] < main[1] and at_start) or (other[1] > main[0] and at_end):
        return Span((0, length), (False, False))
    return Span(main, inner, other)


def _ranges(length: int, side: int, multiple: int) -> list[Range]:
    count = -(-length // next_multiple(side, multiple))
    step = next_multiple(-(-length // count), multiple)
    return [(first, min(first + step, length)) for first in range(0, length, step)]
