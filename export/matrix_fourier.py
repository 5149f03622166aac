"""Fourier transforms with operations that every engine supports: matrix products.

No engine except torch supports complex numbers, few have a DFT, and none of these is fast. A
picture's transform is two matrix products, at which engines are good.

If a radix R divides both sides, transforms are split once, as an FFT is split recursively
(decimation in frequency; W. Gentleman, G. Sande, 1966): with N = R M samples in R blocks of M,

    X[R k + s] = sum_m w_N^(m (R k + s)) sum_q w_R^(q s) x[M q + m],      w_N = exp(-2 pi i / N).

The inner sums, the butterfly, add blocks; the outer sums are R products, each 1/R of the size.
Frequencies come out grouped by class s rather than in order, which does not matter for elementwise
operations.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Waves = tuple[Tensor, Tensor]
"""Cosines and sines."""

# Number of blocks and classes of columns if transforms are split.
COLUMN_RADIX = 4

# Taylor series of sin(2 pi t) = c_0 t + c_1 t^3 + ...; the next term is below 6e-8.
_SINE = [(-1) ** k * (2 * math.pi) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(6)]


def waves(positions: Tensor, frequencies: Tensor, period: int) -> Waves:
    """Cosine and sine of 2 pi p f / period, shape (P, F).

    The product is reduced modulo the period in integers: in float32, the phases of large pictures
    would lose three digits.
    """
    whole = torch.full((1, 1), period, dtype=torch.int64)
    products = positions[:, None] * frequencies[None, :]
    # Not by `remainder`, which WebGPU lacks. Engines divide in float32: quotients of large products
    # may be off by one, which is a whole turn.
    turns = products - torch.div(products, whole, rounding_mode="floor") * whole
    part, turn = 4 * turns.to(torch.float32), 4 * whole.to(torch.float32)
    half, quarter = turn / 2, turn / 4
    for_cosine = (part - half).abs() - quarter
    for_sine = ((part - quarter).abs() - half).abs() - quarter
    cosines, sines = _sine(torch.stack([for_cosine, for_sine]) / turn)
    return cosines, sines


def _sine(turns: Tensor) -> Tensor:
    """sin(2 pi t) for t in [-1/4, 1/4] by its Taylor series, to float32's precision.

    A GPU's own may be off by 2^-11 in browsers (WebGPU Shading Language, section "Floating Point
    Accuracy"), which deconvolution amplifies to several levels of a picture.
    """
    square = turns * turns
    series = _SINE[-1] * square
    for factor in _SINE[-2:0:-1]:
        series = (series + factor) * square
    return (series + _SINE[0]) * turns


class MatrixFourier:
    """Fourier transforms of real planes of one size.

    A spectrum has shape (N, C, R, 2 M, F) for planes of R M rows: R classes of vertical
    frequencies; in each class M real parts above M imaginary parts; and one half of the horizontal
    frequencies, since the other half is redundant.

    height, width: size of the planes. If transforms are split, the height is a multiple of `radix`
        and the width one of 4.
    radix: R, of the rows, a multiple of 4; 1 if transforms are not split.
    frequencies: the frequencies in a spectrum, vertical ones of shape (R, M) and horizontal ones of
        shape (F,).
    """

    def __init__(self, height: int, width: int, radix: int = 1) -> None:
        across_radix = 1 if radix == 1 else COLUMN_RADIX
        self.height, self.width, self.radix = height, width, radix
        self._rows, self._columns = height // radix, width // across_radix
        down = radix * torch.arange(self._rows)[None, :] + torch.arange(radix)[:, None]
        across = [across_radix * torch.arange(self._columns // 2 + 1)]
        if radix > 1:
            # Classes 0 and 2 are their own mirror images; class 3 is the mirror image of class 1.
            half = across_radix * torch.arange((self._columns + 1) // 2) + 2
            across += [half, across_radix * torch.arange(self._columns) + 1]
        self._counts = [frequencies.shape[0] for frequencies in across]
        self.frequencies = down, torch.cat(across)
        self._down = _down_matrices(down, self._rows, height)
        self._up = self._down.mT
        cosines, sines = (
            self._split(x) for x in waves(torch.arange(self._columns), torch.cat(across), width)
        )
        self._across = [
            _across_matrix(*both, is_complex=number == 2)
            for number, both in enumerate(zip(cosines, sines, strict=True))
        ]
        self._back = [
            (matrix * _weights(frequencies, height, width)).mT
            for matrix, frequencies in zip(self._across, across, strict=True)
        ]
        self._butterfly = _butterfly(radix)

    def forward(self, planes: Tensor) -> Tensor:
        """The spectrum of planes, shape (N, C, H, W)."""
        parts = [planes]
        if self.radix > 1:
            a, b, c, d = (planes[..., q * self._columns :][..., : self._columns] for q in range(4))
            even, odd = a + c, b + d
            parts = [even + odd, even - odd, torch.cat([a - c, b - d], -1)]
        halves = [x[:, :, None] @ m for x, m in zip(parts, self._across, strict=True)]
        x = torch.cat(halves, -1) if len(halves) > 1 else halves[0]  # (N, C, 2, H, F)
        return self._down @ self._add_blocks(x.flatten(2, 3), self._butterfly).unflatten(
            2, (self.radix, 2 * self._rows)
        )

    def inverse(self, spectrum: Tensor) -> Tensor:
        """The planes of a spectrum."""
        x = self._add_blocks((self._up @ spectrum).flatten(2, 3), self._butterfly.mT)
        x = x.unflatten(2, (2, self.height))
        parts = [(x @ m).sum(2) for x, m in zip(self._split(x), self._back, strict=True)]
        if self.radix == 1:
            return parts[0]
        even, odd = parts[0] + parts[1], parts[0] - parts[1]
        a, b = parts[2][..., : self._columns], parts[2][..., self._columns :]
        return torch.cat([even + a, odd + b, even - a, odd - b], -1)

    def of_kernel(self, kernel: Tensor) -> Tensor:
        """The spectrum of a kernel, shape (N, 1, kh, kw), centred at the origin."""
        rows, columns = kernel.shape[2:]
        vertical, horizontal = self.frequencies
        cosines, sines = waves(torch.arange(columns) - columns // 2, horizontal, self.width)
        real, imaginary = kernel[:, :, None] @ cosines, -(kernel[:, :, None] @ sines)
        places = torch.arange(rows) - rows // 2
        cosines, sines = _class_waves(vertical, places, self.height)
        parts = [cosines @ real + sines @ imaginary, cosines @ imaginary - sines @ real]
        return torch.cat(parts, 3)

    def _split(self, x: Tensor) -> list[Tensor]:
        """The part of each class of horizontal frequencies, which are the last axis."""
        parts, first = [], 0
        for count in self._counts:
            parts.append(x[..., first:][..., :count])
            first += count
        return parts

    def split(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part, shape (N, C, R, M, F) each."""
        return spectrum[..., : self._rows, :], spectrum[..., self._rows :, :]

    def multiply(self, factor: tuple[Tensor, Tensor], spectrum: Tensor) -> Tensor:
        """The product of a spectrum with one given by its parts, see `split`."""
        (c, d), (a, b) = factor, self.split(spectrum)
        return torch.cat([a * c - b * d, a * d + b * c], 3)

    def _add_blocks(self, x: Tensor, butterfly: Tensor) -> Tensor:
        """Apply a butterfly to blocks of rows, shape (N, C, 2 H, F), in either direction."""
        if self.radix == 1:
            return x
        blocks = x.unflatten(2, (2 * self.radix, self._rows)).flatten(3, 4)
        return (butterfly @ blocks).unflatten(3, (self._rows, -1)).flatten(2, 3)


