"""Varies photos in scale, sharpness, colours and light, and mixes in drawn pictures."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from .drawings import draw_picture
from .draws import log_uniform
from .jpeg import draw_jpeg

# Pixels by which crops are larger than samples, so that photos can be reduced.
MARGIN = 128

# Photos have their own grain and JPEG artefacts. Reduced by this factor they have almost none.
_SPOTLESS = 2.0

# The largest enlargement, because phones and lenses make pictures that are soft at full resolution.
_ENLARGED = 3.0


def draw_photo(
    crop: np.ndarray,
    height: int,
    width: int,
    varied: float,
    drawn: float,
    rng: np.random.Generator,
    spotless: bool = False,
) -> np.ndarray:
    """A picture of the given size from a crop of a photo, or drawn.

    crop: float32, shape (H, W, C) in [0, 1]; so is the result, at the given size.
    varied: 0 leaves the photo unchanged, 1 varies its scale, sharpness, colours and light in most
        cases.
    drawn: share of drawn pictures.
    spotless: reduce the photo in most cases, as far as `varied` allows, so that its own grain is
        not taken for detail.
    """
    channels = crop.shape[2]
    if rng.random() < drawn:
        picture = draw_picture(height, width, rng).astype(np.float32) / 255
        return picture if channels == 3 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    photo = _scaled(crop, height, width, varied, spotless, rng)
    if channels == 3:
        photo = _recolored(photo, varied, rng)
    return _relit(photo, varied, rng)


def _scaled(
    crop: np.ndarray,
    height: int,
    width: int,
    varied: float,
    spotless: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """A part of the crop, reduced, sharpened, or enlarged to the given size.

    Photos are reduced before they are enlarged, because enlarged grain would look like a camera's.
    """
    largest = min(crop.shape[0] / height, crop.shape[1] / width)
    chance, reduced, enlarged = rng.random(), 1.0, 1.0
    if chance < 0.35 * varied:
        enlarged = log_uniform(1.0, _ENLARGED, rng)
        reduced = _SPOTLESS
    elif spotless and chance < varied:
        reduced = _SPOTLESS
    elif chance < 0.6 * varied:
        reduced = log_uniform(1.0, max(largest, 1.001), rng)
    reduced = min(reduced, largest * enlarged)
    small = max(round(height / enlarged), 4), max(round(width / enlarged), 4)
    taken = [max(round(side * reduced), 4) for side in small]
    photo = crop[: taken[0], : taken[1]]
    photo = resized(photo, small, cv2.INTER_AREA)
    if enlarged == 1 and not spotless and rng.random() < 0.45 * varied:
        photo = _sharpened(photo, rng)
    return resized(photo, (height, width), cv2.INTER_CUBIC).clip(0, 1)


def draw_scene(
    crop: np.ndarray,
    height: int,
    width: int,
    varied: float,
    drawn: float,
    is_clean: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """As `draw_photo`; scenes with nothing to remove are also processed, in a share of `varied`."""
    is_processed = is_clean and rng.random() < varied
    photo = draw_photo(crop, height, width, varied, drawn, rng, spotless=is_processed)
    return processed(photo, rng) if is_processed else photo


def processed(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photo as small cameras and websites make it: noise reduction, sharpening, JPEG.

    photo: float32, shape (H, W, C) in [0, 1]; so is the result.
    Halos, smeared grain and blocks are not noise, and removing them would only lose detail.
    """
    if rng.random() < 0.4:
        photo = _noise_reduced(photo, rng)
    for _ in range(int(rng.integers(0, 3))):
        photo = _sharpened(photo, rng)
    planes = torch.from_numpy(photo).permute(2, 0, 1)
    for _ in range(int(rng.integers(0, 3))):
        planes = draw_jpeg(65, rng).store(planes)
    return np.ascontiguousarray(planes.permute(1, 2, 0).numpy())


def _noise_reduced(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A noisy photo after a bilateral filter, which leaves strokes like those of a brush."""
    level = log_uniform(2, 8, rng) / 255
    noisy = photo + np.float32(level) * rng.standard_normal(photo.shape, np.float32)
    reduced = cv2.bilateralFilter(noisy, 5, level * rng.uniform(4, 10), rng.uniform(1, 3))
    return reduced.reshape(photo.shape).clip(0, 1)


def _sharpened(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photo after an unsharp mask, as cameras and websites apply it.

    Sharpened leaves and grass look like noise, and must be told from it.
    """
    radius, amount = log_uniform(0.4, 1.5, rng), rng.uniform(0.2, 2.0)
    soft = cv2.GaussianBlur(photo, (0, 0), radius).reshape(photo.shape)
    return (photo + np.float32(amount) * (photo - soft)).clip(0, 1)


def resized(photo: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    """A photo, shape (H, W, C), resized by OpenCV's interpolation `how`, if its size differs."""
    if photo.shape[:2] == size:
        return photo
    result = cv2.resize(photo, size[::-1], interpolation=how)
    return result[..., None] if result.ndim == 2 else result


def _recolored(photo: np.ndarray, varied: float, rng: np.random.Generator) -> np.ndarray:
    """Permute channels and change the saturation, up to colours that no photo of the set has."""
    chance = rng.random(2)
    if chance[0] < 0.3 * varied:
        photo = photo[..., rng.permutation(3)]
    if chance[1] < 0.5 * varied:
        gray = photo.mean(2, keepdims=True)
        photo = gray + np.float32(rng.uniform(0.2, 2.5)) * (photo - gray)
    return photo.clip(0, 1)


def _relit(photo: np.ndarray, varied: float, rng: np.random.Generator) -> np.ndarray:
    """Change the gamma, or darken the picture as at night."""
    chance = rng.random(2)
    if chance[0] < 0.3 * varied:
        photo = np.maximum(photo, 1e-4) ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    if chance[1] < 0.12 * varied:
        photo = photo * np.float32(rng.uniform(0.05, 0.5))
    return np.ascontiguousarray(photo, np.float32)
