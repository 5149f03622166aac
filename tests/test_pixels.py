"""Conversion between pictures and tensors."""

from __future__ import annotations

import numpy as np
import pytest

from hyperguide.pixels import from_tensor, merge_planes, planes_to_pixels, split_pixels, to_tensor

pytestmark = pytest.mark.lowest


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 2])
def test_bytes_are_rounded_as_numpy_rounds(channels: int, count: int) -> None:
    """Includes halves between two bytes, and the floats next to them."""
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


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 9, 4), (2, 6, 1, 3), (3, 4, 5, 4), (2, 4, 5, 1)])
def test_tensors_are_what_numpy_makes_of_pictures(kind: str, shape: tuple[int, ...]) -> None:
    """Any type, single and in batches, with alpha, mirrored, and with gaps between pixels."""
    values = np.random.default_rng(0).random(shape)
    full = np.iinfo(kind).max if kind.startswith("u") else 1
    stored = np.zeros((*shape[:-2], 2 * shape[-2], shape[-1]), kind)
    stored[..., ::2, :] = (values * full).astype(kind)
    picture = stored[..., ::2, :][..., ::-1, :]
    picture.setflags(write=False)
    color = picture[..., :3] if shape[-1] > 2 else picture
    batch = color if len(shape) == 4 else color[None]
    expected = batch.transpose(0, 3, 1, 2).astype(np.float32) * np.float32(1 / full)
    tensor, layout = to_tensor(picture, color.shape[-1])
    np.testing.assert_array_equal(tensor, expected)
    assert layout.alpha == (shape[-1] == 4)


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 3, 1, 7), (2, 1, 6, 1)])
def test_interleaved_pixels_become_planes_and_back(shape: tuple[int, ...]) -> None:
    planes = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    pixels = merge_planes(planes)
    np.testing.assert_array_equal(pixels, planes.transpose(0, 2, 3, 1))
    assert not np.shares_memory(pixels, planes)
    np.testing.assert_array_equal(split_pixels(pixels), planes)
