"""Calling an enhancer: kinds of pictures, sizes, dials and maps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import hyperguide
from conftest import TASKS, psnr
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import ENHANCED, GUIDANCE
from hyperguide.model_format.model_file import read_model_file

pytestmark = pytest.mark.lowest


class _NoEngine:
    """Fails when it is run."""

    name = "none"
    largest = None

    def close(self) -> None:
        pass

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise AssertionError("the engine was run")


def _noisy(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image / 255 + noise, 0, 1).astype(np.float32)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(33, 47), (33, 47, 3), (33, 47, 4), (2, 16, 16, 3)])
def test_strength_0_returns_the_input_bit_for_bit_without_running_the_engine(
    dtype: str, shape: tuple[int, ...], enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    file = read_model_file(enhancers["denoise"].path)
    idle = hyperguide.Enhancer(file, _NoEngine())
    high = np.iinfo(dtype).max
    image = np.random.default_rng(0).integers(0, high, shape, dtype, endpoint=True)
    result = idle(image, strength=0)
    np.testing.assert_array_equal(result.image, image)
    assert result.image is not image
    assert result.guidance is None
    with pytest.raises(AssertionError, match="the engine was run"):
        idle(image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_strength_0_in_a_mask_is_bit_exact_there(
    dtype: str, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    high = np.iinfo(dtype).max
    image = np.random.default_rng(0).integers(0, high, (40, 64, 3), dtype, endpoint=True)
    mask = np.ones((40, 64), np.float32)
    mask[:, :32] = 0
    result = enhancers["denoise"](image, strength=mask)
    np.testing.assert_array_equal(result.image[:, :32], image[:, :32])
    assert (result.image[:, 32:] != image[:, 32:]).mean() > 0.5


@pytest.mark.parametrize("task", TASKS)
def test_the_mean_change_grows_with_strength(
    task: str, astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    image = _noisy(astronaut[:128, :128] * 0.6 + 60, 0.08)
    changes = [
        np.abs(enhancers[task](image, strength=s).image - image).mean()
        for s in (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5)
    ]
    assert changes[0] == 0
    assert all(a < b for a, b in pairwise(changes)), changes


def test_guidance_scale_is_no_blend_but_peaks_near_1(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    clean = astronaut[:256, :256].astype(np.float32) / 255
    noisy = _noisy(astronaut[:256, :256], 25 / 255)
    scales = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0, 4.0)
    scores = [psnr(enhancers["denoise"](noisy, guidance_scale=s).image, clean) for s in scales]
    assert 0.7 <= scales[int(np.argmax(scores))] <= 1.4, scores
    assert scores[0] < max(scores) - 0.5
    assert scores[-1] < max(scores) - 0.5


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 1, 3), (1, 7, 3), (5, 1, 1), (33, 47), (64, 64, 4), (20, 30, 2), (3, 9, 11, 3)],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
def test_the_result_has_the_shape_and_dtype_of_the_picture(
    shape: tuple[int, ...], dtype: str, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    rng = np.random.default_rng(0)
    full = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    image = (rng.uniform(0, 1, shape) * full).astype(dtype)
    for task in TASKS:
        result = enhancers[task](image)
        assert result.image.shape == shape
        assert result.image.dtype == image.dtype
        assert result.guidance is not None
        expected = shape if len(shape) == 2 else shape[:-1]
        assert result.guidance.shape == expected
        assert result.guidance.dtype == np.float32
        if len(shape) > 2 and shape[-1] in (2, 4):
            np.testing.assert_array_equal(result.image[..., -1], image[..., -1])


def test_padding_mirrors_the_border(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    image = astronaut[100:137, 100:150]
    multiple = enhancers["denoise"].info.size_multiple
    rows, columns = -37 % multiple, -50 % multiple
    padded = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="symmetric")
    by_hand = enhancers["denoise"](padded).image[:37, :50]
    np.testing.assert_array_equal(enhancers["denoise"](image).image, by_hand)


def test_bit_depths_give_the_same_result_within_rounding(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    image = astronaut[:64, :64]
    eight = enhancers["denoise"](image).image.astype(float) / 255
    sixteen = enhancers["denoise"](image.astype(np.uint16) * 257).image / 65535
    floats = enhancers["denoise"](image.astype(np.float64) / 255).image
    assert np.abs(eight - floats).max() <= 0.5 / 255 + 1e-6
    assert np.abs(sixteen - floats).max() <= 0.5 / 65535 + 1e-6


def test_a_batch_equals_its_pictures_one_by_one(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    batch = np.stack([astronaut[:64, :64], astronaut[64:128, :64]])
    maps = np.stack([np.full((64, 64), 0.05), np.full((64, 64), 0.15)])
    together = enhancers["denoise"](batch, guidance=maps)
    for i in range(2):
        alone = enhancers["denoise"](batch[i], guidance=maps[i])
        np.testing.assert_array_equal(together.image[i], alone.image)


def test_closing_frees_the_engine_for_gray_pictures_too(
    enhancers: dict[str, hyperguide.Enhancer],
) -> None:
    class Closable(_NoEngine):
        closed = 0

        def close(self) -> None:
            Closable.closed += 1

    file = read_model_file(enhancers["denoise"].path)

    def pair() -> hyperguide.Enhancer:
        return hyperguide.Enhancer(file, Closable(), lambda: hyperguide.Enhancer(file, Closable()))

    pair().close()
    assert Closable.closed == 1  # and none is opened just to be closed
    with pair() as enhancer, pytest.raises(AssertionError, match="the engine was run"):
        enhancer(np.zeros((16, 16), np.uint8))
    assert Closable.closed == 3


def test_gray_pictures_are_denoised_as_gray(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    clean = (astronaut[..., 1] / 255).astype(np.float32)
    noisy = _noisy(astronaut[..., 1], 25 / 255)
    result = enhancers["denoise"](noisy)
    assert psnr(result.image, clean) > psnr(noisy, clean) + 5
    assert result.guidance is not None
    assert abs(float(np.median(result.guidance)) - 25 / 255) < 0.02


# Not dehazing, which looks at the whole picture and the whole map.
@pytest.mark.parametrize("task", ["denoise", "derain"])
def test_a_map_that_is_wrong_in_one_half_changes_that_half_only(
    task: str, astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    enhancer = enhancers[task]
    reach = enhancer.info.receptive_field
    width = 32 * (2 * reach // 32 + 3)
    tiles = -(-width // astronaut.shape[1])
    image = np.tile(astronaut, (1, tiles, 1))[:64, :width].astype(np.float32) / 255
    right = np.full((64, width), 0.4 * enhancer.info.guidance.maximum, np.float32)
    wrong = right.copy()
    middle = width // 2
    wrong[:, :middle] *= 2
    a = enhancer(image, guidance=right).image
    b = enhancer(image, guidance=wrong).image
    np.testing.assert_array_equal(a[:, middle + reach :], b[:, middle + reach :])
    assert np.abs(a - b)[:, :middle].mean() > 1e-4


def test_a_constant_and_a_constant_map_are_the_same(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    image = astronaut[:50, :70]
    number = enhancers["denoise"](image, guidance=0.1)
    array = enhancers["denoise"](image, guidance=np.full((50, 70), 0.1))
    np.testing.assert_array_equal(number.image, array.image)
    assert number.guidance is not None
    np.testing.assert_allclose(number.guidance, 0.1, rtol=1e-6)


def test_the_map_fed_back_repeats_the_result(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    image = astronaut[:61, :83]
    first = enhancers["denoise"](image)
    assert first.guidance is not None
    again = enhancers["denoise"](image, guidance=first.guidance)
    difference = first.image.astype(int) - again.image
    # In the padding the map is repeated, not predicted, which can make a difference of one level.
    assert np.abs(difference).max() <= 1


def test_maps_with_a_channel_axis_or_a_rounding_beyond_the_range_are_accepted(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    image = astronaut[:48, :64]
    plain = enhancers["denoise"](image, guidance=np.full((48, 64), 0.1)).image
    axis = enhancers["denoise"](image, guidance=np.full((48, 64, 1), 0.1)).image
    np.testing.assert_array_equal(plain, axis)
    with pytest.warns(UserWarning, match="map of 32x24 pixels was resized"):
        axis = enhancers["denoise"](image, guidance=np.full((24, 32, 1), 0.1)).image
    np.testing.assert_array_equal(plain, axis)
    enhancers["denoise"](image, guidance=-5e-7)
    enhancers["denoise"](image, guidance=np.float32(80 / 255) + 1e-6)


def test_a_map_of_another_size_is_resized_and_said_so(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    wanted = "map of 20x10 pixels was resized to the picture's 64x48"
    with pytest.warns(UserWarning, match=wanted) as warned:
        result = enhancers["denoise"](astronaut[:48, :64], guidance=np.full((10, 20), 0.1))
    assert warned[0].filename == __file__  # the warning points to the caller's line
    assert result.guidance is not None
    np.testing.assert_allclose(result.guidance, 0.1, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"guidance": np.full((48, 64), np.nan)}, "contains NaN"),
        ({"guidance": float("inf")}, "contains NaN or infinity"),
        ({"guidance": 25}, r"outside 0\.\.0\.314 \(noise_level"),
        ({"guidance": np.zeros(7)}, "does not fit"),
        ({"guidance": np.zeros((24, 32, 3))}, r"shape \(24, 32, 3\) does not fit"),
        ({"strength": 1e300}, "contains NaN or infinity"),
        ({"guidance": np.zeros((0, 5))}, "is empty"),
        ({"guidance": "map.png"}, "must be a number"),
        ({"guidance": 0.1, "strength": 0, "guidance_scale": np.inf}, "contains NaN or infinity"),
        ({"strength": -1}, "at least 0"),
        ({"strength": float("nan")}, "contains NaN"),
        ({"strength": "much"}, "must be a number"),
        ({"strength": np.ones((3, 3))}, "does not fit"),
        ({"guidance_scale": np.nan}, "contains NaN"),
        ({"guidance": 0.1, "guidance_mix": 2}, "at most 1, not 2"),
    ],
)
def test_unusable_dials_are_refused(
    arguments: dict[str, Any],
    words: str,
    astronaut: np.ndarray,
    enhancers: dict[str, hyperguide.Enhancer],
) -> None:
    with pytest.raises(HyperguideError, match=words):
        enhancers["denoise"](astronaut[:48, :64], **arguments)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 5), np.uint8), "not supported"),
        (np.zeros((4,), np.uint8), "not supported"),
        (np.zeros((4, 4), np.int32), "type int32"),
        (np.zeros((0, 4), np.uint8), "empty"),
        (np.full((4, 4), np.nan, np.float32), "NaN"),
        (np.full((4, 4), 200.0), "value 200, but float pictures go from 0 to 1"),
        ([[1, 2]], "numpy array"),
    ],
)
def test_unusable_pictures_are_refused(
    image: Any, words: str, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    with pytest.raises(HyperguideError, match=words):
        enhancers["denoise"](image)


def test_an_engine_that_computes_nan_is_an_error_not_a_black_picture(
    astronaut: np.ndarray, enhancers: dict[str, hyperguide.Enhancer]
) -> None:
    class Broken:
        name = "broken engine"
        largest = None

        def close(self) -> None:
            pass

        def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            image = feeds["image"]
            return {ENHANCED: np.full_like(image, np.nan), GUIDANCE: image[:, :1]}

    broken = hyperguide.Enhancer(read_model_file(enhancers["denoise"].path), Broken())
    with pytest.raises(HyperguideError, match="broken engine computed NaN"):
        broken(astronaut)


@pytest.mark.parametrize("task", ["denoise", "dehaze"])
@pytest.mark.parametrize("kind", [">u2", ">f4"])
def test_the_byte_order_of_an_array_changes_nothing(
    task: str, kind: str, astronaut: np.ndarray
) -> None:
    native = astronaut[:64, :96].astype(np.uint16) * 257
    picture = native if kind == ">u2" else (native / 65535).astype(np.float32)
    enhancer = hyperguide.load(task, device="cpu", threads=1, tile=32)
    expected, result = enhancer(picture), enhancer(picture.astype(kind))
    assert result.image.dtype == np.dtype(kind)
    np.testing.assert_array_equal(result.image, expected.image)
    np.testing.assert_array_equal(result.guidance, expected.guidance)
    with enhancer.stream() as stream:
        stream(picture)
        expected = stream(picture)
    with enhancer.stream() as stream:
        stream(picture.astype(kind))
        np.testing.assert_array_equal(stream(picture.astype(kind)).image, expected.image)


def test_a_wrong_task_suggests_the_nearest() -> None:
    with pytest.raises(HyperguideError, match="did you mean 'derain'"):
        hyperguide.load("derian")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(HyperguideError, match="Unknown device 'npu'"):
        hyperguide.load("denoise", device="npu")
