"""Three equal planes are gray: they use the gray model, and stay gray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hyperguide
from hyperguide.enhancer import Enhancer
from hyperguide.inference import gray

pytestmark = pytest.mark.lowest

ENHANCER: dict[str, Enhancer] = {}


@pytest.fixture(scope="module")
def loaded() -> Callable[..., Enhancer]:
    """A model on ONNX Runtime, loaded once."""

    def load(name: str, **options: Any) -> Enhancer:
        key = f"{name} {options}"
        if key not in ENHANCER:
            ENHANCER[key] = hyperguide.load(name, device="cpu", threads=1, **options)
        return ENHANCER[key]

    return load


def _plane(kind: str, *shape: int) -> np.ndarray:
    values = np.random.default_rng(0).random(shape)
    return (values * (np.iinfo(kind).max if kind.startswith("u") else 1)).astype(kind)


@pytest.mark.parametrize("kind", ["uint8", "uint16", ">u2", "float16", "float32", "float64"])
@pytest.mark.parametrize("alpha", [False, True])
def test_gray_in_three_planes_becomes_what_the_gray_picture_becomes(
    kind: str, alpha: bool, loaded: Callable[..., Enhancer]
) -> None:
    plane, opacity = _plane(kind.replace(">u2", "uint16"), 2, 20, 28).astype(kind)
    color = np.dstack([plane, plane, plane, *([opacity] if alpha else [])])
    enhancer = loaded("denoise")
    result, expected = enhancer(color, strength=0.8), enhancer(plane, strength=0.8)
    assert result.image.dtype == color.dtype
    assert result.image.shape == color.shape
    for channel in range(3):
        np.testing.assert_array_equal(result.image[..., channel], expected.image)
    np.testing.assert_array_equal(result.guidance, expected.guidance)
    if alpha:
        np.testing.assert_array_equal(result.image[..., 3], opacity)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("task", ["denoise", "derain", "dehaze", "deblur"])
def test_no_model_tints_gray_in_three_planes(
    task: str, precision: str, loaded: Callable[..., Enhancer]
) -> None:
    """Also for tasks without a gray model."""
    enhancer = loaded(task, precision=precision)
    flat = np.full((24, 32, 3), 46, np.uint8)
    noisy = np.dstack([_plane("uint8", 24, 32)] * 3)
    for picture in (flat, noisy):
        image = enhancer(picture).image
        assert image.shape == picture.shape
        assert (image == image[..., :1]).all()


def test_one_pixel_in_colour_makes_a_picture_in_colour(loaded: Callable[..., Enhancer]) -> None:
    picture = np.dstack([_plane("uint8", 24, 32)] * 3)
    picture[-1, -1, 1] ^= 1
    by_name = loaded("denoise")(picture).image
    np.testing.assert_array_equal(by_name, loaded("denoise-fast")(picture).image)
    assert (by_name != by_name[..., :1]).any()


def test_gray_pictures_of_a_mixed_batch_stay_gray(loaded: Callable[..., Enhancer]) -> None:
    batch = _plane("uint8", 3, 24, 32, 4)
    batch[1, ..., :3] = batch[1, ..., :1]
    result = loaded("denoise")(batch)
    one = result.image[1]
    assert (one[..., :3] == one[..., :1]).all()
    assert (result.image[0, ..., :3] != result.image[0, ..., :1]).any()
    np.testing.assert_array_equal(result.image[..., 3], batch[..., 3])
    np.testing.assert_array_equal(result.image[0], loaded("denoise")(batch[:1]).image[0])
    batch[..., :3] = batch[..., :1]
    every = loaded("denoise")(batch)
    np.testing.assert_array_equal(every.image[2], loaded("denoise")(batch[2]).image)


def test_gray_in_three_planes_comes_back_at_strength_0(loaded: Callable[..., Enhancer]) -> None:
    picture = np.dstack([_plane("float32", 24, 32)] * 3)
    result = loaded("denoise")(picture, strength=0)
    np.testing.assert_array_equal(result.image, picture)
    assert result.guidance is None


def test_a_stream_goes_on_when_frames_lose_and_win_colour(loaded: Callable[..., Enhancer]) -> None:
    """A frame's map is mixed with that of the previous frame, whichever model predicted it."""
    enhancer = loaded("denoise")
    colored = np.random.default_rng(0).integers(90, 160, (24, 32, 3), np.uint8)
    faded = np.dstack([colored[..., 0]] * 3)
    before = None
    with enhancer.stream(smooth=0.6) as stream:
        for frame in (colored, faded, faded, colored):
            dials = {} if before is None else {"guidance": before, "guidance_mix": 0.6}
            expected = enhancer(frame, **dials)
            result = stream(frame)
            np.testing.assert_array_equal(result.image, expected.image)
            np.testing.assert_array_equal(result.guidance, expected.guidance)
            before = result.guidance


def test_a_picture_in_colour_is_told_by_a_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    has_equal_planes = gray._has_equal_planes

    def counted(rows: np.ndarray) -> bool:
        compared.append(len(rows))
        return has_equal_planes(rows)

    monkeypatch.setattr(gray, "_has_equal_planes", counted)
    picture = np.zeros((720, 64, 3), np.uint8)
    picture[100:620, ::7] = [200, 10, 30]  # between black bars
    assert not gray.gray_ones(picture[None])[0]
    assert sum(compared) <= 20
    compared.clear()
    assert gray.gray_ones(np.zeros((1, 720, 64, 3), np.uint8))[0]
    assert 720 <= sum(compared) <= 740


def test_warming_up_prepares_the_model_for_colour(
    monkeypatch: pytest.MonkeyPatch, loaded: Callable[..., Enhancer]
) -> None:
    enhancer = hyperguide.load("denoise", device="cpu", threads=1)
    monkeypatch.setattr(enhancer, "_open_gray", lambda: pytest.fail("the one for gray was opened"))
    enhancer.warmup(16, 24)
    loaded("denoise-gray-fast").warmup(16, 24)
