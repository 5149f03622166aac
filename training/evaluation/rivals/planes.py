"""Pictures as batches of planes, for methods that restore each colour plane by itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_planes(picture: np.ndarray) -> Tensor:
    """(H, W) or (H, W, C) -> (C, 1, H, W), float64."""
    planes = np.atleast_3d(picture).transpose(2, 0, 1)[:, None].astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(planes))


def to_kernel(kernel: np.ndarray | None) -> Tensor:
    """(kh, kw) -> (1, 1, kh, kw), float64; None, for no blur, is the unit impulse."""
    blur = np.ones((1, 1)) if kernel is None else kernel
    return torch.from_numpy(np.ascontiguousarray(blur, np.float64))[None, None]


def to_picture(planes: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """(C, 1, H, W) -> `shape`, which is (H, W) or (H, W, C)."""
    return np.ascontiguousarray(planes[:, 0].permute(1, 2, 0).numpy().reshape(shape))
