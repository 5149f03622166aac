"""What the tasks remove, synthesised on batches of clean crops: noise, rain, haze, blur.

Each class has the ranges of one degradation. Its `degrade` takes clean crops, their depth and a
generator and returns the observation y, the target x, the true map sigma_gt in the task's unit,
and the kernel. Everything random comes from the generator, so that a seed repeats a run. `margin`
says by how many pixels the crops must be larger than the samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from hyperguide.errors import HyperguideError

from ..fields import Checked, Range, Share, check_ascending
from .crops import random_window
from .drawn_kernels import draw_kernel
from .kernels import on_canvas
from .sample import Sample

Quality = Annotated[int, Range(1, 100)]  # of JPEG files
Density = Annotated[float, Range(0, 100)]
Light = Annotated[float, Range(0, 10)]  # what exceeds 1 is clipped


def _bank() -> Any:
    """A field that presets do not give: kernels or streak layers that lie in files."""
    return field(default=(), repr=False, compare=False, metadata={"given": False})


def _uniform(low: float, high: float, shape: tuple[int, ...], rng: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=rng)


def _happens(share: float, count: int, rng: Generator) -> Tensor:
    """A coin per sample, shape (count, 1, 1, 1), true with probability `share`."""
    return torch.rand((count, 1, 1, 1), generator=rng) < share


def smooth_field(count: int, height: int, width: int, cells: int, rng: Generator) -> Tensor:
    """Smooth random fields in [0, 1], shape (count, 1, height, width), `cells` bumps across."""
    coarse = torch.rand((count, 1, cells, cells), generator=rng)
    fine = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return fine.clamp_(0, 1)


@dataclass(frozen=True)
class Noise(Checked):
    """White Gaussian noise of unknown, possibly varying level.

    minimum, maximum: range of the standard deviation, full scale = 1.
    clean: share of samples without noise, so that clean pictures stay as they are.
    varying: share of samples whose level varies over the picture.
    gray: share of samples with three equal channels and equal noise in them, as the runtime
        feeds gray pictures to a colour network.
    signal: share of samples whose variance grows with the brightness, as that of photons does.
    clipped: share of samples clipped to [0, 1] and rounded to 8 bits, as files are.
    recompressed: share of samples that went through a JPEG file.
    quality: range of the JPEG files' quality, whole numbers, both included.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, "quality")

    def level_map(self, count: int, height: int, width: int, rng: Generator) -> Tensor:
        """Draw noise level maps, shape (count, 1, height, width)."""
        level = _uniform(self.minimum, self.maximum, (count, 1, 1, 1), rng)
        other = _uniform(self.minimum, self.maximum, (count, 1, 1, 1), rng)
        level = level * ~_happens(self.clean, count, rng)
        varying = _happens(self.varying, count, rng)
        if not varying.any():  # fields are most of the work
            return level.expand(-1, -1, height, width)
        ramp = smooth_field(count, height, width, 3, rng)
        # Half of the varying maps jump instead of drifting: edges of the map must be found too.
        steps = (ramp > 0.5).to(ramp.dtype)
        ramp = torch.where(_happens(0.5, count, rng), ramp, steps)
        return torch.where(varying & (level > 0), level + ramp * (other - level), level)

    margin: ClassVar[int] = 0

    def degrade(self, clean: Tensor, depth: Tensor | None, rng: Generator) -> Sample:
        """Add noise; some clean crops turn gray on the way."""
        count, channels, height, width = clean.shape
        gray = _happens(self.gray, count, rng)
        clean = torch.where(gray, clean.mean(1, keepdim=True), clean)
        white = torch.randn((count, channels, height, width), generator=rng)
        white = torch.where(gray, white[:, :1], white)
        level = self.level_map(count, height, width, rng)
        level = level * self._gain(clean, rng)  # one for each channel
        noisy = clean + level * white
        stored = (noisy.clamp(0, 1) * 255).round() / 255
        noisy = torch.where(_happens(self.clipped, count, rng), stored, noisy)
        recompressed = _happens(self.recompressed, count, rng).flatten()
        low, high = self.quality
        qualities = torch.randint(low, high + 1, (count,), generator=rng)
        for i in recompressed.nonzero().flatten().tolist():
            noisy[i] = through_jpeg(stored[i], int(qualities[i]))
        return Sample(noisy, clean, level.square().mean(1, keepdim=True).sqrt())

    def _gain(self, clean: Tensor, rng: Generator) -> Tensor:
        """What the level is multiplied by: 1 at white, less in the dark where it follows photons.

        The variance is read-out noise, the same everywhere, and photon noise, proportional to the
        brightness (A. Foi et al., IEEE TIP 2008). clean: shape (N, C, H, W), and so the result,
        or no dimensions if it is 1 everywhere.
        """
        count = len(clean)
        photons = _uniform(0.3, 1.0, (count, 1, 1, 1), rng) * _happens(self.signal, count, rng)
        if not photons.any():
            return torch.ones(())
        return (1 - photons + photons * clean).sqrt()


