"""Adds haze to clean crops by the scattering model, for dehazing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np
import torch
from torch import Generator, Tensor

from hyperguide.training.fields import Checked, Range, Share, check_ascending

from .draws import happens, log_uniform, numpy_generator, smooth_field, uniform
from .jpeg import draw_jpeg
from .sample import Sample

Density = Annotated[float, Range(0, 100)]
Light = Annotated[float, Range(0, 10)]  # what exceeds 1 is clipped

# Brightness of targets relative to pictures that were exposed for the haze.
_DARKEST, _BRIGHTEST = 0.75, 1.2
_GAMMA_ROUNDS = 4  # each finds a gamma for the mean, as if all values were equal to it


@dataclass(frozen=True)
class Haze(Checked):
    """Scattering with depth, I = J t + A (1 - t), t = exp(-beta d) (Sec. 4.3).

    beta: range of the scattering coefficient over relative depth (ITS: 0.6..1.8).
    airlight: range of the atmospheric light (ITS: 0.7..1.0).
    tint: largest difference between the light's channels and their mean.
    clean: share of samples without haze.
    invented: share of samples whose depth is drawn even though the source has one.
    tone: how much the photos' gamma, exposure, white balance and saturation are varied, 0 to 1,
        because photos with depth show few places, always in the same light.
    dense: share of samples whose coefficient is drawn up to `densest`.
    exposed: share of samples whose hazy picture is exposed for the haze, with a tone and a white
        balance of its own, as cameras do. Its target is nearly as bright: nobody wants a scene that
        is darker than it was seen.
    disturbed: share of samples with noise, JPEG or half the resolution in the hazy picture only.
    frame: pixels at each side of photos with depth that are not part of the scene. NYU Depth v2 has
        a white frame, which would reveal the light; RESIDE cuts off 10 pixels.
    """

    beta: tuple[Density, Density] = (0.4, 1.8)
    airlight: tuple[Light, Light] = (0.7, 1.0)
    tint: Share = 0.03
    clean: Share = 0.03
    invented: Share = 0.1
    tone: Share = 0.0
    dense: Share = 0.0
    densest: Density = 4.0
    exposed: Share = 0.0
    disturbed: Share = 0.0
    frame: Annotated[int, Range(0, 4096)] = 0

    margin: ClassVar[int] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, "beta", "airlight")

    def degrade(self, clean: Tensor, depth: Tensor | None, rng: Generator) -> Sample:
        """Add haze; the map is the relative depth."""
        count, _, height, width = clean.shape
        clean = vary_tone(clean, self.tone, rng) if self.tone else clean
        if depth is None:
            depth = draw_depth(count, height, width, rng)
        elif (is_invented := happens(self.invented, count, rng)).any():
            depth = torch.where(is_invented, draw_depth(count, height, width, rng), depth)
        beta = uniform(*self.beta, (count, 1, 1, 1), rng)
        if self.dense:
            denser = uniform(self.beta[1], max(self.densest, self.beta[1]), (count, 1, 1, 1), rng)
            beta = torch.where(happens(self.dense, count, rng), denser, beta)
        beta = beta * ~happens(self.clean, count, rng)
        light = uniform(*self.airlight, (count, 1, 1, 1), rng)
        light = light + uniform(-self.tint, self.tint, (count, clean.shape[1], 1, 1), rng)
        transmission = torch.exp(-beta * depth)
        light = light.clamp(max=1)
        hazy = clean * transmission + light * (1 - transmission)
        if self.exposed:
            is_exposed = happens(self.exposed, count, rng) & (beta > 0)
            hazy, light = _exposed(hazy, light, is_exposed, rng)
            clean = torch.where(is_exposed, _as_bright(clean, hazy), clean)
        if self.disturbed:
            for i in happens(self.disturbed, count, rng).flatten().nonzero().flatten().tolist():
                hazy[i] = _disturbed(hazy[i], numpy_generator(rng))
        return Sample(hazy, clean, depth, airlight=light, transmission=transmission)


def _exposed(hazy: Tensor, light: Tensor, chosen: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
    """Hazy pictures and their airlight as a camera exposes them, where chosen.

    Haze brightens a picture, so that cameras expose less. What is clipped is lost.
    """
    one, planes = (len(hazy), 1, 1, 1), (len(hazy), hazy.shape[1], 1, 1)
    mean = _mean(hazy).clamp(min=0.02)
    gain = (uniform(0.3, 0.65, one, rng) / mean).clamp(0.4, 1.4)
    gain = gain * torch.exp(uniform(-0.08, 0.08, planes, rng))
    gamma = torch.exp(uniform(-0.25, 0.25, one, rng))
    seen, source = ((gain * p).clamp(1e-4, 1) ** gamma for p in (hazy, light))
    return torch.where(chosen, seen, hazy), torch.where(chosen, source, light)


def _as_bright(clean: Tensor, hazy: Tensor) -> Tensor:
    """Clear pictures with a gamma by which they are 0.75 to 1.2 times as bright as hazy ones."""
    mean = _mean(hazy)
    clean = clean.clamp(1e-4, 1 - 1e-4)
    gamma = torch.ones_like(mean)
    for _ in range(_GAMMA_ROUNDS):
        own = _mean(clean**gamma)
        wanted = own.clamp(_DARKEST * mean, _BRIGHTEST * mean).clamp(0.01, 0.95)
        gamma = gamma * wanted.log() / own.log()
    return clean**gamma


def _mean(pictures: Tensor) -> Tensor:
    """The mean of each picture, shape (N, 1, 1, 1)."""
    return pictures.mean((1, 2, 3), keepdim=True)


def _disturbed(hazy: Tensor, rng: np.random.Generator) -> Tensor:
    """A picture, shape (C, H, W), after some of: half the resolution, noise, JPEG."""
    chance = rng.random(3)
    if chance[0] < 0.4:
        height, width = hazy.shape[1:]
        pixels = hazy.permute(1, 2, 0).numpy()
        small = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        hazy = torch.from_numpy(large.reshape(pixels.shape)).permute(2, 0, 1)
    if chance[1] < 0.5:
        noise = rng.standard_normal(tuple(hazy.shape), np.float32)
        hazy = hazy + log_uniform(0.5, 8, rng) / 255 * torch.from_numpy(noise)
    hazy = hazy.clamp(0, 1)
    return draw_jpeg(60, rng).store(hazy) if chance[2] < 0.6 else hazy


def vary_tone(photos: Tensor, amount: float, rng: Generator) -> Tensor:
    """Photos as if taken by another camera in another light.

    photos: shape (N, C, H, W) in [0, 1]; so is the result.
    amount: 0 leaves them unchanged; 1 halves to doubles the gamma, and varies light and
        saturation.
    """
    one, planes = (len(photos), 1, 1, 1), (len(photos), photos.shape[1], 1, 1)
    photos = photos.clamp(min=1e-4) ** torch.exp(amount * uniform(-0.7, 0.7, one, rng))
    light = torch.exp(amount * uniform(-0.15, 0.15, planes, rng))
    photos = photos * light * (1 - amount * uniform(0, 0.3, one, rng))
    gray = photos.mean(1, keepdim=True)
    saturation = 1 + amount * uniform(-0.5, 0.5, one, rng)
    return (gray + saturation * (photos - gray)).clamp(0, 1)


def draw_depth(count: int, height: int, width: int, rng: Generator) -> Tensor:
    """Relative depth of invented scenes, farthest 1, shape (count, 1, height, width).

    A plane that recedes upwards or sideways, with hills, and nearer objects in half of the scenes.
    """
    upwards = torch.linspace(1, 0, height)[:, None]
    tilt = uniform(-0.5, 0.5, (count, 1, 1, 1), rng)
    sideways = torch.linspace(0, 1, width).expand(count, 1, 1, width)
    sideways = torch.where(tilt < 0, 1 - sideways, sideways)
    near = uniform(0.0, 0.4, (count, 1, 1, 1), rng)
    depth = near + (1 - near) * ((1 - tilt.abs()) * upwards + tilt.abs() * sideways)
    depth = 0.7 * depth + 0.3 * smooth_field(count, height, width, 4, rng)
    objects = smooth_field(count, height, width, 5, rng) > 0.7
    nearer = depth * uniform(0.3, 0.9, (count, 1, 1, 1), rng)
    depth = torch.where(objects & happens(0.5, count, rng), nearer, depth).clamp(min=0)
    return depth / depth.amax((2, 3), keepdim=True).clamp(min=1e-6)
