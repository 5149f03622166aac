"""Pictures of any size brought to a fixed grid and back, as matrix products.

Engines resize without averaging, so that a large picture would be sampled here and there, and some
not to a size that is known only when they run. Two matrix products do both, and all engines have
them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def average(image: Tensor, rows: int, columns: int) -> Tensor:
    """The mean over each cell of a grid, as `adaptive_avg_pool2d` computes it.

    image: shape (N, C, H, W), any size. Returns shape (N, C, rows, columns).
    """
    height, width = image.shape[2:]
    vertical, horizontal = (
        _cells(length, cells).to(image.device)
        for length, cells in ((height, rows), (width, columns))
    )
    return vertical @ image @ horizontal.mT


def interpolate(grid: Tensor, height: int, width: int) -> Tensor:
    """Bilinear enlargement, cell centres aligned, as `interpolate` computes it.

    grid: shape (N, C, rows, columns). Returns shape (N, C, height, width).
    """
    rows, columns = grid.shape[2:]
    vertical, horizontal = (
        _tents(length, cells).to(grid.device)
        for length, cells in ((height, rows), (width, columns))
    )
    return vertical @ grid @ horizontal.mT


def _cells(length: int, cells: int) -> Tensor:
    """How much each of `length` pixels counts in each cell, shape (cells, length)."""
    cell = torch.arange(cells)[:, None]
    first = torch.div(cell * length, cells, rounding_mode="floor")
    end = torch.div((cell + 1) * length + cells - 1, cells, rounding_mode="floor")
    pixel = torch.arange(length)[None, :]
    inside = (pixel >= first) & (pixel < end)
    return inside.to(torch.float32) / (end - first).to(torch.float32)


def _tents(length: int, cells: int) -> Tensor:
    """How much each of `cells` counts at each pixel, shape (length, cells)."""
    # Doubled and in whole numbers as long as it goes.
    place = (2 * torch.arange(length) + 1).to(torch.float32) * cells / (2 * length) - 0.5
    place = place.clamp(0, cells - 1)[:, None]
    return (1 - (place - torch.arange(cells)[None, :]).abs()).clamp(min=0)
