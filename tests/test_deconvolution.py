"""The closed form and the borders, compared with numpy, scipy and known solutions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch
from torch import Tensor

from hyperguide.training.deconvolution import (
    ClosedForm,
    DirectForm,
    crop,
    edgetaper,
    pad_for,
    pad_with_ramps,
    taper,
)


def _gaussian(size: int, sigma: float) -> np.ndarray:
    x = np.arange(size) - size // 2
    one = np.exp(-(x**2) / (2 * sigma**2))
    kernel = np.outer(one, one)
    return kernel / kernel.sum()


def _lopsided(rows: int, columns: int) -> np.ndarray:
    kernel = np.random.default_rng(1).random((rows, columns)) ** 3
    return kernel / kernel.sum()


def _tensor(array: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(array).to(dtype)[None, None]


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


@pytest.fixture
def gray(astronaut: np.ndarray) -> np.ndarray:
    return astronaut[100:228, 200:301].mean(2) / 255


@pytest.mark.parametrize(("sigma", "rho"), [(0.8, 1e-8), (1.2, 1e-12), (1.6, 1e-15)])
def test_a_circular_gaussian_blur_without_noise_is_undone_beyond_60_db(
    gray: np.ndarray, sigma: float, rho: float
) -> None:
    kernel = _gaussian(9, sigma)
    blurred = scipy.ndimage.convolve(gray, kernel, mode="wrap")
    assert _psnr(blurred, gray) < 35
    restored = ClosedForm(_tensor(blurred), _tensor(kernel))(_tensor(blurred), rho)
    assert _psnr(restored[0, 0].numpy(), gray) > 60


@pytest.mark.parametrize("size", [(128, 101), (101, 128), (64, 64)])
def test_the_closed_form_equals_numpys_fft_to_1e_5_in_float32(
    gray: np.ndarray, size: tuple[int, int]
) -> None:
    y = np.resize(gray, size)
    x = np.random.default_rng(2).random(size)
    kernel, rho = _lopsided(7, 11), 1.75e-3
    canvas = np.zeros(size)
    canvas[:7, :11] = kernel
    K = np.fft.fft2(np.roll(canvas, (-3, -5), (0, 1)))
    expected = np.fft.ifft2(
        (K.conj() * np.fft.fft2(y) + rho * np.fft.fft2(x)) / (np.abs(K) ** 2 + rho)
    ).real
    single = [_tensor(a, torch.float32) for a in (y, kernel, x)]
    actual = ClosedForm(single[0], single[1])(single[2], rho)[0, 0].numpy()
    assert np.abs(actual - expected).max() < 1e-5


def test_the_closed_form_of_deconvolution_minimises_its_objective(gray: np.ndarray) -> None:
    """The gradient of |k * z - y|^2 + rho |z - x|^2 is zero at z, by scipy's convolutions."""
    kernel, rho = _lopsided(5, 3), 0.01
    x = np.random.default_rng(3).random(gray.shape)
    z = ClosedForm(_tensor(gray), _tensor(kernel))(_tensor(x), rho)[0, 0].numpy()
    residual = scipy.ndimage.convolve(z, kernel, mode="wrap") - gray
    gradient = scipy.ndimage.correlate(residual, kernel, mode="wrap") + rho * (z - x)
    assert np.abs(gradient).max() < 1e-12


def test_without_blur_the_direct_form_is_the_closed_form(gray: np.ndarray) -> None:
    impulse = np.zeros((3, 5))
    impulse[1, 2] = 1
    y, x = _tensor(gray), _tensor(gray[::-1].copy())
    expected = ClosedForm(y, _tensor(impulse))(x, 0.3)
    torch.testing.assert_close(DirectForm(y)(x, 0.3), expected, atol=1e-12, rtol=0)


def _edgetaper_by_definition(image: np.ndarray, kernel: np.ndarray, times: int) -> np.ndarray:
    """As MATLAB documents: weights from the kernel's autocorrelation, blur that wraps around."""
    shares = []
    for axis in (1, 0):
        projection = kernel.sum(axis)
        whole = np.correlate(projection, projection, "full")
        half = whole[len(projection) - 1 :] / whole.max()
        share = np.ones(image.shape[1 - axis])
        share[: len(half)] -= half
        share[-len(half) :] -= half[::-1]
        shares.append(share)
    share = np.outer(*shares)
    for _ in range(times):
        blurred = scipy.ndimage.convolve(image, kernel, mode="wrap")
        image = share * image + (1 - share) * blurred
    return image


