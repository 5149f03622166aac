"""Deconvolution in operations that every engine knows: Fourier transforms as matrix products.

No engine but torch takes complex numbers, few know a DFT, and none of them is fast. A picture's
transform is two matrix products, and matrix products are what engines are good at.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hyperguide.training.deconvolution import crop, pad_for, taper_share
from hyperguide.training.networks.unfolded import UnfoldedDeconvolution

Spectrum = tuple[Tensor, Tensor]
"""Real and imaginary part of a half spectrum, shape (N, C, H, W // 2 + 1) each."""


def waves(positions: Tensor, frequencies: Tensor, period: int) -> Spectrum:
    """Cosine and sine of 2 pi p f / period, shape (P, F).

    The product is reduced by the period in whole numbers: in float32 the phases of large pictures
    would lose three digits.
    """
    whole = torch.full((1, 1), period, dtype=torch.int64)
    turns = torch.remainder(positions[:, None] * frequencies[None, :], whole)
    angles = turns.to(torch.float32) * (2 * math.pi / period)
    return angles.cos(), angles.sin()


class MatrixFourier:
    """Fourier transforms of real planes of one size."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.rows = torch.arange(height)
        self.frequencies = torch.arange(width // 2 + 1)
        self._down = waves(self.rows, self.rows, height)
        self._across = waves(torch.arange(width), self.frequencies, width)
        # The other half of the spectrum repeats this one, but for its ends.
        ends = (self.frequencies == 0) | (2 * self.frequencies == width)
        self._weights = torch.where(ends, 1.0, 2.0) / (height * width)

    def forward(self, planes: Tensor) -> Spectrum:
        """The half spectrum of planes, shape (N, C, H, W)."""
        return _transform(planes, self._down, self._across)

    def of_kernel(self, kernel: Tensor) -> Spectrum:
        """The half spectrum of a kernel, shape (N, 1, kh, kw), centred at the origin."""
        rows, columns = kernel.shape[2:]
        down = waves(self.rows, torch.arange(rows) - rows // 2, self.height)
        across = waves(torch.arange(columns) - columns // 2, self.frequencies, self.width)
        return _transform(kernel, down, across)

    def inverse(self, spectrum: Spectrum) -> Tensor:
        """The planes of a half spectrum."""
        (cosines, sines), (real, imaginary) = self._down, spectrum
        a = (cosines @ real - sines @ imaginary) * self._weights
        b = (cosines @ imaginary + sines @ real) * self._weights
        cosines, sines = self._across
        return a @ cosines.mT - b @ sines.mT


def _transform(planes: Tensor, down: Spectrum, across: Spectrum) -> Spectrum:
    cosines, sines = across
    real, imaginary = planes @ cosines, -(planes @ sines)
    cosines, sines = down
    return cosines @ real + sines @ imaginary, cosines @ imaginary - sines @ real


class MatrixDeconvolution(nn.Module):
    """What `UnfoldedDeconvolution` computes with a kernel, any kernel and size, in real numbers.

    Equations and borders are those of `hyperguide.training.deconvolution`.
    """

    asks_per_stage: bool

    def __init__(self, network: UnfoldedDeconvolution) -> None:
        super().__init__()
        self.network = network
        self.maximum = network.maximum
        self.asks_per_stage = network.asks_per_stage

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.network.size_multiple

    def forward(
        self,
        image: Tensor,
        guidance: Tensor | Callable[[Tensor, int], Tensor],
        kernel: Tensor,
    ) -> tuple[Tensor, ...]:
        """See `UnfoldedDeconvolution.forward`; kernel: shape (N or 1, 1, kh, kw)."""
        height, width = image.shape[2:]
        margins = pad_for(kernel, height, width, self.network.multiple, self.network.padding)
        left, right, top, bottom = margins
        rows, columns = top + height + bottom, left + width + right

        def pad(planes: Tensor) -> Tensor:
            lines = (torch.arange(rows) - top).clamp(0, height - 1)
            places = (torch.arange(columns) - left).clamp(0, width - 1)
            return planes[:, :, lines][:, :, :, places]

        fourier = MatrixFourier(rows, columns)
        real, imaginary = transfer = fourier.of_kernel(kernel)
        observed = _edgetaper(pad(image), kernel, transfer, fourier)
        a, b = fourier.forward(observed)
        data = real * a + imaginary * b, real * b - imaginary * a
        power = real.square() + imaginary.square()
        x, iterates = observed, []
        for stage, denoise in enumerate(self.network.denoisers):
            rho = self.network._rho(stage, guidance, 1)
            a, b = fourier.forward(x)
            solution = (data[0] + rho * a) / (power + rho), (data[1] + rho * b) / (power + rho)
            z = fourier.inverse(solution)
            used = guidance(crop(z, margins), stage) if callable(guidance) else guidance
            planes = z.flatten(0, 1)[:, None]
            maps = pad(used).expand(-1, z.shape[1], -1, -1).flatten(0, 1)[:, None]
            x = denoise(planes, maps).unflatten(0, (-1, z.shape[1])).squeeze(2)
            iterates.append(crop(x, margins))
        return tuple(iterates)


def _edgetaper(
    image: Tensor, kernel: Tensor, transfer: Spectrum, fourier: MatrixFourier, times: int = 3
) -> Tensor:
    """See `deconvolution.edgetaper`."""
    real, imaginary = transfer
    share = taper_share(kernel, fourier.height, fourier.width)
    for _ in range(times):
        a, b = fourier.forward(image)
        blurred = fourier.inverse((real * a - imaginary * b, real * b + imaginary * a))
        image = share * image + (1 - share) * blurred
    return image
