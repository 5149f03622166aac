"""Closed-form deconvolution in the Fourier domain, with the border handling that it needs.

Blur is the circular convolution y = k * x. Restoring with an iterate x as prior solves

    z = argmin |k * z - y|^2 + rho |z - x|^2
      = F^-1((conj(K) F(y) + rho F(x)) / (|K|^2 + rho)),      K = F(k) centred at the origin.

Real pictures do not wrap around. They are padded by half a kernel, with copies of the edge pixels
or with ramps from each edge to the opposite one, and the border is blended with its own blur
(edgetaper) to prevent ringing from the wrap-around.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Margins = tuple[int, int, int, int]  # left, right, top, bottom, as `F.pad` takes them


def transfer_function(kernel: Tensor, height: int, width: int) -> Tensor:
    """K, the half spectrum of a centred kernel on a canvas.

    kernel: shape (N, 1, kh, kw), odd sides, not larger than the canvas.
    Returns complex, shape (N, 1, height, width // 2 + 1).
    """
    rows, columns = kernel.shape[2:]
    canvas = F.pad(kernel, (0, width - columns, 0, height - rows))
    centred = canvas.roll((-(rows // 2), -(columns // 2)), (2, 3))
    return torch.fft.rfft2(centred)


class ClosedForm:
    """The solution z for one observation and kernel; terms that do not depend on x are cached.

    observed: y, shape (N, C, H, W).
    kernel: shape (N, 1, kh, kw), odd sides.
    """

    def __init__(self, observed: Tensor, kernel: Tensor) -> None:
        self._size = observed.shape[2:]
        transfer = transfer_function(kernel, *self._size)
        self._data = transfer.conj() * torch.fft.rfft2(observed)
        self._power = transfer.real.square() + transfer.imag.square()

    def __call__(self, iterate: Tensor, rho: Tensor | float) -> Tensor:
        """Solve for z.

        iterate: x, the prior, shape (N, C, H, W).
        rho: its weight, above 0: a number or shape (N, 1, 1, 1).
        """
        spectrum = (self._data + rho * torch.fft.rfft2(iterate)) / (self._power + rho)
        return torch.fft.irfft2(spectrum, s=self._size)


class DirectForm:
    """The same solution without blur (k is the unit impulse), which needs no Fourier transform."""

    def __init__(self, observed: Tensor) -> None:
        self._observed = observed

    def __call__(self, iterate: Tensor, rho: Tensor | float) -> Tensor:
        """z = (y + rho x) / (1 + rho)."""
        return (self._observed + rho * iterate) / (1 + rho)


def edgetaper(image: Tensor, kernel: Tensor, times: int = 3) -> Tensor:
    """Blend the borders with their circular blur, like MATLAB's `edgetaper`.

    The weight of the picture is 1 minus the normalised autocorrelation of the kernel's projection
    on each axis: 0 at the border, 1 from a kernel's size inwards.

    image: shape (N, C, H, W); kernel: shape (N, 1, kh, kw); returns the image's shape.
    """
    height, width = image.shape[2:]
    transfer = transfer_function(kernel, height, width)
    share = taper_share(kernel, height, width)
    for _ in range(times):
        blurred = torch.fft.irfft2(transfer * torch.fft.rfft2(image), s=(height, width))
        image = share * image + (1 - share) * blurred
    return image


def taper_share(kernel: Tensor, height: int, width: int) -> Tensor:
    """The weight of the picture in `edgetaper`, shape (N, 1, height, width)."""
    down = _share(kernel.sum(3), height)[..., :, None]
    across = _share(kernel.sum(2), width)[..., None, :]
    return down * across


def _share(projection: Tensor, size: int) -> Tensor:
    """1 - autocorrelation at each position's distance from the border, shape (N, 1, size).

    projection: the kernel summed along the other axis, shape (N, 1, k).
    """
    length = projection.shape[2]
    offsets = torch.arange(length, device=projection.device)
    ahead = offsets[:, None] + offsets[None, :]
    # Exported as Gather; other ways to index become GatherND, on which ONNX Runtime in JavaScript
    # fails, or fix the number of kernels.
    found = F.embedding(ahead.clamp(max=length - 1), projection[:, 0].mT)
    shifted = found.permute(2, 0, 1)[:, None] * (ahead < length)
    correlation = (shifted * projection[..., None, :]).sum(-1)
    position = torch.arange(size, device=projection.device)
    # WebGPU has no minimum of two tensors.
    distance = torch.where(2 * position < size, position, size - 1 - position)
    near = correlation.index_select(2, distance.clamp(max=length - 1)) * (distance < length)
    return 1 - near / correlation[..., :1]


def pad_for(
    kernel: Tensor,
    height: int,
    width: int,
    multiples: tuple[int, int] = (1, 1),
    least: int = 0,
) -> tuple[int, int, int, int]:
    """The margins to pad by: half a kernel on each side, but at least `least` pixels.

    The right and bottom margins grow until the canvas's height and width are multiples of these.
    """
    rows, columns = (size // 2 for size in kernel.shape[2:])
    if least:  # sizes are symbols while a graph is traced
        rows, columns = torch.sym_max(rows, least), torch.sym_max(columns, least)
    more_rows = -(height + 2 * rows) % multiples[0]
    more_columns = -(width + 2 * columns) % multiples[1]
    return columns, columns + more_columns, rows, rows + more_rows


def pad_with_ramps(planes: Tensor, margins: Margins) -> Tensor:
    """Pad so that margins lead evenly from each edge, around the end, to the opposite one.

    planes: shape (N, C, H, W). Copies of the edge would jump at the end.
    """
    left, right, top, bottom = margins
    return _ramps(_ramps(planes, top, bottom, 2), left, right, 3)


def _ramps(planes: Tensor, before: int, after: int, axis: int) -> Tensor:
    """Pad one axis, see `pad_with_ramps`."""
    length, gap = planes.shape[axis], before + after
    place = torch.arange(gap + length, device=planes.device) - before
    inside = place.clamp(0, length - 1)
    is_inside = inside == place  # WebGPU has no And
    steps = torch.where(place < 0, place + gap, place - length) + 1
    share = torch.where(is_inside, 0, steps).to(planes.dtype) / (gap + 1)
    share = share[:, None] if axis == 2 else share
    last = planes.index_select(axis, torch.where(is_inside, place, length - 1))
    first = planes.index_select(axis, torch.where(is_inside, place, 0))
    return last * (1 - share) + first * share


def taper(image: Tensor, kernel: Tensor, multiples: tuple[int, int] = (1, 1)) -> Tensor:
    """Pad with the edge pixels as `pad_for` says, then apply `edgetaper`."""
    margins = pad_for(kernel, image.shape[2], image.shape[3], multiples)
    return edgetaper(F.pad(image, margins, mode="replicate"), kernel)


def crop(padded: Tensor, margins: Margins) -> Tensor:
    """Undo a padding by `pad_for`."""
    left, right, top, bottom = margins
    height, width = padded.shape[2:]
    return padded[..., top : height - bottom, left : width - right]
