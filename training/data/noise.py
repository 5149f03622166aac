"""Adds noise of sensors, cameras, film and files to clean crops, for denoising."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Generator, Tensor

from hyperguide.training.fields import Checked, Range, Share, check_ascending

from .camera_noise import add_camera_noise, draw_camera, local_deviation
from .draws import happens, log_uniform, numpy_generator, smooth_field, uniform
from .grain import draw_grain
from .jpeg import draw_jpeg, through_files, through_jpeg
from .photo_variety import MARGIN, draw_photo, draw_scene, resized
from .sample import Sample

# Range of scales, relative to the samples, at which camera noise is drawn.
_RESIZED = (0.6, 1.6)

# Factor on the level of grain: coarse grain hides more than white noise of the same level, and the
# strongest is useless.
_OF_GRAIN = 0.5

# Share of photos that were JPEG files before the noise: their artefacts are not noise.
_STORED = 0.25

Quality = Annotated[int, Range(1, 100)]  # of JPEG files


@dataclass(frozen=True)
class Noise(Checked):
    """Noise of unknown, possibly varying level.

    The noise is white and Gaussian except for the shares below. The map is the standard deviation
    of the noise to remove, the root of the channels' mean variance.

    minimum, maximum: range of the standard deviation, full scale = 1.
    clean: share of samples without noise, so that clean pictures are left unchanged.
    varying: share of samples whose level varies over the picture.
    gray: share of samples with three equal channels and equal noise in them, as the runtime
        feeds gray pictures to a colour network.
    signal: share of samples whose variance grows with the brightness, as for photon noise.
    clipped: share of samples clipped to [0, 1] and rounded to 8 bits, like files.
    recompressed: share of samples that went through a JPEG file.
    quality: range of the JPEG quality, integers, inclusive.
    grain: share of samples whose noise is correlated over pixels and channels, see `grain`.
    camera: share of samples with the noise of a camera, see `camera_noise`; they are stored as JPEG
        or rounded to 8 bits, and resized in a third of the cases.
    varied: how much the photos' scale, colours and brightness vary, 0 to 1, see `photo_variety`.
    drawn: share of drawn pictures instead of photos.
    low: share of samples whose level is uniform on a logarithmic scale, starting at half an 8-bit
        step, because most noise in practice is weak.
    """

    minimum: Share = 0.0
    maximum: Share = 55 / 255
    clean: Share = 0.05
    varying: Share = 0.3
    gray: Share = 0.15
    signal: Share = 0.0
    clipped: Share = 0.5
    recompressed: Share = 0.0
    quality: tuple[Quality, Quality] = (60, 95)
    grain: Share = 0.0
    camera: Share = 0.0
    varied: Share = 0.0
    drawn: Share = 0.0
    low: Share = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, "quality")

    @property
    def margin(self) -> int:
        """Pixels by which crops must be larger than samples, so that photos can be scaled."""
        return MARGIN if self.varied or self.drawn or self.camera else 0

    def level_map(self, count: int, height: int, width: int, rng: Generator) -> Tensor:
        """Draw noise level maps, shape (count, 1, height, width)."""
        level, other = self._levels(count, rng), self._levels(count, rng)
        level = level * ~happens(self.clean, count, rng)
        varying = happens(self.varying, count, rng)
        if not varying.any():  # fields are most of the work
            return level.expand(-1, -1, height, width)
        ramp = smooth_field(count, height, width, 3, rng)
        # Half of the varying maps are stepwise, because networks must find edges of the map too.
        steps = (ramp > 0.5).to(ramp.dtype)
        ramp = torch.where(happens(0.5, count, rng), ramp, steps)
        return torch.where(varying & (level > 0), level + ramp * (other - level), level)

    def degrade(self, clean: Tensor, depth: Tensor | None, rng: Generator) -> Sample:
        """Add noise; some clean crops become gray.

        clean: shape (N, C, H, W), larger than the samples by `margin`.
        """
        if self.margin:
            samples = [self._degrade_one(crop, rng) for crop in clean]
            return Sample(*map(torch.stack, zip(*samples, strict=True)))
        return self._add(clean, rng)

    def _add(self, clean: Tensor, rng: Generator) -> Sample:
        """Add white noise, or grain."""
        count, channels, height, width = clean.shape
        gray = happens(self.gray, count, rng)
        clean = torch.where(gray, clean.mean(1, keepdim=True), clean)
        white = torch.randn((count, channels, height, width), generator=rng)
        grain = happens(self.grain, count, rng)
        for i in grain.flatten().nonzero().flatten().tolist():
            drawn = draw_grain(height, width, channels, numpy_generator(rng))
            white[i] = torch.from_numpy(drawn).permute(2, 0, 1)
        white = torch.where(gray, white[:, :1], white)
        level = self.level_map(count, height, width, rng)
        level = torch.where(grain, level * _OF_GRAIN, level)
        level = level * self._gain(clean, rng)  # one for each channel
        noisy = clean + level * white
        stored = (noisy.clamp(0, 1) * 255).round() / 255
        noisy = torch.where(happens(self.clipped, count, rng), stored, noisy)
        recompressed = happens(self.recompressed, count, rng).flatten()
        low, high = self.quality
        qualities = torch.randint(low, high + 1, (count,), generator=rng)
        for i in recompressed.nonzero().flatten().tolist():
            noisy[i] = through_jpeg(stored[i], int(qualities[i]))
        return Sample(noisy, clean, level.square().mean(1, keepdim=True).sqrt())

    def _degrade_one(self, crop: Tensor, rng: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy, clean and map of a sample, shape (C, H, W), (C, H, W), (1, H, W)."""
        height, width = (side - MARGIN for side in crop.shape[1:])
        numbers = numpy_generator(rng)
        pixels = crop.permute(1, 2, 0).numpy()
        if numbers.random() >= self.camera:
            is_clean = numbers.random() < self.clean
            photo = draw_scene(pixels, height, width, self.varied, self.drawn, is_clean, numbers)
            planes = torch.from_numpy(photo).permute(2, 0, 1)
            if not is_clean and numbers.random() < _STORED * self.varied:
                planes = draw_jpeg(60, numbers).store(planes)
            added = replace(self, clean=float(is_clean))._add(planes[None], rng)
            return added.degraded[0], added.clean[0], added.guidance[0]
        scale = log_uniform(*_RESIZED, numbers) if numbers.random() < 1 / 3 else 1.0
        taken = round(height * scale), round(width * scale)
        photo = draw_photo(pixels, *taken, self.varied, self.drawn, numbers, spotless=True)
        noisy, clean, level = _of_camera(photo, (height, width), self.gray, numbers)
        three = (torch.from_numpy(v).permute(2, 0, 1) for v in (noisy, clean, level))
        return next(three), next(three), next(three)

    def _levels(self, count: int, rng: Generator) -> Tensor:
        """A standard deviation for each sample, shape (count, 1, 1, 1)."""
        even = uniform(self.minimum, self.maximum, (count, 1, 1, 1), rng)
        if not self.low:
            return even
        least = max(self.minimum, 0.5 / 255)
        exponent = torch.rand((count, 1, 1, 1), generator=rng)
        return torch.where(
            happens(self.low, count, rng), least * (self.maximum / least) ** exponent, even
        )

    def _gain(self, clean: Tensor, rng: Generator) -> Tensor:
        """Factor on the level: 1 at white, less in dark parts of samples with photon noise.

        The variance is the sum of constant read noise and photon noise, proportional to the
        brightness (A. Foi et al., IEEE TIP 2008). clean: shape (N, C, H, W), as is the result,
        which is a scalar if it is 1 everywhere.
        """
        count = len(clean)
        photons = uniform(0.3, 1.0, (count, 1, 1, 1), rng) * happens(self.signal, count, rng)
        if not photons.any():
            return torch.ones(())
        return (1 - photons + photons * clean).sqrt()


