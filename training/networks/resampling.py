"""Resamples pictures of any size to a fixed grid and back, with operations that all engines have.

Engines resize without averaging, so that a large picture would be sampled sparsely, and some cannot
resize to a size known only at run time. Matrix products could do both, but not every GPU has them
in fp32. This module therefore gathers rows and columns and computes their weighted sums.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Rows and columns of the grid to which whole pictures are reduced for the networks.
SCENE = (96, 128)


def average(image: Tensor, rows: int, columns: int) -> Tensor:
    """The mean over each cell of a grid, equal to `adaptive_avg_pool2d`.

    image: shape (N, C, H, W), any size. Returns shape (N, C, rows, columns).
    """
    return _average_rows(_average_rows(image.float(), rows).mT, columns).mT


def interpolate(grid: Tensor, height: int, width: int) -> Tensor:
    """Bilinear upsampling with aligned cell centres, equal to torch's `interpolate`.

    grid: shape (N, C, rows, columns). Returns shape (N, C, height, width).
    """
    return _interpolate_rows(_interpolate_rows(grid.mT, width).mT, height)


def _average_rows(image: Tensor, cells: int) -> Tensor:
    """The mean over each of `cells` bands of rows. Rows are gathered faster than columns."""
    places, beyond, share = _cells(image.shape[2], cells, image.device)
    rows = image.index_select(2, places.flatten()).unflatten(2, (cells, -1))
    # Subtracting what is not in the cell is cheap compared with weighting all gathered rows.
    first = image.index_select(2, places[:, 0])
    return (rows.sum(3) - first * beyond[:, None]) * share[:, None]


def _interpolate_rows(grid: Tensor, height: int) -> Tensor:
    """Upsample the rows of a grid to `height`."""
    before, behind, share = _neighbours(grid.shape[2], height, grid.device)
    share = share[:, None]
    return grid.index_select(2, before) * (1 - share) + grid.index_select(2, behind) * share


def _cells(length: int, cells: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Find which of `length` pixels lie in each cell.

    Returns their indices, shape (cells, most), padded with each cell's first pixel; the number of
    padded entries; and 1 / the number of pixels in the cell, both of shape (cells,).
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
    """The cells on both sides of each of `length` pixels, and the weight of the second."""
    # Doubled, to stay in integers as long as possible.
    pixel = torch.arange(length, device=device)
    place = (2 * pixel + 1).to(torch.float32) * cells / (2 * length) - 0.5
    place = place.clamp(0, cells - 1)
    before = place.floor()
    # Without a lower end too, exporters write Min, which WebGPU lacks.
    behind = (before + 1).clamp(0, cells - 1)
    return before.to(torch.int64), behind.to(torch.int64), place - before
