"""Converts the transparency of picture files to a straight alpha plane."""

from __future__ import annotations

import numpy as np

from hyperguide.pixels import full_scale

from .containers import png_chunks

_PIXELS = 1 << 16  # whose colours are divided at a time


def straight_alpha(picture: np.ndarray) -> np.ndarray:
    """Convert premultiplied RGBA, shape (H, W, 4), to straight alpha, in place."""
    full = np.float32(full_scale(picture.dtype))
    rows = max(1, _PIXELS // max(1, picture.shape[1]))
    for first in range(0, len(picture), rows):
        part = picture[first : first + rows]
        alpha = part[..., 3:].astype(np.float32)
        color = part[..., :3] * (full / np.where(alpha == 0, full, alpha))
        part[..., :3] = np.minimum(color if picture.dtype.kind == "f" else np.rint(color), full)
    return picture


def with_transparent_level(picture: np.ndarray, content: bytes) -> np.ndarray:
    """A gray picture as RGBA if its PNG file says that one of its levels is transparent.

    picture: shape (H, W), decoded from `content`.
    """
    spans = [span for name, span in png_chunks(content) if name == b"tRNS"]
    if not spans:
        return picture
    full, steps = int(full_scale(picture.dtype)), (1 << content[24]) - 1  # by IHDR's bit depth
    level = int.from_bytes(content[spans[0][0] : spans[0][0] + 2], "big") & steps
    rgba = np.empty((*picture.shape, 4), picture.dtype)
    rgba[..., :3] = picture[..., None]
    rgba[..., 3] = picture != level * (full // steps)
    rgba[..., 3] *= picture.dtype.type(full)
    return rgba