def through_jpeg(image: Tensor, quality: int) -> Tensor:
    """What is left of an image, shape (1 or 3, H, W) in [0, 1], after it was a JPEG file."""
    pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    if pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    decoded = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) if decoded.ndim == 3 else decoded[..., None]
    return torch.from_numpy(decoded).permute(2, 0, 1).float() / 255


@dataclass(frozen=True)
class Rain(Checked):
    """Streak layers added to photos: min(x + S, 1), the model of Rain100L.

    synthetic: share of samples with drawn streaks; the rest take real layers from the bank.
    veil: share of the samples with drawn streaks in which mist lies over the scene. It belongs to
        the scene: the streaks in front of it go, the mist stays (it is haze, another task).
    clean: share of samples without rain.
    threshold: where the layer exceeds it there is a streak; 5/255 marks 21 % of Rain100L.
    """

    synthetic: Share = 0.3
    veil: Share = 0.25
    clean: Share = 0.05
    threshold: Share = 5 / 255
    bank: tuple[np.ndarray, ...] = _bank()

    margin: ClassVar[int] = 0

    def degrade(self, clean: Tensor, depth: Tensor | None, rng: Generator) -> Sample:
        """Add rain; the map is 1 where a streak is, 0 elsewhere."""
        count, _, height, width = clean.shape
        layers, drawn = zip(*(self._layer(height, width, rng) for _ in range(count)), strict=True)
        streaks = torch.from_numpy(np.stack(layers))[:, None]
        streaks = streaks * ~_happens(self.clean, count, rng)
        veiled = _happens(self.veil, count, rng) & torch.tensor(drawn).view(-1, 1, 1, 1)
        clean = torch.where(veiled, _veil(clean, rng), clean)
        rainy = (clean + streaks).clamp(max=1)
        return Sample(rainy, clean, (streaks > self.threshold).to(clean.dtype))

    def _layer(self, height: int, width: int, rng: Generator) -> tuple[np.ndarray, bool]:
        """A streak layer in [0, 1], and whether it was drawn."""
        chance, pick, flip = torch.rand(3, generator=rng).tolist()
        if not self.bank or chance < self.synthetic:
            return draw_streaks(height, width, rng), True
        layer = self.bank[int(pick * len(self.bank))]
        crop = random_window(layer, height, width, rng)
        return (crop[:, ::-1] if flip < 0.5 else crop).astype(np.float32) / 255, False


def _veil(clean: Tensor, rng: Generator) -> Tensor:
    """Photos, shape (N, C, H, W), behind gray mist of smoothly varying density up to 0.3."""
    count, _, height, width = clean.shape
    density = 0.3 * smooth_field(count, height, width, 3, rng)
    density = density * torch.rand((count, 1, 1, 1), generator=rng)
    return clean * (1 - density) + density * _uniform(0.5, 0.95, (count, 1, 1, 1), rng)


def draw_streaks(height: int, width: int, rng: Generator) -> np.ndarray:
    """A synthetic streak layer in [0, 1], shape (height, width): one or two sheets of rain."""
    layer = _draw_sheet(height, width, rng)
    if float(torch.rand((), generator=rng)) < 0.3:
        layer = np.minimum(layer + _draw_sheet(height, width, rng), 0.9)
    return layer


def _draw_sheet(height: int, width: int, rng: Generator) -> np.ndarray:
    """Drops smeared along one angle: many or few, short or long, thin or out of focus."""
    share, length, angle, thick, bright = torch.rand(5, generator=rng).tolist()
    length = int(6 + 54 * length**1.5)
    angle = math.radians(120 * (angle - 0.5))  # from the vertical
    line = 1 + int(2 * thick)  # pixels wide
    covered = 0.02 + 0.3 * share**2  # of the picture, were there no overlap
    drops = torch.rand((height + length, width + length), generator=rng).numpy()
    drops = (drops < covered / (length * (line + 1))).astype(np.float32)
    smear = np.zeros((2 * length + 1, 2 * length + 1), np.uint8)  # antialiasing wants 8 bits
    dx, dy = math.sin(angle) * length / 2, math.cos(angle) * length / 2
    ends = [(round(16 * (length + s * dx)), round(16 * (length + s * dy))) for s in (-1, 1)]
    cv2.line(smear, ends[0], ends[1], 255, line, cv2.LINE_AA, shift=4)
    kernel = cv2.GaussianBlur(smear.astype(np.float32), (0, 0), 0.4 + 0.8 * thick**2)
    layer = cv2.filter2D(drops, -1, kernel / kernel.max(), borderType=cv2.BORDER_REFLECT)
    strength = 0.08 + 0.55 * bright
    return np.minimum(layer[:height, :width] * strength, 0.9)


