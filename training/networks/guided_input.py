"""What the compact networks read: picture and map, folded into channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fold_input(image: Tensor, guidance: Tensor | None, maximum: float, unshuffle: int) -> Tensor:
    """Put picture and map together and fold pixel blocks into channels.

    image: shape (N, C, H, W) in [0, 1]; guidance: shape (N, 1, H, W) in [0, maximum], None for
        the unguided twin; unshuffle: side of the blocks.
    Returns shape (N, (C + 1) u^2, H / u, W / u), values around 0; the map's channels last.
    """
    planes = [image - 0.5] if guidance is None else [image - 0.5, guidance / maximum]
    return F.pixel_unshuffle(torch.cat(planes, 1), unshuffle)
