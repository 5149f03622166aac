"""Blurs clean crops by known kernels and adds noise, for deblurring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from hyperguide.errors import HyperguideError
from hyperguide.training.fields import Checked, Range, Share, of_files

from .drawn_kernels import draw_kernel
from .draws import happens
from .kernels import on_canvas
from .noise import Noise
from .sample import Sample


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
    bank: tuple[np.ndarray, ...] = of_files()

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
