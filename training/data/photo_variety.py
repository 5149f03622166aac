"""Few photos as many kinds of pictures: other scales, colours and light, and drawn ones."""

from __future__ import annotations

import cv2
import numpy as np

from .drawings import draw_picture
from .draws import log_uniform

# Crops are larger than samples by so many pixels, so that photos can be reduced.
MARGIN = 64

# The largest enlargement: phones and lenses give pictures that are soft at their own pixels.
_ENLARGED = 3.0


def draw_photo(
    crop: np.ndarray,
    height: int,
    width: int,
    varied: float,
    drawn: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """A picture of a size from a crop of a photo, or drawn.

    crop: float32, shape (H, W, C) in [0, 1]; so is the result, of the size that is asked for.
    varied: 0 leaves the photo as it is, 1 varies its scale, colours and light in most cases.
    drawn: share of drawn pictures.
    """
    channels = crop.shape[2]
    if rng.random() < drawn:
        picture = draw_picture(height, width, rng).astype(np.float32) / 255
        return picture if channels == 3 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    photo = _scaled(crop, height, width, varied, rng)
    if channels == 3:
        photo = _recolored(photo, varied, rng)
    return _relit(photo, varied, rng)


def _scaled(
    crop: np.ndarray, height: int, width: int, varied: float, rng: np.random.Generator
) -> np.ndarray:
    """A part of the crop, reduced or enlarged to the size."""
    largest = min(crop.shape[0] / height, crop.shape[1] / width)
    chance, scale = rng.random(), 1.0
    if chance < 0.25 * varied:
        scale = log_uniform(1.0, max(largest, 1.001), rng)
    elif chance < 0.6 * varied:
        scale = 1 / log_uniform(1.0, _ENLARGED, rng)
    scale = min(scale, largest)
    part = crop[: max(round(height * scale), 8), : max(round(width * scale), 8)]
    if part.shape[:2] == (height, width):
        return part
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    photo = cv2.resize(part, (width, height), interpolation=how).clip(0, 1)
    return photo[..., None] if photo.ndim == 2 else photo


def _recolored(photo: np.ndarray, varied: float, rng: np.random.Generator) -> np.ndarray:
    """Channels exchanged, saturation changed, up to colours that no photo of the set has."""
    chance = rng.random(2)
    if chance[0] < 0.3 * varied:
        photo = photo[..., rng.permutation(3)]
    if chance[1] < 0.5 * varied:
        gray = photo.mean(2, keepdims=True)
        photo = gray + np.float32(rng.uniform(0.2, 2.5)) * (photo - gray)
    return photo.clip(0, 1)


def _relit(photo: np.ndarray, varied: float, rng: np.random.Generator) -> np.ndarray:
    """Another gamma, or a dark picture as of the night."""
    chance = rng.random(2)
    if chance[0] < 0.3 * varied:
        photo = np.maximum(photo, 1e-4) ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    if chance[1] < 0.12 * varied:
        photo = photo * np.float32(rng.uniform(0.05, 0.5))
    return np.ascontiguousarray(photo, np.float32)
