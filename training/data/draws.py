"""Random numbers for the degradations, all from one torch generator."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def uniform(low: float, high: float, shape: tuple[int, ...], rng: Generator) -> Tensor:
    """Uniform random numbers from [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=rng)


def happens(share: float, count: int, rng: Generator) -> Tensor:
    """A bool per sample, shape (count, 1, 1, 1), true with probability `share`."""
    return torch.rand((count, 1, 1, 1), generator=rng) < share


def smooth_field(count: int, height: int, width: int, cells: int, rng: Generator) -> Tensor:
    """Smooth random fields in [0, 1], shape (count, 1, height, width), `cells` bumps across."""
    coarse = torch.rand((count, 1, cells, cells), generator=rng)
    fine = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return fine.clamp_(0, 1)


def numpy_generator(rng: Generator) -> np.random.Generator:
    """A numpy generator seeded from the torch generator."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))


def log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    """A number from [low, high) whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
