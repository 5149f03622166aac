"""Synthesises the tasks' degradations on batches of clean crops: haze and blur, and lists all.

Each class has the ranges of one degradation. Its `degrade` takes clean crops, their depth and a
generator and returns the observation y, the target x, the true map sigma_gt in the task's unit,
and the kernel. All randomness comes from the generator, so that a seed reproduces a run. `margin`
is the number of pixels by which crops must be larger than samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from hyperguide.errors import HyperguideError
from hyperguide.training.fields import Checked, Range, Share, check_ascending

from .drawn_kernels import draw_kernel
from .draws import happens, smooth_field, uniform
from .kernels import on_canvas
from .noise import Noise
from .rain import Rain
from .sample import Sample

Density = Annotated[float, Range(0, 100)]
Light = Annotated[float, Range(0, 10)]  # what exceeds 1 is clipped


def _bank() -> Any:
    """A field that presets cannot set: kernels or streak layers from files."""
    return field(default=(), repr=False, compare=False, metadata={"given": False})


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
    frame: pixels at each side of photos with depth that are not part of the scene. NYU Depth v2 has
        a white frame, which would reveal the light; RESIDE cuts off 10 pixels.
    """

    beta: tuple[Density, Density] = (0.4, 1.8)
    airlight: tuple[Light, Light] = (0.7, 1.0)
    tint: Share = 0.03
    clean: Share = 0.03
    invented: Share = 0.1
    tone: Share = 0.0
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
        beta = beta * ~happens(self.clean, count, rng)
        light = uniform(*self.airlight, (count, 1, 1, 1), rng)
        light = light + uniform(-self.tint, self.tint, (count, clean.shape[1], 1, 1), rng)
        transmission = torch.exp(-beta * depth)
        light = light.clamp(max=1)
        hazy = clean * transmission + light * (1 - transmission)
        return Sample(hazy, clean, depth, airlight=light, transmission=transmission)


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


@dataclass(frozen=True)
class Blur(Checked):
    """Blur by a known kernel, then noise of unknown level: y = k * x + n.

    minimum, maximum, varying, clipped: of the noise, see `Noise`.
    impulse: share of samples that are not blurred; their kernel is the unit impulse.
    dark: share of samples with black surroundings, so that their edges darken, as in the pictures
        of Levin et al. as they are commonly blurred. The others are surrounded by the photo.
    size: side of the canvas on which every kernel is centred, odd.
    bank: the user's kernels, shape (kh, kw); without them kernels are drawn.
    """

    minimum: Share = 0.0
    maximum: Share = 0.08
    varying: Share = 0.2
    clipped: Share = 0.5
    impulse: Share = 0.05
    dark: Share = 0.0
    size: Annotated[int, Range(1, 511)] = 37
    bank: tuple[np.ndarray, ...] = _bank()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 2 == 0:
            raise HyperguideError(
                f"The preset's degradation has kernels of size {self.size}: give an odd one."
            )

    @property
    def margin(self) -> int:
        """Pixels that a valid convolution removes from the crops."""
        return self.size - 1

    def degrade(self, clean: Tensor, depth: Tensor | None, rng: Generator) -> Sample:
        """Blur and add noise; the map is the noise level.

        clean: larger than the samples by `margin`.
        """
        kernels = [self._kernel(rng) for _ in range(clean.shape[0])]
        kernel = torch.from_numpy(np.stack(kernels))[:, None]
        half = self.size // 2
        height, width = clean.shape[2:]
        inner = clean[..., half : height - half, half : width - half]
        noise = Noise(
            self.minimum, self.maximum, 0.0, varying=self.varying, gray=0.0, clipped=self.clipped
        )
        if self.dark:
            is_dark = happens(self.dark, len(clean), rng)
            clean = torch.where(is_dark, F.pad(inner, (half,) * 4), clean)
        noisy = noise.degrade(convolve_valid(clean, kernel), None, rng)
        return noisy._replace(clean=inner, kernel=kernel)

    def _kernel(self, rng: Generator) -> np.ndarray:
        chance, pick, *turns = torch.rand(5, generator=rng).tolist()
        if chance < self.impulse:
            kernel = np.ones((1, 1), np.float32)
        elif not self.bank:
            kernel = draw_kernel(self.size, rng)
        else:
            kernel = self.bank[int(pick * len(self.bank))]
            # Hands shake equally in all directions.
            kernel = kernel[::-1] if turns[0] < 0.5 else kernel
            kernel = kernel[:, ::-1] if turns[1] < 0.5 else kernel
            kernel = kernel.T if turns[2] < 0.5 else kernel
        return on_canvas(kernel, self.size, "of the bank")


def convolve_valid(image: Tensor, kernel: Tensor) -> Tensor:
    """The convolution where the kernel lies inside the image, in the Fourier domain.

    image: shape (N, C, H, W); kernel: shape (N, 1, kh, kw).
    Returns shape (N, C, H - kh + 1, W - kw + 1).
    """
    size = image.shape[2:]
    product = torch.fft.rfft2(image) * torch.fft.rfft2(kernel, s=size)
    # Wrapped values lie before the first row and column that the whole kernel covers.
    return torch.fft.irfft2(product, s=size)[..., kernel.shape[2] - 1 :, kernel.shape[3] - 1 :]


Degradation = Noise | Rain | Haze | Blur

DEGRADATIONS: dict[str, type[Noise] | type[Rain] | type[Haze] | type[Blur]] = {
    "denoise": Noise,
    "derain": Rain,
    "dehaze": Haze,
    "deblur": Blur,
}
