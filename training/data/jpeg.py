"""Pictures as JPEG files hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class JpegFile:
    """How a file is stored.

    quality: 1 to 100. whole_colors: at full resolution (4:4:4) rather than half (4:2:0).
    top, left: rows and columns by which the block grid is shifted, as in files that were cropped
        and stored again.
    """

    quality: int
    whole_colors: bool
    top: int
    left: int

    def store(self, image: Tensor) -> Tensor:
        """An image, shape (1 or 3, H, W) in [0, 1], as read from the file."""
        larger = F.pad(image[None], (self.left, 0, self.top, 0), mode="replicate")[0]
        stored = through_jpeg(larger, self.quality, self.whole_colors)
        return stored[:, self.top :, self.left :]


def draw_jpeg(lowest: int, rng: np.random.Generator) -> JpegFile:
    """A file of random quality, at least `lowest`, and block offset."""
    quality = int(rng.integers(lowest, 101))
    top, left = rng.integers(0, 16, 2).tolist()
    return JpegFile(quality, bool(rng.random() < 0.4), top, left)


def through_files(picture: np.ndarray, files: Sequence[JpegFile]) -> np.ndarray:
    """A picture, shape (H, W, C), rounded to 8 bits and stored in one file after the other."""
    stored = torch.from_numpy(picture.clip(0, 1).astype(np.float32)).permute(2, 0, 1)
    stored = (stored * 255).round() / 255
    for file in files:
        stored = file.store(stored)
    return stored.permute(1, 2, 0).numpy()


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
