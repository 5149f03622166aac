"""Streams that average frames: what dials do then, and that states are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import hyperguide
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import bundled_path
from hyperguide.result import Result
from hyperguide.stream import Stream
from hyperguide.tasks import TASKS

SIGMA = 20


@pytest.fixture(scope="module")
def denoiser() -> hyperguide.Enhancer:
    return hyperguide.load(bundled_path("denoise", "fast"), device="cpu", threads=1)


@pytest.fixture(scope="module")
def clean(astronaut: np.ndarray) -> np.ndarray:
    return astronaut[100:260, 100:292]


@pytest.fixture(scope="module")
def frames(clean: np.ndarray) -> list[np.ndarray]:
    """A still scene, bytes."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, SIGMA, (10, *clean.shape))
    return list(np.rint(clean + noise).clip(0, 255).astype(np.uint8))


def test_denoising_averages_still_scenes_unless_asked_not_to(
    denoiser: hyperguide.Enhancer, clean: np.ndarray, frames: list[np.ndarray]
) -> None:
    quality = {}
    for temporal in (None, False):
        with denoiser.stream(temporal=temporal) as stream:
            last = [stream(frame) for frame in frames][-1]
        quality[temporal] = peak_signal_noise_ratio(clean, last.image)
        assert last.guidance is not None
        level = float(np.median(last.guidance)) * 255
        # Ten frames: sigma / sqrt(10) = 6.3, a fifth of it by the network's own estimate.
        assert 4 < level < 10 if temporal is None else 15 < level < 25
    assert quality[None] > quality[False] + 2.5


@pytest.mark.parametrize("task", ["derain", "dehaze"])
def test_only_noise_is_averaged(task: str, frames: list[np.ndarray]) -> None:
    enhancer = hyperguide.load(task, device="cpu", threads=1)
    with enhancer.stream(smooth=0) as stream:
        for frame in frames[:3]:
            np.testing.assert_array_equal(stream(frame).image, enhancer(frame).image)
    with pytest.raises(HyperguideError, match="does not predict the noise level"):
        enhancer.stream(temporal=True)


def test_strength_blends_with_the_frame_itself(
    denoiser: hyperguide.Enhancer, frames: list[np.ndarray]
) -> None:
    """At 0 the frame comes back bit for bit, in the middle a result lies in the middle."""
    mask = np.zeros(frames[0].shape[:2], np.float32)
    mask[:, 96:] = 1
    results = {}
    for name, strength in (("half", 0.5), ("whole", 1.0), ("none", 0), ("mask", mask)):
        with denoiser.stream() as stream:
            for frame in frames[:-1]:
                stream(frame)
            results[name] = stream(frames[-1], strength=strength).image
    last = frames[-1]
    np.testing.assert_array_equal(results["none"], last)
    np.testing.assert_array_equal(results["mask"][:, :96], last[:, :96])
    np.testing.assert_array_equal(results["mask"][:, 96:], results["whole"][:, 96:])
    middle = (last.astype(float) + results["whole"]) / 2
    assert np.abs(results["half"] - middle).max() <= 0.5


def test_a_told_level_is_the_frames_own(
    denoiser: hyperguide.Enhancer, frames: list[np.ndarray]
) -> None:
    """The map falls as sigma / sqrt(n), since averaging takes the level for that of the frame."""
    levels = []
    with denoiser.stream() as stream:
        for frame in frames:
            result = stream(frame, guidance=SIGMA / 255)
            assert result.guidance is not None
            levels.append(255 * float(np.median(result.guidance)))
    assert levels[0] == pytest.approx(SIGMA, rel=1e-5)
    assert levels[-1] == pytest.approx(SIGMA / np.sqrt(10), rel=0.1)


