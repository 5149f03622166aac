"""Large pictures in parts: what a network sees for each part, and what is kept of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hyperguide.pixels import next_multiple

Range = tuple[int, int]
"""From one pixel to before another."""


@dataclass(frozen=True)
class Stretch:
    """What the network sees along one axis: pieces of the picture, put together.

    wrapped: a piece from the opposite border, behind the first tile or before the last one.
    cut: whether the main piece begins, and ends, where the picture goes on.
    """

    main: Range
    cut: tuple[bool, bool]
    wrapped: Range | None = None

    @property
    def length(self) -> int:
        """Pixels in all."""
        more = self.wrapped
        return self.main[1] - self.main[0] + (0 if more is None else more[1] - more[0])

    @property
    def places(self) -> slice | np.ndarray:
        """Where they are in the picture."""
        if self.wrapped is None:
            return slice(*self.main)
        return np.concatenate([np.arange(*piece) for piece in self._pieces])

    def inside(self, part: Range) -> slice:
        """Where a part of the main piece is among what is seen."""
        before = self._pieces[0]
        skipped = 0 if before == self.main else before[1] - before[0]
        first = part[0] - self.main[0] + skipped
        return slice(first, first + part[1] - part[0])

    def near_seams(self, length: int) -> np.ndarray:
        """Which of the pixels lie so near a seam; shape (pixels in all,)."""
        near = []
        for piece in self._pieces:
            place = np.arange(piece[1] - piece[0])
            # A wrapped piece has its seam where the main one has none: inside of the picture.
            at_start, at_end = self.cut if piece == self.main else self.cut[::-1]
            near.append((at_start & (place < length)) | (at_end & (place >= len(place) - length)))
        return np.concatenate(near)

    @property
    def _pieces(self) -> list[Range]:
        if self.wrapped is None:
            return [self.main]
        behind = self.main[0] == 0
        return [self.main, self.wrapped] if behind else [self.wrapped, self.main]


@dataclass(frozen=True)
class Seen:
    """What the network sees for a tile."""

    rows: Stretch
    columns: Stretch

    @property
    def pixels(self) -> int:
        """How many it sees."""
        return self.rows.length * self.columns.length


@dataclass(frozen=True)
class Tile:
    """A part of a picture, whose origin is a multiple of the network's blocks.

    rows, columns: the part of the result that it gives.
    """

    rows: Range
    columns: Range

    @property
    def pixels(self) -> int:
        """How many it gives."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    def seen(self, overlap: int, height: int, width: int, wraps: bool = False) -> Seen:
        """What the network must see of a picture for it.

        overlap: how far it must see, a multiple of the network's blocks.
        wraps: whether the network takes each border for the neighbour of the opposite one, as
            Fourier transforms do. What is then put together of two pieces wraps as the whole does,
            and the seam between them is out of sight.
        """
        return Seen(
            _stretch(self.rows, overlap, height, wraps),
            _stretch(self.columns, overlap, width, wraps),
        )

    def split(self, multiple: int) -> list[Tile]:
        """Two halves across the longer side; itself alone if it has but one block there."""
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

    side: the longest side of a tile; rounded up to a multiple.
    """
    for rows in _ranges(height, side, multiple):
        for columns in _ranges(width, side, multiple):
            yield Tile(rows, columns)


def side_for(pixels: int, overlap: int, multiple: int) -> int:
    """The side of the largest square tile of which the network sees at most so many pixels.

    But no less than the overlap, or hardly anything of what is computed would be kept.
    """
    side = max(math.isqrt(max(pixels, 0)) - 2 * overlap, overlap, 1)
    return next_multiple(side, multiple)


def sample(grid: np.ndarray, rows: Range, columns: Range, size: tuple[int, int]) -> np.ndarray:
    """A part of what maps would be if they were enlarged linearly.

    grid: maps, shape (N, 1, h, w). size: height and width that they stand for.
    Returns shape (N, 1, rows, columns).
    """
    above, below, share = _neighbours(rows, grid.shape[2], size[0])
    lines = grid[:, :, above] * (1 - share)[:, None] + grid[:, :, below] * share[:, None]
    before, behind, share = _neighbours(columns, grid.shape[3], size[1])
    part: np.ndarray = lines[:, :, :, before] * (1 - share) + lines[:, :, :, behind] * share
    return part


def _neighbours(part: Range, cells: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of `cells` lie on both sides of each of the pixels, and the share of the second."""
    place = (np.arange(*part) + 0.5) * (cells / length) - 0.5
    place = place.clip(0, cells - 1).astype(np.float32)
    before = place.astype(np.intp)
    return before, np.minimum(before + 1, cells - 1), place - before


def _stretch(part: Range, overlap: int, length: int, wraps: bool) -> Stretch:
    main = max(part[0] - overlap, 0), min(part[1] + overlap, length)
    at_start, at_end = main[0] == 0, main[1] == length
    cut = (not at_start, not at_end)
    if not wraps or at_start == at_end:
        return Stretch(main, cut)
    # The last piece begins at a multiple of the overlap's blocks, as the whole picture does.
    other = (length - length % overlap - overlap, length) if at_start else (0, overlap)
    if (other[0] < main[1] and at_start) or (other[1] > main[0] and at_end):
        return Stretch((0, length), (False, False))
    return Stretch(main, cut, other)


def _ranges(length: int, side: int, multiple: int) -> list[Range]:
    count = -(-length // next_multiple(side, multiple))
    step = next_multiple(-(-length // count), multiple)
    return [(first, min(first + step, length)) for first in range(0, length, step)]
