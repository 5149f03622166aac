"""The metrics and the published protocols, compared with scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.color
import skimage.metrics

from hyperguide.errors import HyperguideError
from hyperguide.psnr import psnr
from hyperguide.training.evaluation.protocols import PROTOCOLS
from hyperguide.training.metrics import matlab_y, picture_ssim, root_mean_square_error

_SSIM = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


@pytest.fixture
def clean(astronaut: np.ndarray) -> np.ndarray:
    """8-bit values in [0, 1], shape (60, 84, 3), float64."""
    return astronaut[40:100, 200:284] / 255


@pytest.fixture
def noisy(clean: np.ndarray) -> np.ndarray:
    """A noisy picture that leaves [0, 1] in places."""
    return clean + np.random.default_rng(1).normal(0, 0.15, clean.shape)


@pytest.mark.parametrize("peak", [1.0, 255.0])
def test_psnr_of_a_picture_equals_scikit_image(
    clean: np.ndarray, noisy: np.ndarray, peak: float
) -> None:
    for a, b in ((noisy, clean), (noisy[..., 0], clean[..., 0])):
        expected = skimage.metrics.peak_signal_noise_ratio(b * peak, a * peak, data_range=peak)
        assert psnr(a * peak, b * peak, peak) == pytest.approx(expected, abs=1e-9)
    assert psnr(clean, clean, peak) == np.inf


@pytest.mark.parametrize("peak", [1.0, 255.0])
def test_ssim_of_a_picture_equals_scikit_image(
    clean: np.ndarray, noisy: np.ndarray, peak: float
) -> None:
    a, b = noisy * peak, clean * peak
    color = skimage.metrics.structural_similarity(a, b, data_range=peak, channel_axis=2, **_SSIM)
    assert picture_ssim(a, b, peak) == pytest.approx(color, abs=1e-9)
    a, b = a[..., 1], b[..., 1]
    gray = skimage.metrics.structural_similarity(a, b, data_range=peak, **_SSIM)
    assert picture_ssim(a, b, peak) == pytest.approx(gray, abs=1e-9)


def test_ssim_refuses_pictures_smaller_than_its_window() -> None:
    assert picture_ssim(np.zeros((11, 11)), np.zeros((11, 11))) == 1
    with pytest.raises(HyperguideError, match="at least 11x11 pixels, not 30x10"):
        picture_ssim(np.zeros((10, 30)), np.zeros((10, 30)))


def test_luma_equals_scikit_image_for_every_gray_and_many_colours() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    colours[0, :256] = np.arange(256)[:, None]
    actual = matlab_y(colours)
    np.testing.assert_allclose(actual, skimage.color.rgb2ycbcr(colours)[..., 0], atol=1e-9)
    assert actual[0, 0] == 16  # the studio range
    assert actual[0, 255] == pytest.approx(235)
    gray = colours[..., 0]
    assert np.array_equal(matlab_y(gray), gray)


def test_the_error_of_a_map_is_the_root_of_the_mean_square() -> None:
    assert root_mean_square_error(np.array([[1.0, 2.0]]), np.array([[4.0, 6.0]])) == pytest.approx(
        np.sqrt((9 + 16) / 2)
    )


def test_the_protocol_y_matlab_scores_the_truncated_8_bit_picture(
    clean: np.ndarray, noisy: np.ndarray
) -> None:
    restored = noisy.astype(np.float32)
    file = np.floor(restored.clip(0, 1) * np.float32(255)).astype(np.uint8)
    y, true = (skimage.color.rgb2ycbcr(p)[..., 0] for p in (file, np.uint8(clean * 255.5)))
    score = PROTOCOLS["y-matlab"].score(restored, clean, 0)
    expected = skimage.metrics.peak_signal_noise_ratio(true, y, data_range=255)
    ssim = skimage.metrics.structural_similarity(y, true, data_range=255, **_SSIM)
    assert score.psnr == pytest.approx(expected, abs=1e-9)
    assert score.ssim == pytest.approx(ssim, abs=1e-9)
    # Rounding would give another score: the protocol includes the loss of half a step.
    rounded = PROTOCOLS["y-matlab"].score(restored + np.float32(0.5 / 255), clean, 0)
    assert abs(rounded.psnr - score.psnr) > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_8_bit_value_survives_the_truncation(dtype: type) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    clean = values / 255
    assert PROTOCOLS["y-matlab"].score((values / 255).astype(dtype), clean, 0).psnr == np.inf


def test_the_protocol_rgb_scores_the_clipped_float_picture(
    clean: np.ndarray, noisy: np.ndarray
) -> None:
    clipped = np.clip(noisy, 0, 1)
    score = PROTOCOLS["rgb"].score(noisy, clean, 0)
    expected = skimage.metrics.peak_signal_noise_ratio(clean, clipped, data_range=1)
    ssim = skimage.metrics.structural_similarity(
        clipped, clean, data_range=1, channel_axis=2, **_SSIM
    )
    assert score.psnr == pytest.approx(expected, abs=1e-9)
    assert score.ssim == pytest.approx(ssim, abs=1e-9)


def test_the_protocol_levin_leaves_the_spoilt_border_out(
    clean: np.ndarray, noisy: np.ndarray
) -> None:
    true, restored = clean[..., 0], noisy[..., 0].clip(0, 1)
    expected = skimage.metrics.peak_signal_noise_ratio(
        true[7:-7, 7:-7], restored[7:-7, 7:-7], data_range=1
    )
    spoilt = restored.copy()
    spoilt[:7] = spoilt[:, -7:] = 0
    assert PROTOCOLS["levin"].score(spoilt, true, 7).psnr == pytest.approx(expected, abs=1e-9)
    assert PROTOCOLS["levin"].score(spoilt, true, 6).psnr < expected


def test_pictures_of_unlike_shapes_are_not_compared() -> None:
    """numpy would broadcast (H, W) over (H, W, 1), rows over pictures."""
    picture = np.random.default_rng(0).random((32, 32))
    with pytest.raises(HyperguideError, match=r"\(32, 32, 1\) and \(32, 32\) cannot be compared"):
        psnr(picture[..., None], picture, 1)