def _of_camera(
    photo: np.ndarray, size: tuple[int, int], gray: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo as a camera's file, resized to `size`; the same without noise; the map.

    photo: float32, shape (H, W, 1 or 3). gray: share of colour photos that become gray.
    """
    channels = photo.shape[2]
    color = np.repeat(photo, 3, 2) if channels == 1 else photo
    is_gray = channels == 1 or rng.random() < gray
    if channels == 3 and is_gray:
        color = np.repeat(color.mean(2, keepdims=True), 3, 2)
    noisy, variance = add_camera_noise(color, draw_camera(rng), rng)
    if is_gray:
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        planes = noisy @ weights, color[..., 0], variance @ weights**2
        noisy, color, variance = (np.repeat(p[..., None], channels, 2) for p in planes)
    if photo.shape[:2] != size:
        way = (cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_LINEAR)
        how = way[int(rng.integers(4))]
        noisy, color, variance = (resized(p, size, how) for p in (noisy, color, variance))
        color, variance = color.clip(0, 1), variance.clip(0)
    chance = rng.random()
    files = [
        draw_jpeg(60 if rng.random() < 0.4 else 90, rng)
        for _ in range(0 if chance < 0.15 else 1 if chance < 0.75 else 2)
    ]
    result, spoilt = (through_files(picture, files) for picture in (noisy, color))
    level = local_deviation(result - spoilt, variance)[..., None]
    # Noise dithers: the mean of many such files has fewer artefacts, the stronger the noise is.
    of_noise = float(np.square(level).mean())
    of_files = float(np.square(spoilt - color).mean())
    share = of_noise / (of_noise + of_files + 1e-8)
    clean = share * color + (1 - share) * spoilt
    return result, np.ascontiguousarray(clean, np.float32), level