@pytest.mark.parametrize("shape", [(7, 7), (5, 11), (1, 9)])
def test_edgetaper_follows_its_definition(gray: np.ndarray, shape: tuple[int, int]) -> None:
    kernel = _lopsided(*shape)
    ours = edgetaper(_tensor(gray), _tensor(kernel))[0, 0].numpy()
    np.testing.assert_allclose(ours, _edgetaper_by_definition(gray, kernel, 3), atol=1e-12)


def test_every_sample_of_a_batch_is_tapered_by_its_own_kernel(gray: np.ndarray) -> None:
    kernels = [_gaussian(7, 1.0), _lopsided(7, 7)]
    images = [gray, gray[::-1].copy()]
    together = edgetaper(
        torch.cat([_tensor(i) for i in images]), torch.cat([_tensor(k) for k in kernels])
    )
    for n, (image, kernel) in enumerate(zip(images, kernels, strict=True)):
        alone = edgetaper(_tensor(image), _tensor(kernel))
        torch.testing.assert_close(together[n : n + 1], alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("shape", "multiples"), [((7, 7), (1, 1)), ((5, 11), (8, 8)), ((1, 1), (16, 4))]
)
def test_padding_by_half_a_kernel_reaches_the_multiples_and_crops_back(
    shape: tuple[int, int], multiples: tuple[int, int]
) -> None:
    image, kernel = torch.rand(1, 1, 45, 62), torch.full((1, 1, *shape), 1 / np.prod(shape))
    left, right, top, bottom = margins = pad_for(kernel, 45, 62, multiples)
    assert (left, top) == (shape[1] // 2, shape[0] // 2)
    assert right >= left
    assert bottom >= top
    padded = taper(image, kernel, multiples)
    assert (padded.shape[2] % multiples[0], padded.shape[3] % multiples[1]) == (0, 0)
    assert crop(padded, margins).shape == image.shape


@pytest.mark.parametrize("margins", [(2, 5, 3, 0), (0, 0, 1, 1), (0, 3, 0, 0)])
def test_ramps_lead_evenly_around_the_end(margins: tuple[int, int, int, int]) -> None:
    image = torch.rand(2, 3, 6, 9)
    left, right, top, bottom = margins
    padded = pad_with_ramps(image, margins)
    assert padded.shape[2:] == (6 + top + bottom, 9 + left + right)
    torch.testing.assert_close(crop(padded, margins), image, rtol=0, atol=0)
    for before, after, axis in (top, bottom, 2), (left, right, 3):
        length = image.shape[axis]
        ring = padded.roll(-before, axis)
        ramp = ring.narrow(axis, length - 1, before + after + 1)
        closed = torch.cat([ramp, ring.narrow(axis, 0, 1)], axis)
        steps = closed.diff(dim=axis)
        expected = (ring.narrow(axis, 0, 1) - ring.narrow(axis, length - 1, 1)) / (
            before + after + 1
        )
        torch.testing.assert_close(steps, expected.expand_as(steps), rtol=0, atol=1e-6)


def test_padding_is_never_less_than_asked_for() -> None:
    small, large = torch.ones(1, 1, 3, 9), torch.ones(1, 1, 41, 43)
    assert pad_for(small, 24, 32, least=5) == (5, 5, 5, 5)
    assert pad_for(large, 24, 32, least=5) == pad_for(large, 24, 32) == (21, 21, 20, 20)
    assert pad_for(small, 23, 30, (8, 4), 5) == (5, 5, 5, 12)


def test_tapering_removes_the_ringing_of_borders(gray: np.ndarray) -> None:
    """A blurred picture with borders that do not wrap, restored with and without tapering."""
    kernel = _gaussian(15, 2.0)
    blurred = scipy.signal.convolve2d(gray, kernel, mode="valid")
    truth = gray[7:-7, 7:-7]
    y, k = _tensor(blurred), _tensor(kernel)
    plain = ClosedForm(y, k)(y, 1e-3)[0, 0].numpy()
    tapered = taper(y, k)
    restored = crop(ClosedForm(tapered, k)(tapered, 1e-3), pad_for(k, *blurred.shape))
    assert _psnr(restored[0, 0].numpy(), truth) > _psnr(plain, truth) + 3
