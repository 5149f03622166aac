"""Blur kernels from blurred pictures, against closed forms, SciPy and known kernels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import scipy.ndimage
from made_blur import blurred_bytes, boxes, shaken

from hyperguide.errors import HyperguideError
from hyperguide.kernel_estimation import estimate_kernel
from hyperguide.kernel_estimation.coarse_to_fine import coarse_to_fine, polished
from hyperguide.kernel_estimation.judge import cost
from hyperguide.kernel_estimation.kernel_shape import (
    NO_BLUR,
    centred,
    likeness,
    padded,
    reach,
    spread,
    tidied,
)
from hyperguide.kernel_estimation.latent_image import latent_image
from hyperguide.kernel_estimation.least_squares import fitted_kernel
from hyperguide.kernel_estimation.periodic import (
    Canvas,
    against_differences,
    canvas_of,
    convolved,
    correlated,
    differences,
    power,
    roughness,
    spectrum,
    transfer_function,
)
from hyperguide.kernel_estimation.windows import Windows


def test_spectra_convolve_and_correlate() -> None:
    rng = np.random.default_rng(0)
    canvas = rng.random((24, 30), np.float32)
    kernel = rng.random((5, 5), np.float32)
    transfer = transfer_function(kernel, canvas.shape)
    for multiply, by_scipy in (
        (convolved, scipy.ndimage.convolve),
        (lambda one, other: correlated(other, one), scipy.ndimage.correlate),
    ):
        found = canvas_of(multiply(spectrum(canvas), transfer))
        assert np.allclose(found, by_scipy(canvas, kernel, mode="wrap"), atol=1e-5)


@pytest.mark.parametrize("shape", [(24, 30), (2, 2), (4, 2)])
def test_powers_are_those_of_numpy(shape: tuple[int, int]) -> None:
    canvas = np.random.default_rng(1).random(shape, np.float32)
    squares = np.abs(np.fft.fft2(canvas)) ** 2
    found = power(spectrum(canvas))
    # Rows of the other half of frequencies mirror these.
    assert np.allclose(found[:, 1:-1:2], squares[:, 1 : shape[1] // 2], rtol=1e-4, atol=1e-3)
    assert np.array_equal(found[:, 1:-1:2], found[:, 2:-1:2])
    down = np.arange(1, shape[0]) + 1
    for column, frequency in (0, 0), (-1, shape[1] // 2):
        assert np.allclose(found[1:, column], squares[down // 2, frequency], rtol=1e-4, atol=1e-3)
        assert np.isclose(found[0, column], squares[0, frequency], rtol=1e-4)
    of_differences = sum(power(spectrum(difference)) for difference in differences(canvas))
    assert np.allclose(of_differences, roughness(shape) * found, rtol=1e-3, atol=1e-3)


def test_differences_have_the_adjoint() -> None:
    rng = np.random.default_rng(2)
    canvas, across, down = rng.random((3, 24, 30))
    dx, dy = differences(canvas)
    left = float((dx * across + dy * down).sum())
    assert np.isclose(left, float((canvas * against_differences(across, down)).sum()))


def test_the_margin_of_a_canvas_leads_evenly_to_the_opposite_edge() -> None:
    picture = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (30, 1))
    canvas = Canvas.around(picture, 8)
    whole = canvas.placed(picture)
    assert np.array_equal(canvas.inner(whole), picture)
    assert min(canvas.top, canvas.left) >= 8
    row = np.roll(whole[canvas.top], -canvas.left)  # the picture, then its margin
    steps = np.diff(np.append(row[39:], row[0]))
    assert np.allclose(steps, steps[0], atol=1e-6)
    assert steps[0] < 0


def test_a_latent_image_is_the_sharp_one_where_edges_are_few() -> None:
    sharp = boxes(120, 120)
    kernel = shaken(9, 2)
    canvas = Canvas.around(sharp, 12)
    whole = canvas.placed(sharp)
    blurred = scipy.ndimage.convolve(whole, kernel, mode="wrap")
    found = latent_image(blurred, kernel, 2e-4)
    before, after = (np.abs(picture - whole).mean() for picture in (blurred, found))
    assert after < 0.2 * before
    flat = latent_image(blurred, kernel, 1e3)
    assert np.allclose(flat, blurred.mean(), atol=0.01)


def test_least_squares_find_the_kernel_exactly_and_heed_weights() -> None:
    sharp = np.random.default_rng(0).random((64, 64), np.float32)
    kernel = shaken(7, 3)
    blurred = scipy.ndimage.convolve(sharp, kernel, mode="wrap")
    blurred[20:30, 20:40] = 5  # spoilt
    weights = np.ones_like(blurred)
    weights[19:30, 19:40] = 0  # and the pixels whose differences reach it
    start = np.full((7, 7), 1 / 49, np.float32)
    found = fitted_kernel(sharp, blurred, weights, start, 0)
    assert np.abs(found - kernel).max() < 1e-4
    spoilt = fitted_kernel(sharp, blurred, np.ones_like(blurred), start, 0)
    assert np.abs(spoilt - kernel).max() > 0.01


def test_damping_is_that_of_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    sharp, blurred = rng.random((2, 16, 16), np.float32)
    columns = []
    for y in range(3):
        for x in range(3):
            unit = np.zeros((3, 3), np.float32)
            unit[y, x] = 1
            moved = scipy.ndimage.convolve(sharp, unit, mode="wrap")
            columns.append(np.concatenate([d.ravel() for d in differences(moved)]))
    matrix = np.stack(columns, 1).astype(np.float64)
    aim = np.concatenate([d.ravel() for d in differences(blurred)])
    solved = np.linalg.solve(matrix.T @ matrix + 7 * np.eye(9), matrix.T @ aim).reshape(3, 3)
    found = fitted_kernel(
        sharp, blurred, np.ones_like(sharp), np.zeros((3, 3), np.float32), damping=7
    )
    assert np.allclose(found, solved, atol=1e-4)


def test_tidied_kernels_are_kernels() -> None:
    separate = np.zeros((31, 31), np.float32)
    separate[::4, ::4] = 1  # each part is small
    noisy = np.random.default_rng(0).normal(0, 0.01, (15, 15)).astype(np.float32)
    noisy[7, 5:10] = 1
    for kernel in (separate, noisy, -np.ones((5, 5), np.float32)):
        tidy = tidied(kernel)
        assert np.isclose(tidy.sum(), 1, atol=1e-5)
        assert (tidy >= 0).all()
    assert np.count_nonzero(tidied(noisy)) == 5


def test_shapes_of_a_line() -> None:
    line = np.zeros((15, 15), np.float32)
    line[3, 2:11] = 1 / 9
    assert spread(line) == pytest.approx(np.sqrt((9**2 - 1) / 12))
    middle = centred(line)
    assert np.array_equal(np.argwhere(middle > 0)[:, 0], np.full(9, 7))
    assert reach(middle) == 4
    assert likeness(line, middle) == pytest.approx(1, abs=1e-5)
    assert likeness(middle, middle.T) == pytest.approx(1 / 9, abs=1e-5)
    assert np.array_equal(padded(padded(middle, 21), 9), padded(middle, 9))


def test_the_kernel_that_blurred_costs_least() -> None:
    sharp, kernel = boxes(200, 200, 2), shaken(11, 1)
    rng = np.random.default_rng(0)
    blurred = scipy.ndimage.convolve(sharp, kernel, mode="nearest")
    blurred += rng.normal(0, 0.004, blurred.shape).astype(np.float32)
    wide = np.full((15, 15), 1 / 225, np.float32)
    others = (NO_BLUR, kernel[::-1].copy(), shaken(11, 2), wide)
    assert all(cost(blurred, other) > 1.1 * cost(blurred, kernel) for other in others)
    assert all(cost(sharp, other) > 1.1 * cost(sharp, NO_BLUR) for other in (kernel, wide))


def test_the_cost_of_a_step_in_closed_form() -> None:
    window = np.zeros((64, 64), np.float32)
    window[:, 32:] = 0.5
    inside = 64 - 2 * 7  # each row has one difference that is not zero, columns have none
    share = inside / (2 * inside * (inside - 1))
    assert cost(window, NO_BLUR) == pytest.approx(np.sqrt(share), rel=0.02)


def test_windows_lie_on_edges_and_not_on_clipped_ones() -> None:
    picture = np.full((400, 600), 0.3, np.float32)
    picture[:100, 450:550] = boxes(100, 100)
    picture[250:350, 50:150] = np.where(boxes(100, 100) > 0.4, 1, 0.3)
    picture[300:380, 400:460] = boxes(80, 60)
    window, other = Windows(picture).best(120, 2)
    assert window.shape == other.shape == (120, 120)
    top, left = _place(window, picture)
    assert top < 50
    assert left <= 480 <= left + 120
    there, beside = _place(other, picture)
    assert there <= 340 <= there + 120
    assert beside <= 430 <= beside + 120
    (whole,) = Windows(picture[:100, :80]).best(120, 3)
    assert np.array_equal(whole, picture[:100, :80])


def _place(view: np.ndarray, picture: np.ndarray) -> tuple[int, int]:
    """Where a view of a picture begins."""
    offset = (view.ctypes.data - picture.ctypes.data) // picture.itemsize
    row, column = divmod(offset, picture.shape[1])
    return row, column


@pytest.mark.parametrize("seed", [0, 1])
def test_the_kernel_of_a_window(seed: int) -> None:
    kernel = shaken(13, seed)
    blurred = blurred_bytes(boxes(240, 240, seed), kernel)
    found = coarse_to_fine(blurred.astype(np.float32) / 255, 17)
    assert likeness(found, kernel) > 0.85


def test_clipped_pixels_count_nothing() -> None:
    kernel = shaken(11, 4)
    sharp = 0.7 * boxes(240, 240, 3)
    for y, x in np.random.default_rng(0).integers(20, 220, (12, 2)):
        sharp[y : y + 3, x : x + 3] = 40  # lights
    found = coarse_to_fine(blurred_bytes(sharp, kernel).astype(np.float32) / 255, 15)
    assert likeness(found, kernel) > 0.8


def test_polishing_with_the_sharp_picture_gives_the_kernel() -> None:
    kernel, sharp = shaken(11, 5), boxes(160, 160)
    blurred = scipy.ndimage.convolve(sharp, kernel, mode="nearest")
    rough = cv2.GaussianBlur(padded(kernel, 15), (5, 5), 1.5)
    found = polished(rough, blurred, lambda window, kernel: sharp)
    assert likeness(rough, kernel) < 0.9
    assert likeness(found, kernel) > 0.99


def test_a_picture_is_blurred_sharp_or_uneven() -> None:
    sharp = boxes(360, 700, 7)
    kernel, other = shaken(15, 1), shaken(15, 6)
    assert likeness(kernel, other) < 0.6
    blurred = estimate_kernel(blurred_bytes(sharp, kernel))
    assert blurred.verdict == "blurred"
    assert likeness(blurred.kernel, kernel) > 0.85
    assert blurred.agreement is not None
    bare = np.full((360, 850), 255, np.uint8)  # says nothing about the kernel
    shown = estimate_kernel(np.hstack([blurred_bytes(sharp[:, :350], kernel), bare]))
    assert shown.verdict == "blurred"
    halves = np.hstack(
        [blurred_bytes(sharp[:, :350], kernel), blurred_bytes(sharp[:, 350:], other)]
    )
    uneven = estimate_kernel(halves)
    assert uneven.verdict == "uneven"
    assert uneven.agreement is not None
    assert uneven.agreement < 0.9
    photo = cv2.GaussianBlur(sharp, (3, 3), 0.4)
    assert estimate_kernel(np.round(255 * photo).astype(np.uint8)).verdict == "sharp"


@pytest.mark.long
def test_large_kernels_are_found_at_half_the_resolution_and_refined() -> None:
    kernel = shaken(45, 3)
    estimate = estimate_kernel(blurred_bytes(boxes(600, 600, 9), kernel))
    assert estimate.verdict == "blurred"
    assert 41 <= len(estimate.kernel) <= 61
    assert likeness(estimate.kernel, kernel) > 0.9


def test_all_kinds_of_pictures_give_the_same_kernel() -> None:
    gray = blurred_bytes(boxes(160, 200), shaken(7, 1))
    first = estimate_kernel(gray, size=9)
    assert first.agreement is None  # one window
    assert first.kernel.shape == (9, 9)
    color = np.dstack([gray] * 3)
    translucent = np.dstack([color, np.arange(gray.size).reshape(gray.shape) % 256])
    words = gray.astype(np.uint16) * 257
    floats = gray.astype(np.float32) / 255
    for image in (color, words, floats, gray[..., None], translucent.astype(np.uint8)):
        assert likeness(estimate_kernel(image, size=9).kernel, first.kernel) > 0.999


@pytest.mark.parametrize(
    ("image", "size", "message"),
    [
        (np.zeros((90, 90), np.uint8), 8, "kernel size 8"),
        (np.zeros((90, 90), np.uint8), 31, "to 29"),
        (np.zeros((900, 900), np.uint8), 103, "at most 101"),
        (np.zeros((90, 90), np.uint8), -1, "kernel size -1"),
        (np.zeros((5, 90, 90, 3), np.uint8), None, "one at a time"),
        (np.zeros((90, 8, 3), np.uint8), None, "8x90, too small"),
        (np.full((90, 90), np.nan, np.float32), None, "NaN"),
        (np.zeros((90, 90), np.int32), None, "int32"),
        (np.full((90, 90), 255, np.float32), None, "0 to 1"),
        (np.zeros((90, 90), np.uint8), 8.5, "kernel size 8.5"),
    ],
)
def test_unusable_pictures_and_sizes(image: np.ndarray, size: int | None, message: str) -> None:
    with pytest.raises(HyperguideError, match=message):
        estimate_kernel(image, size)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(9, 9), (9, 400), (27, 30), (45, 33)])
def test_small_pictures_have_kernels_of_a_third_of_their_side(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    estimate = estimate_kernel(noise)
    assert len(estimate.kernel) <= max(min(shape) // 3, 3)
    assert np.isclose(estimate.kernel.sum(), 1, atol=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("value", "shape"), [(0, (64, 64)), (128, (400, 700)), (255, (64, 64))])
def test_pictures_without_edges_are_sharp(value: int, shape: tuple[int, int]) -> None:
    estimate = estimate_kernel(np.full(shape, value, np.uint8))
    assert estimate.verdict == "sharp"
    assert np.isclose(estimate.kernel.sum(), 1, atol=1e-4)
