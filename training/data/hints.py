"""Maps as the reconstruction meets them in use: told from outside, or scaled by the dial.

Hints are the true map as depth sensors and users know it, coarse, inexact and in places only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .draws import happens, uniform

# Range of the number of cells along the longer side of a sample.
_CELLS = (3, 48)
# Half of the hints cover the whole picture, the others at least this share of the cells.
_LEAST_KNOWN = 0.2
# Largest standard deviation of a cell's relative error.
_ERROR = 0.05
# Scales lie between the inverse of this and this.
_LARGEST_SCALE = 2.0


def draw_hint(guidance: Tensor, share: float, rng: Generator) -> tuple[Tensor, Tensor]:
    """Hints for a share of the samples.

    guidance: the true maps, shape (N, 1, H, W).
    Returns (told, trust), both of shape (N, 1, H, W). What the network sees is
    trust told + (1 - trust) H(image), as with the dials `guidance_in` and `guidance_mix`. A sample
    without a hint has the trust 0 everywhere.
    """
    drawn = [_draw_one(one[None], rng) for one in guidance]
    told, trust = (torch.cat(planes) for planes in zip(*drawn, strict=True))
    return told, trust * happens(share, len(guidance), rng)


def draw_scale(count: int, rng: Generator) -> Tensor:
    """Scales of the maps of `count` samples, shape (N, 1, 1, 1), in [1/2, 2].

    Half of them are 1. The logarithms of the others are uniform.
    """
    exponents = uniform(-1.0, 1.0, (count, 1, 1, 1), rng) * happens(0.5, count, rng)
    return torch.full((), _LARGEST_SCALE) ** exponents


def _draw_one(guidance: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
    height, width = guidance.shape[2:]
    few, many = torch.tensor(_CELLS).log().tolist()
    longer = float(uniform(few, many, (), rng).exp())
    rows, columns = (max(round(longer * side / max(height, width)), 1) for side in (height, width))
    cells = F.adaptive_avg_pool2d(guidance, (rows, columns))
    error = float(uniform(0, _ERROR, (), rng))
    cells = cells * (1 + error * torch.randn(cells.shape, generator=rng))
    known = 1.0 if happens(0.5, 1, rng) else float(uniform(_LEAST_KNOWN, 1, (), rng))
    trust = (torch.rand(cells.shape, generator=rng) < known).to(guidance.dtype)
    return _enlarged(cells, height, width), _enlarged(trust, height, width).clamp(0, 1)


def _enlarged(cells: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(cells, (height, width), mode="bilinear", align_corners=False)