def _down_matrices(frequencies: Tensor, length: int, period: int) -> Tensor:
    """Matrices from blocks to the vertical frequencies of each class, shape (R, 2 M, 2 M)."""
    cosines, sines = _class_waves(frequencies, torch.arange(length), period)
    return torch.cat([torch.cat([cosines, sines], 2), torch.cat([-sines, cosines], 2)], 1)


def _class_waves(frequencies: Tensor, positions: Tensor, period: int) -> Waves:
    """The `waves` of each class, shape (R, M, P)."""
    cosines, sines = waves(frequencies.flatten(), positions, period)
    shape = frequencies.shape
    return cosines.unflatten(0, shape), sines.unflatten(0, shape)


def _across_matrix(cosines: Tensor, sines: Tensor, is_complex: bool) -> Tensor:
    """Matrix to a class's horizontal frequencies, real and imaginary, shape (2, M or 2 M, F).

    cosines, sines: the `waves` of the class. is_complex: whether the blocks are a - i b, side by
    side, rather than real.
    """
    real, imaginary = cosines, -sines
    if is_complex:
        real, imaginary = torch.cat([cosines, -sines]), torch.cat([-sines, -cosines])
    return torch.stack([real, imaginary])


def _weights(frequencies: Tensor, height: int, width: int) -> Tensor:
    """Weights in the inverse: 2 / (H W) for frequencies with an omitted mirror, else 1 / (H W)."""
    ends = frequencies * (2 * frequencies - width) == 0  # either is; WebGPU has no Or
    return torch.where(ends, 1.0, 2.0) / (height * width)


def _butterfly(radix: int) -> Tensor:
    """The matrix of the sums over blocks, shape (2 R, 2 R).

    Its input is the real parts of all blocks, then their imaginary parts; its output is the real
    and imaginary part of each class in turn.
    """
    turns = torch.arange(radix)
    cosines, sines = waves(turns, turns, radix)
    real, imaginary = torch.cat([cosines, sines], 1), torch.cat([-sines, cosines], 1)
    return torch.stack([real, imaginary], 1).flatten(0, 1)
