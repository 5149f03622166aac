"""Conversion between pictures and tensors."""

from __future__ import annotations

import numpy as np
import pytest

from hyperguide.pixels import from_tensor, planes_to_pixels, to_tensor


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 2])
def test_bytes_are_rounded_as_numpy_rounds(channels: int, count: int) -> None:
    """Also halves, which lie between two bytes, and their neighbours among the floats."""
    halves = np.arange(511, dtype=np.float32) / 510
    values = np.concatenate([halves, np.nextafter(halves, 0), np.nextafter(halves, 1)])
    values = np.concatenate([values, np.random.default_rng(0).random(97 * 211, np.float32)])
    planes = np.resize(values, (count, channels, 97, 211 + 8))[..., 3:-5]  # rows with gaps
    expected = np.rint(planes.transpose(0, 2, 3, 1) * np.float32(255)).astype(np.uint8)
    np.testing.assert_array_equal(planes_to_pixels(planes), expected)


def test_every_byte_survives_the_way_to_a_tensor_and_back() -> None:
    pixels = np.arange(256 * 3, dtype=np.uint16).astype(np.uint8).reshape(16, 16, 3)
    tensor, layout = to_tensor(pixels, 3)
    np.testing.assert_array_equal(from_tensor(tensor, pixels, layout), pixels)
