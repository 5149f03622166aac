"""Pictures of any size brought to a fixed grid and back, in steps that every engine has.

Engines resize without averaging, so that a large picture would be sampled here and there, and some
not to a size that is known only when they run. Matrix products would do both, but not every GPU has
them in fp32. What is left are gathered rows and columns, and weighted sums of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Rows and columns of the grid on which networks see a whole picture.
SCENE = (96, 128)


def average(image: Tensor, rows: int, columns: int) -> Tensor:
    """The mean over each cell of a grid, as `adaptive_avg_pool2d` computes it.

    image: shape (N, C, H, W), any size. Returns shape (N, C, rows, columns).
    """
    return _average_rows(_average_rows(image.float(), rows).mT, columns).mT


def interpolate(grid: Tensor, height: int, width: int) -> Tensor:
    """Bilinear enlargement, cell centres aligned, as `interpolate` computes it.

    grid: shape (N, C, rows, columns). Returns shape (N, C, height, width).
    """
    return _interpolate_rows(_interpolate_rows(grid.mT, width).mT, height)


def _average_rows(image: Tensor, cells: int) -> Tensor:
    """The mean over each of `cells` bands of rows. Whole rows are gathered faster than columns."""
    places, beyond, share = _cells(image.shape[2], cells, image.device)
    rows = image.index_select(2, places.flatten()).unflatten(2, (cells, -1))
    # Taking back what is not in the cell is little beside weighting all that is gathered.
    first = image.index_select(2, places[:, 0])
    return (rows.sum(3) - first * beyond[:, None]) * share[:, None]


def _interpolate_rows(grid: Tensor, height: int) -> Tensor:
    """More rows, between those of the grid."""
    before, behind, share = _neighbours(grid.shape[2], height, grid.device)
    share = share[:, None]
    return grid.index_select(2, before) * (1 - share) + grid.index_select(2, behind) * share


def _cells(length: int, cells: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Which of `length` pixels lie in each cell.

    Returns places, shape (cells, most), filled up with each cell's first pixel; how many were
    filled up; and 1 / the number of pixels in the cell, both of shape (cells,).
    """
    cell = torch.arange(cells, device=device)
    first = torch.div(cell * length, cells, rounding_mode="floor")
    end = torch.div((cell + 1) * length + cells - 1, cells, rounding_mode="floor")
    steps = torch.arange(length // cells + 2, device=device)[None, :]
    inside = (first[:, None] + steps < end[:, None]).to(torch.int64)
    count = (end - first).to(torch.float32)
    beyond = length // cells + 2 - count
    return first[:, None] + steps * inside, beyond, 1 / count


def _neighbours(cells: int, length: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The cells on both sides of each of `length` pixels, and the share of the second."""
    # Doubled and in whole numbers as long as it goes.
    pixel = torch.arange(length, device=device)
    place = (2 * pixel + 1).to(torch.float32) * cells / (2 * length) - 0.5
    place = place.clamp(0, cells - 1)
    before = place.floor()
    behind = (before + 1).clamp(max=cells - 1)
    return before.to(torch.int64), behind.to(torch.int64), place - before
