"""Closed-form deconvolution with operations that every engine supports."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hyperguide.training.deconvolution import crop, pad_with_ramps, taper_share
from hyperguide.training.networks.unfolded import UnfoldedDeconvolution

from .matrix_fourier import COLUMN_RADIX, MatrixFourier

# Of rows. Larger ones need fewer multiplications, and larger canvases.
_RADICES = 16, 4


class MatrixDeconvolution(nn.Module):
    """The same function as `UnfoldedDeconvolution` with a kernel of any size, in real numbers.

    Equations and borders are those of `hyperguide.training.deconvolution`.

    split: whether transforms are split, by the largest radix that divides all canvases.
    """

    asks_per_stage: bool

    def __init__(self, network: UnfoldedDeconvolution, split: bool = True) -> None:
        super().__init__()
        self.network = network
        rows, columns = network.canvas_multiples
        fitting = (radix for radix in _RADICES if rows % radix == columns % COLUMN_RADIX == 0)
        self._radix = next(fitting, 1) if split else 1
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
        # As `pad_for`, without operators that WebGPU lacks.
        top, left = (_larger(side // 2, self.network.padding) for side in kernel.shape[2:])
        # The padded size. Not by `next_multiple`, which has negative quotients: the exporter rounds
        # them towards 0. This form also shows the exporter what divides them.
        rows, columns = (
            (size + 2 * before + multiple - 1) // multiple * multiple
            for size, before, multiple in zip(
                (height, width), (top, left), self.network.canvas_multiples, strict=True
            )
        )
        margins = left, columns - width - left, top, rows - height - top

        def pad(planes: Tensor) -> Tensor:
            lines = (torch.arange(rows) - top).clamp(0, height - 1)
            places = (torch.arange(columns) - left).clamp(0, width - 1)
            return planes.index_select(2, lines).index_select(3, places)

        fourier = MatrixFourier(rows, columns, self._radix)
        transfer = fourier.of_kernel(kernel)
        padded = pad_with_ramps(image, margins) if self.network.ramps else pad(image)
        observed = _edgetaper(padded, kernel, transfer, fourier)
        real, imaginary = fourier.split(transfer)
        power = real.square() + imaginary.square()
        power = torch.cat([power, power], 3)
        spectrum = fourier.forward(observed)
        data = fourier.multiply((real, -imaginary), spectrum)
        iterates: list[Tensor] = []
        for stage, denoise in enumerate(self.network.denoisers):
            rho = self.network._rho(stage, guidance, 1)
            rho = rho[..., None] if isinstance(rho, Tensor) else rho  # rank 5, like spectra
            z = fourier.inverse((data + rho * spectrum) / (power + rho))
            used = guidance(crop(z, margins), stage) if callable(guidance) else guidance
            planes = z.flatten(0, 1)[:, None]
            maps = pad(used).expand(-1, z.shape[1], -1, -1).flatten(0, 1)[:, None]
            x = denoise(planes, maps).unflatten(0, (-1, z.shape[1])).squeeze(2)
            iterates.append(crop(x, margins))
            if stage < len(self.network.denoisers) - 1:
                spectrum = fourier.forward(x)
        return tuple(iterates)


def _larger(a: int, b: int) -> int:
    """The larger of two sizes, which are symbols while a graph is traced."""
    return (a + b + abs(a - b)) // 2


def _edgetaper(
    image: Tensor, kernel: Tensor, transfer: Tensor, fourier: MatrixFourier, times: int = 3
) -> Tensor:
    """See `deconvolution.edgetaper`."""
    parts = fourier.split(transfer)
    share = taper_share(kernel, fourier.height, fourier.width)
    for _ in range(times):
        blurred = fourier.inverse(fourier.multiply(parts, fourier.forward(image)))
        image = share * image + (1 - share) * blurred
    return image
