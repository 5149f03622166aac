"""What stands still in a video: noise counts as still, motion and what is beside it as moving."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hyperguide.stillness import difference, enlarged, is_cut, reduced, stillness

pytestmark = pytest.mark.lowest

SIGMA = 25 / 255


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A smooth picture of 320x240 far from black and white, so that noise is not clipped."""
    coarse = np.random.default_rng(5).uniform(0.4, 0.6, (6, 8, 3)).astype(np.float32)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)


def _noisy(picture: np.ndarray, seed: int, blur: float = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, picture.shape)
    if blur:
        noise = cv2.GaussianBlur(noise, (0, 0), blur)
        noise /= noise.std()
    return np.rint(255 * (picture + SIGMA * noise).clip(0, 1)).astype(np.uint8)


def _stillness(one: np.ndarray, other: np.ndarray, noise: float | np.ndarray) -> np.ndarray:
    return stillness(difference(reduced(one), reduced(other)), noise)


@pytest.mark.parametrize("blur", [0, 0.8])
def test_noise_counts_as_still(scene: np.ndarray, blur: float) -> None:
    """Also correlated noise, as of cameras, of which a denoiser's map tells only a part."""
    told = SIGMA if not blur else 0.6 * SIGMA
    still = _stillness(_noisy(scene, 0, blur), _noisy(scene, 1, blur), told)
    assert still.shape == (30, 40)
    assert still.mean() > 0.97


def test_noise_of_gray_frames_counts_as_still(scene: np.ndarray) -> None:
    """Noise that is the same in all planes is not averaged away by the conversion to gray."""
    one, other = (_noisy(scene[..., 0], seed) for seed in (0, 1))
    assert _stillness(one, other, SIGMA).mean() > 0.97
    as_color = [np.repeat(frame[..., None], 3, 2) for frame in (one, other)]
    assert _stillness(*as_color, SIGMA).mean() > 0.97


def test_what_moves_and_what_it_uncovers_is_not_still(scene: np.ndarray) -> None:
    before, after = scene.copy(), scene.copy()
    before[80:160, 80:160] = 0.2
    after[80:160, 104:184] = 0.2
    still = _stillness(_noisy(before, 0), _noisy(after, 1), SIGMA)
    whole = enlarged(still, 240, 320)
    assert whole[80:160, 80:104].max() == 0  # uncovered
    assert whole[80:160, 160:184].max() == 0  # covered
    assert whole[84:156, 72:80].max() == 0  # beside it
    assert whole[:40].mean() > 0.97
    assert whole[:, 240:].mean() > 0.97
    assert whole[100:140, 124:140].mean() > 0.97  # within the square nothing changes


def test_motion_is_judged_by_the_noise_of_its_place(scene: np.ndarray) -> None:
    """A step of 6/255 moves where there is no noise, and is lost in noise of 80/255."""
    noise = np.zeros((240, 320), np.float32)
    noise[:, 160:] = 80 / 255
    one = np.rint(255 * scene).astype(np.uint8)
    other = one.copy()
    other[100:140, 40:120] += 6
    other[100:140, 200:280] += 6
    still = enlarged(_stillness(one, other, noise), 240, 320)
    assert still[104:136, 44:116].max() == 0
    assert still[:, 176:].min() == 1


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 40), (9, 3, 1), (45, 67, 3), (45, 67, 4), (45, 67, 2), (64, 64)]
)
@pytest.mark.parametrize("kind", ["uint8", "uint16", ">u2", "float16", "float32", "float64"])
def test_frames_of_every_layout_are_compared(shape: tuple[int, ...], kind: str) -> None:
    dtype = np.dtype(kind)
    full = np.iinfo(dtype).max if dtype.kind == "u" else 1
    dark, bright = (np.full(shape, level * full).astype(dtype) for level in (0.2, 0.6))
    change = difference(reduced(bright), reduced(dark))
    assert change.dtype == np.float32
    assert change.shape == tuple(max(side // 8, 1) for side in shape[:2])
    np.testing.assert_allclose(change, 0.4, atol=0.006)
    noise = np.full(shape[:2], 0.05, np.float32)
    assert enlarged(stillness(change, noise), *shape[:2]).max() == 0
    assert enlarged(stillness(0 * change, noise), *shape[:2]).min() == 1


def test_a_cut_is_a_large_change_of_large_parts(scene: np.ndarray) -> None:
    dark = scene - 0.2
    assert is_cut(difference(reduced(_noisy(scene, 0)), reduced(_noisy(dark, 1))))
    assert not is_cut(difference(reduced(_noisy(scene, 0)), reduced(_noisy(scene, 1))))
    moved = scene.copy()
    moved[80:160, 80:160] = 0.1
    assert not is_cut(difference(reduced(_noisy(scene, 0)), reduced(_noisy(moved, 1))))
