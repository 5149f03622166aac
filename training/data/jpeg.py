"""Pictures as JPEG files hold them."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def through_jpeg_somewhere(image: Tensor, lowest: int, rng: np.random.Generator) -> Tensor:
    """An image, shape (C, H, W), after JPEG compression at a random quality and block offset.

    Files that were cropped and stored again have two block grids.
    lowest: quality, 1 to 100.
    """
    quality = int(rng.integers(lowest, 101))
    top, left = rng.integers(0, 16, 2).tolist()
    larger = F.pad(image[None], (left, 0, top, 0), mode="replicate")[0]
    return through_jpeg(larger, quality, bool(rng.random() < 0.4))[:, top:, left:]


def through_jpeg(image: Tensor, quality: int, whole_colors: bool = False) -> Tensor:
    """An image, shape (1 or 3, H, W) in [0, 1], after JPEG compression.

    whole_colors: store the colours at full resolution (4:4:4) rather than half (4:2:0).
    """
    pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    if pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    sampling = 0x111111 if whole_colors else 0x221111
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    data = cv2.imencode(".jpg", pixels, options)[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    decoded = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) if decoded.ndim == 3 else decoded[..., None]
    return torch.from_numpy(decoded).permute(2, 0, 1).float() / 255
