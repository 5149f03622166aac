"""Adds rain to clean crops: streaks from files and drawn ones, for deraining."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Generator, Tensor

from hyperguide.training.fields import Checked, Range, Share, of_files

from .crops import crop_picture
from .draws import log_uniform, numpy_generator
from .jpeg import draw_jpeg, through_files
from .overlays import draw_overlay
from .photo_variety import MARGIN, draw_scene
from .sample import Sample

# Range of the brightness of drawn streaks.
_BRIGHTNESS = (0.06, 0.65)
# Longest drawn streak in pixels: a drop passes several frames' height in one exposure.
_LONGEST = 120

Layers = Annotated[int, Range(1, 16)]


@dataclass(frozen=True)
class Rain(Checked):
    """Streaks added to photos: min(x + S, 1), the model of Rain100L, and streaks that cover them.

    The map is the brightness that rain adds, |y - x|, the largest of the channels.

    synthetic: share of samples with drawn streaks; the rest take real layers from the bank.
    heavy: share of rainy samples with the sum of up to `layers` layers.
    covering: share of the samples with drawn streaks in which they hide what is behind them, as in
        photos, rather than adding light.
    veil: share of the samples with drawn streaks in which mist covers the scene. The mist is part
        of the target: only the streaks in front of it are removed (mist is haze, another task).
    clean: share of samples without rain; the photos among them are processed as small cameras do.
    stored: share of samples that went through noise and JPEG, which remain in the target.
    varied, drawn: see `Noise`.
    overlays: share of samples with text, fences, grass or wires in front of the scene. In half of
        them, as in subtitles, they are in front of the rain too.
    threshold: change of a value above which a pixel counts as rainy where the map is a region.
    """

    synthetic: Share = 0.3
    heavy: Share = 0.0
    layers: Layers = 4
    covering: Share = 0.0
    veil: Share = 0.25
    clean: Share = 0.05
    stored: Share = 0.0
    varied: Share = 0.0
    drawn: Share = 0.0
    overlays: Share = 0.0
    threshold: Share = 5 / 255
    bank: tuple[np.ndarray, ...] = of_files()

    @property
    def margin(self) -> int:
        """Pixels by which crops must be larger than samples, so that photos can be scaled."""
        return MARGIN if self.varied or self.drawn else 0

    def degrade(self, clean: Tensor, depth: Tensor | None, rng: Generator) -> Sample:
        """Add rain.

        clean: shape (N, C, H, W), larger than the samples by `margin`.
        """
        crops = (crop.permute(1, 2, 0).numpy() for crop in clean)
        samples = [self._degrade_one(crop, numpy_generator(rng)) for crop in crops]
        stacked = (torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True))
        return Sample(*(part.permute(0, 3, 1, 2).contiguous() for part in stacked))

    def _degrade_one(
        self, crop: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A rainy and a clean sample and the map, shape (H, W, C), (H, W, C), (H, W, 1)."""
        is_clean = rng.random() < self.clean
        clean = self._photo(crop, is_clean, rng)
        overlay = None
        if rng.random() < self.overlays:
            overlay = draw_overlay(clean.shape[0], clean.shape[1], rng)
        is_behind = rng.random() < 0.5
        if overlay is not None and is_behind:
            clean = overlay.over(clean)
        rainy = clean
        if not is_clean:
            clean, rainy = self._rain(clean, rng)
        if overlay is not None and not is_behind:
            clean, rainy = overlay.over(clean), overlay.over(rainy)
        added = np.abs(rainy - clean).max(2, keepdims=True)
        if rng.random() < self.stored:
            files = [draw_jpeg(60, rng) for _ in range(int(rng.integers(0, 3)))]
            level = log_uniform(0.5, 8, rng) / 255
            noise = np.float32(level) * rng.standard_normal(clean.shape, np.float32)
            rainy, clean = (through_files(picture + noise, files) for picture in (rainy, clean))
        return rainy.clip(0, 1), clean.clip(0, 1), added

    def _photo(self, crop: np.ndarray, is_clean: bool, rng: np.random.Generator) -> np.ndarray:
        if not self.margin:
            return crop
        height, width = (side - MARGIN for side in crop.shape[:2])
        return draw_scene(crop, height, width, self.varied, self.drawn, is_clean, rng)

    def _rain(self, photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The scene, perhaps behind mist, and the same in the rain."""
        height, width = photo.shape[:2]
        count = int(rng.integers(2, self.layers + 1)) if rng.random() < self.heavy else 1
        if self.bank and rng.random() >= self.synthetic:
            layers = [self._from_bank(height, width, rng) for _ in range(count)]
            streaks = np.stack(layers, 2).sum(2, keepdims=True)
            return photo, (photo + streaks).clip(0, 1)
        if rng.random() < self.veil:
            photo = _veil(photo, rng)
        streaks = draw_streaks(height, width, rng, count)[..., None]
        if rng.random() < self.covering:
            light = np.float32(rng.uniform(0.6, 1.0))
            return photo, photo + streaks * np.maximum(light - photo, 0)
        return photo, (photo + streaks).clip(0, 1)

    def _from_bank(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        layer = self.bank[int(rng.integers(len(self.bank)))]
        layer = crop_picture(layer, height, width, rng.random(), rng.random())
        layer = layer[:, ::-1] if rng.random() < 0.5 else layer
        return layer.astype(np.float32) / 255


def _veil(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photo behind gray mist of smoothly varying density up to 0.3."""
    height, width = photo.shape[:2]
    coarse = rng.random((3, 3), np.float32)
    density = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    density = (np.float32(0.3 * rng.random()) * density)[..., None]
    return photo * (1 - density) + density * np.float32(rng.uniform(0.5, 0.95))


def draw_streaks(height: int, width: int, rng: np.random.Generator, sheets: int = 1) -> np.ndarray:
    """A synthetic streak layer in [0, 0.9], shape (height, width): sheets of rain."""
    angle = math.radians(rng.uniform(-60, 60))  # from the vertical
    more = int(rng.random() < 0.3)
    layer = np.zeros((height, width), np.float32)
    for _ in range(sheets + more):
        # The wind is about the same for near and far rain.
        layer += _draw_sheet(height, width, angle + math.radians(rng.normal(0, 4)), rng)
    return layer.clip(0, np.float32(0.9))


def _draw_sheet(height: int, width: int, angle: float, rng: np.random.Generator) -> np.ndarray:
    """Drops smeared along one angle, of random density, length, thickness and focus."""
    share, length, thick, bright = rng.random(4)
    length = int(6 + (_LONGEST - 6) * length**2)
    line = 1 + int(2 * thick)  # pixels wide
    covered = 0.02 + 0.3 * share**2  # of the picture, without overlap
    drops = rng.random((height + length, width + length), np.float32)
    # Drops differ in brightness by up to a factor of two.
    strength = rng.uniform(0.5, 1, drops.shape).astype(np.float32)
    drops = strength * (drops < covered / (length * (line + 1)))
    smear = np.zeros((2 * length + 1, 2 * length + 1), np.uint8)  # antialiasing requires 8 bits
    dx, dy = math.sin(angle) * length / 2, math.cos(angle) * length / 2
    ends = [(round(16 * (length + s * dx)), round(16 * (length + s * dy))) for s in (-1, 1)]
    cv2.line(smear, ends[0], ends[1], 255, line, cv2.LINE_AA, shift=4)
    kernel = cv2.GaussianBlur(smear.astype(np.float32), (0, 0), 0.4 + 0.8 * thick**2)
    rows, columns = (np.flatnonzero(kernel.max(axis) > 1) for axis in (1, 0))
    kernel = kernel[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    layer = cv2.filter2D(drops, -1, kernel / kernel.max(), borderType=cv2.BORDER_REFLECT)
    low, high = _BRIGHTNESS
    return np.minimum(layer[:height, :width] * np.float32(low + (high - low) * bright), 0.9)