@dataclass(frozen=True)
class Haze(Checked):
    """Scattering with depth, I = J t + A (1 - t), t = exp(-beta d) (Sec. 4.3).

    beta: range of the scattering coefficient over relative depth (ITS: 0.6..1.8).
    airlight: range of the atmospheric light (ITS: 0.7..1.0).
    tint: largest difference of the light's channels from their mean.
    clean: share of samples without haze.
    invented: share of samples whose depth is drawn although the source brought one.
    tone: how much the photos' gamma, exposure, white balance and saturation are varied, 0 to 1:
        photos with depth show few places, and always in the same light.
    frame: pixels at each side of photos with depth that are no part of the scene. NYU Depth v2 has
        a white frame, in which the light would show as nowhere else; RESIDE cuts 10 pixels off.
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
        elif (is_invented := _happens(self.invented, count, rng)).any():
            depth = torch.where(is_invented, draw_depth(count, height, width, rng), depth)
        beta = _uniform(*self.beta, (count, 1, 1, 1), rng)
        beta = beta * ~_happens(self.clean, count, rng)
        light = _uniform(*self.airlight, (count, 1, 1, 1), rng)
        light = light + _uniform(-self.tint, self.tint, (count, clean.shape[1], 1, 1), rng)
        transmission = torch.exp(-beta * depth)
        light = light.clamp(max=1)
        hazy = clean * transmission + light * (1 - transmission)
        return Sample(hazy, clean, depth, airlight=light, transmission=transmission)


def vary_tone(photos: Tensor, amount: float, rng: Generator) -> Tensor:
    """Photos as another camera would take them in another light.

    photos: shape (N, C, H, W) in [0, 1]; so is the result. amount: 0 leaves them, 1 doubles a
        gamma or halves a saturation at most.
    """
    one, planes = (len(photos), 1, 1, 1), (len(photos), photos.shape[1], 1, 1)
    photos = photos.clamp(min=1e-4) ** torch.exp(amount * _uniform(-0.7, 0.7, one, rng))
    light = torch.exp(amount * _uniform(-0.15, 0.15, planes, rng))
    photos = photos * light * (1 - amount * _uniform(0, 0.3, one, rng))
    gray = photos.mean(1, keepdim=True)
    saturation = 1 + amount * _uniform(-0.5, 0.5, one, rng)
    return (gray + saturation * (photos - gray)).clamp(0, 1)


def draw_depth(count: int, height: int, width: int, rng: Generator) -> Tensor:
    """Relative depth of invented scenes, farthest 1, shape (count, 1, height, width).

    A plane that recedes upwards or sideways, hills on it, and a nearer object in half of them.
    """
    upwards = torch.linspace(1, 0, height)[:, None]
    tilt = _uniform(-0.5, 0.5, (count, 1, 1, 1), rng)
    sideways = torch.linspace(0, 1, width).expand(count, 1, 1, width)
    sideways = torch.where(tilt < 0, 1 - sideways, sideways)
    near = _uniform(0.0, 0.4, (count, 1, 1, 1), rng)
    depth = near + (1 - near) * ((1 - tilt.abs()) * upwards + tilt.abs() * sideways)
    depth = 0.7 * depth + 0.3 * smooth_field(count, height, width, 4, rng)
    objects = smooth_field(count, height, width, 5, rng) > 0.7
    nearer = depth * _uniform(0.3, 0.9, (count, 1, 1, 1), rng)
    depth = torch.where(objects & _happens(0.5, count, rng), nearer, depth).clamp(min=0)
    return depth / depth.amax((2, 3), keepdim=True).clamp(min=1e-6)


@dataclass(frozen=True)
class Blur(Checked):
    """Blur by a known kernel, then noise of unknown level: y = k * x + n.

    minimum, maximum, varying, clipped: of the noise, see `Noise`.
    impulse: share of samples that are not blurred; their kernel is the unit impulse.
    dark: share of samples whose surroundings are black, so that their edges darken, as in the
        pictures of Levin et al. as the field blurs them. Those of the others are photo.
    size: side of the canvas that every kernel is centred on, odd.
    bank: kernels of the user, shape (kh, kw); without them kernels are drawn.
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
        """What a valid convolution takes off the crops."""
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
            is_dark = _happens(self.dark, len(clean), rng)
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
            # Hands shake in all directions alike.
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
    # What wraps around lies before the first row and column that the kernel fills.
    return torch.fft.irfft2(product, s=size)[..., kernel.shape[2] - 1 :, kernel.shape[3] - 1 :]


Degradation = Noise | Rain | Haze | Blur

DEGRADATIONS: dict[str, type[Noise] | type[Rain] | type[Haze] | type[Blur]] = {
    "denoise": Noise,
    "derain": Rain,
    "dehaze": Haze,
    "deblur": Blur,
}