@pytest.mark.parametrize("dials", [{}, {"guidance": 0.08}, {"strength": 0.7}])
def test_a_restored_stream_goes_on_bit_for_bit(
    denoiser: hyperguide.Enhancer, frames: list[np.ndarray], dials: dict[str, Any]
) -> None:
    with denoiser.stream() as whole, denoiser.stream() as first, denoiser.stream() as second:
        expected = [whole(frame, **dials).image for frame in frames]
        for frame in frames[:6]:
            first(frame, **dials)
        second.restore(first.state())
        for frame, image in zip(frames[6:], expected[6:], strict=True):
            first(frame[::-1])  # the states do not share memory
            np.testing.assert_array_equal(second(frame, **dials).image, image)


@pytest.mark.parametrize(
    ("dials", "told"),
    [
        ({"strength": -1}, "strength"),
        ({"strength": "much"}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"guidance": 7.0}, "guidance"),
        ({"guidance": float("nan")}, "guidance"),
        ({"guidance": np.full((3, 3, 3, 3), 0.1)}, "guidance"),
        ({"guidance_scale": -2}, "guidance_scale"),
        ({"kernel": np.ones((3, 3)) / 9}, "kernel"),
    ],
)
@pytest.mark.parametrize("before", [0, 5])
def test_unusable_dials_are_refused_as_in_a_call(
    denoiser: hyperguide.Enhancer,
    frames: list[np.ndarray],
    dials: dict[str, Any],
    told: str,
    before: int,
) -> None:
    with denoiser.stream() as stream:
        for frame in frames[:before]:
            stream(frame)
        with pytest.raises(HyperguideError) as in_a_call:
            denoiser(frames[before], **dials)
        with pytest.raises(HyperguideError) as in_a_stream:
            stream(frames[before], **dials)
        assert str(in_a_stream.value) == str(in_a_call.value)
        assert told in str(in_a_call.value)
        assert stream(frames[before]).image.shape == frames[before].shape


def test_a_cut_starts_anew(denoiser: hyperguide.Enhancer, frames: list[np.ndarray]) -> None:
    height, width = frames[0].shape[:2]
    after = np.ascontiguousarray(data.coffee()[:height, :width])
    with denoiser.stream(smooth=0) as stream:
        for frame in frames:
            stream(frame)
        np.testing.assert_array_equal(stream(after).image, denoiser(after).image)
        other_size = np.ascontiguousarray(after[:80])
        np.testing.assert_array_equal(stream(other_size).image, denoiser(other_size).image)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 3), (5, 17), (33, 47)])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "gray", "alpha"])
def test_frames_of_any_size_and_type_keep_them(
    denoiser: hyperguide.Enhancer, size: tuple[int, int], kind: str
) -> None:
    rng = np.random.default_rng(1)
    channels = {"gray": 1, "alpha": 4}.get(kind, 3)
    dtype = np.dtype(kind if kind not in ("gray", "alpha") else "uint8")
    most = 1.0 if dtype.kind == "f" else np.iinfo(dtype).max
    with denoiser.stream() as stream:
        for _ in range(6):
            noisy = rng.normal(0.5, 0.08, (*size, channels)).clip(0, 1) * most
            frame = (noisy if dtype.kind == "f" else np.rint(noisy)).astype(dtype)
            result = stream(frame)
            assert (result.image.shape, result.image.dtype) == (frame.shape, dtype)
            if kind == "alpha":
                np.testing.assert_array_equal(result.image[..., 3], frame[..., 3])


def test_noise_beyond_the_maps_range_is_told_as_its_end() -> None:
    meaning = TASKS["denoise"].guidance
    told = []

    def enhancer(frame: np.ndarray, **dials: Any) -> Result:
        given = dials.get("guidance", meaning.maximum)
        told.append(float(np.max(given)))
        return Result(frame, np.full(frame.shape[:2], meaning.maximum, np.float32))

    rng = np.random.default_rng(1)
    with Stream(enhancer, 0, True, meaning) as stream:
        for _ in range(25):
            noisy = rng.normal(127, 110, (96, 128, 3))
            stream(np.rint(noisy).clip(0, 255).astype(np.uint8))
    assert max(told) <= meaning.maximum + 1e-6
