"""Large pictures in parts: what a network sees for each part, and what is kept of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .pixels import next_multiple

Range = tuple[int, int]
"""From one pixel to before another."""


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

    def seen(self, overlap: int, height: int, width: int) -> Tile:
        """What the network must see of a picture for it."""
        return Tile(_wider(self.rows, overlap, height), _wider(self.columns, overlap, width))

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


def _wider(part: Range, overlap: int, length: int) -> Range:
    return max(part[0] - overlap, 0), min(part[1] + overlap, length)


def _ranges(length: int, side: int, multiple: int) -> list[Range]:
    count = -(-length // next_multiple(side, multiple))
    step = next_multiple(-(-length // count), multiple)
    return [(first, min(first + step, length)) for first in range(0, length, step)]
