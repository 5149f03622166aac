"""Measures by how many pixels tiles must overlap so that their seams do not show.

A deep network's receptive field grows with every layer, but what lies near its edge has hardly any
weight: tiles that overlap by all of it are mostly overlap. See Luo, Li, Urtasun, Zemel,
"Understanding the effective receptive field in deep convolutional neural networks" (2016).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from hyperguide.padding import next_multiple

# Largest change that is accepted: a quarter of a level of 8 bits.
_LEAST_VISIBLE = 0.25 / 255
# Standard deviations of the noise, in levels, left and right of the seam.
_NOISE = ((0, 30), (30, 0), (4, 12), (60, 20))
_ROWS = 96


def sufficient_overlap(
    restore: Callable[[Tensor], Tensor], channels: int, size_multiple: int, receptive_field: int
) -> int:
    """The least overlap at which tiles of test pictures match the picture enhanced whole.

    The pictures have structures of all sizes, and different noise on both sides of a seam.

    restore: enhances pictures of shape (N, channels, H, W) in [0, 1].
    size_multiple: H and W must be multiples of this; the result is one, too.
    receptive_field: in pixels. The result is at most this, rounded up.
    """
    field = next_multiple(receptive_field, size_multiple)
    pictures = _pictures(next_multiple(_ROWS, size_multiple), 2 * field, channels)
    with torch.no_grad():
        whole = restore(pictures)
        overlap = field
        while overlap > 0:
            fewer = overlap - size_multiple
            tile = restore(pictures[..., field - fewer :].contiguous())
            change = (tile[..., fewer:] - whole[..., field:]).abs().max()
            if float(change) > _LEAST_VISIBLE:
                break
            overlap = fewer
    return overlap


def _pictures(rows: int, columns: int, channels: int) -> Tensor:
    """Noisy pictures with a seam in the middle, shape (len(_NOISE), channels, rows, columns)."""
    random = np.random.default_rng(0)
    clean = np.zeros((rows, columns, channels), np.float32)
    for step in (1, 2, 4, 8, 16, 32, 64):  # natural pictures vary more over larger distances
        shape = (-(-rows // step), -(-columns // step), channels)
        octave = random.normal(0, 0.01 * step**0.5, shape).astype(np.float32)
        enlarged = cv2.resize(octave, (columns, rows), interpolation=cv2.INTER_CUBIC)
        clean += enlarged.reshape(clean.shape)
    pictures = []
    for left, right in _NOISE:
        deviation = np.where(np.arange(columns) < columns // 2, left, right)[:, None] / 255
        pictures.append(0.5 + clean + deviation * random.normal(size=clean.shape))
    stacked = np.stack(pictures).clip(0, 1).astype(np.float32)
    return torch.from_numpy(stacked.transpose(0, 3, 1, 2).copy())
