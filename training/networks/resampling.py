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
    places, weights = _cells(image.shape[2], rows, image.device)
    lines = image[:, :, places.flatten()].unflatten(2, (rows, -1))
    image = (lines * weights[:, :, None]).sum(3)
    places, weights = _cells(image.shape[3], columns, image.device)
    lines = image[:, :, :, places.flatten()].unflatten(3, (columns, -1))
    return (lines * weights).sum(4)


def interpolate(grid: Tensor, height: int, width: int) -> Tensor:
    """Bilinear enlargement, cell centres aligned, as `interpolate` computes it.

    grid: shape (N, C, rows, columns). Returns shape (N, C, height, width).
    """
    before, behind, share = _neighbours(grid.shape[3], width, grid.device)
    grid = grid[:, :, :, before] * (1 - share) + grid[:, :, :, behind] * share
    before, behind, share = _neighbours(grid.shape[2], height, grid.device)
    share = share[:, None]
    return grid[:, :, before] * (1 - share) + grid[:, :, behind] * share


def _cells(length: int, cells: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which of `length` pixels lie in each cell and how much each counts, both (cells, most)."""
    cell = torch.arange(cells, device=device)[:, None]
    first = torch.div(cell * length, cells, rounding_mode="floor")
    end = torch.div((cell + 1) * length + cells - 1, cells, rounding_mode="floor")
    places = first + torch.arange(length // cells + 2, device=device)[None, :]
    inside = (places < end).to(torch.float32)
    # Cut as floats: OpenCV cuts no whole numbers.
    places = places.to(torch.float32).clamp(max=length - 1).to(torch.int64)
    return places, inside / (end - first).to(torch.float32)


def _neighbours(cells: int, length: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The cells on both sides of each of `length` pixels, and the share of the second."""
    # Doubled and in whole numbers as long as it goes.
    pixel = torch.arange(length, device=device)
    place = (2 * pixel + 1).to(torch.float32) * cells / (2 * length) - 0.5
    place = place.clamp(0, cells - 1)
    before = place.floor()
    behind = (before + 1).clamp(max=cells - 1)
    return before.to(torch.int64), behind.to(torch.int64), place - before
