"""Video: maps are stable over time, moving things stay sharp, cuts start afresh."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import hyperguide
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import bundled_path

pytestmark = pytest.mark.lowest

SIGMA = 20 / 255


@pytest.fixture(scope="module")
def denoiser() -> hyperguide.Enhancer:
    return hyperguide.load(bundled_path("denoise", "fast"), device="cpu", threads=1)


def _noisy(clean: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, SIGMA, clean.shape)
    return (clean / 255 + noise).clip(0, 1).astype(np.float32)


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    return -10 * np.log10(np.mean((one - other / 255) ** 2))


def test_the_map_of_a_still_scene_flickers_less_the_more_it_is_smoothed(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    """The picture flickers no more: most of that is remaining noise."""
    clean = astronaut[100:292, 100:420]
    flickers, trembles = [], []
    for smooth in (0.0, 0.5, 0.9):
        with denoiser.stream(smooth=smooth, temporal=False) as stream:
            results = [stream(_noisy(clean, seed)) for seed in range(12)]
        pictures = np.stack([result.image for result in results[4:]])
        maps = np.stack([result.guidance for result in results[4:]])  # type: ignore[misc]
        flickers.append(float(np.abs(np.diff(pictures, axis=0)).mean()))
        trembles.append(float(np.abs(np.diff(maps, axis=0)).mean()))
    assert max(flickers[1:]) < 1.001 * flickers[0]
    assert trembles[1] < 0.7 * trembles[0]
    assert trembles[2] < 0.3 * trembles[0]


def test_a_panned_scene_loses_nothing(denoiser: hyperguide.Enhancer, astronaut: np.ndarray) -> None:
    def pan(step: int) -> np.ndarray:
        return astronaut[100:228, 40 + 6 * step : 232 + 6 * step]

    quality = []
    for smooth in (0.0, None):
        with denoiser.stream(smooth=smooth, temporal=False) as stream:
            results = [stream(_noisy(pan(step), step)).image for step in range(14)]
        quality.append(
            np.mean([_psnr(result, pan(step)) for step, result in enumerate(results)][3:])
        )
    assert quality[1] >= quality[0] - 0.05


def _with_noisy_square(clean: np.ndarray, step: int) -> np.ndarray:
    """A frame with little noise in which a square with much noise moves 12 pixels a step."""
    rng, left = np.random.default_rng(step), 8 + 12 * step
    sigma = np.full(clean.shape, 6.0)
    scene = clean.astype(np.float32)
    scene[48:144, left : left + 96] = clean[48:144, 200:296][:, ::-1] / 2 + 90
    sigma[48:144, left : left + 96] = 40
    return np.rint((scene + sigma * rng.normal(0, 1, scene.shape)).clip(0, 255)).astype(np.uint8)


def test_the_map_does_not_trail_behind_an_edge(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    """Where the square was before, the map is that of the frame alone; elsewhere it is smoothed."""
    clean, steps = astronaut[100:292, 100:420], 10
    frames = [_with_noisy_square(clean, step) for step in range(steps)]
    alone = [denoiser(frame).guidance for frame in frames]
    with denoiser.stream(smooth=0.8, temporal=False) as stream:
        smoothed = [stream(frame).guidance for frame in frames]
    left = 8 + 12 * (steps - 1)
    trail, still = np.s_[56:136, left - 36 : left - 4], np.s_[:, 240:]
    assert alone[-1] is not None
    assert smoothed[-1] is not None
    assert alone[-4][trail].mean() > 4 * alone[-1][trail].mean()  # type: ignore[index]
    assert np.abs(smoothed[-1][trail] - alone[-1][trail]).mean() < 0.5 / 255
    flickers = [np.std([m[still] for m in maps[4:]], 0).mean() for maps in (smoothed, alone)]  # type: ignore[index]
    assert flickers[0] < 0.4 * flickers[1]


def test_a_restored_stream_goes_on_as_the_one_before(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    frames = [_with_noisy_square(astronaut[100:292, 100:420], step) for step in range(6)]
    with (
        denoiser.stream(temporal=False) as whole,
        denoiser.stream(temporal=False) as first,
        denoiser.stream(temporal=False) as second,
    ):
        expected = [whole(frame) for frame in frames]
        assert first.state() == {}
        for frame in frames[:3]:
            first(frame)
        second(frames[5])
        second.restore(first.state())
        for frame, result in zip(frames[3:], expected[3:], strict=True):
            again = second(frame)
            np.testing.assert_array_equal(again.image, result.image)
            np.testing.assert_array_equal(again.guidance, result.guidance)
        second.restore({})
        np.testing.assert_array_equal(second(frames[5]).image, denoiser(frames[5]).image)


def test_a_stream_forgets_its_map_after_a_cut(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    night = (astronaut[::-1] // 6)[100:228, 100:292]
    day = astronaut[100:228, 100:292]
    with denoiser.stream(smooth=0.9, temporal=False) as stream:
        for seed in range(4):
            stream(_noisy(day, seed))
        quiet = night.astype(np.float32) / 255  # without noise
        after = stream(quiet)
    alone = denoiser(quiet)
    np.testing.assert_array_equal(after.image, alone.image)
    np.testing.assert_array_equal(after.guidance, alone.guidance)


def test_a_stream_returns_the_smoothed_map(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    frames = [_noisy(astronaut[:64, :64], seed) for seed in range(3)]
    alone = [denoiser(frame).guidance for frame in frames]
    with denoiser.stream(smooth=0.75, temporal=False) as stream:
        maps = [stream(frame).guidance for frame in frames]
    np.testing.assert_array_equal(maps[0], alone[0])
    for number in (1, 2):
        expected = 0.75 * maps[number - 1] + 0.25 * alone[number]  # type: ignore[operator]
        np.testing.assert_allclose(maps[number], expected, atol=1e-6)


def test_a_stream_starts_afresh_at_frames_of_another_size(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    large, small = _noisy(astronaut[:96, :64], 0), _noisy(astronaut[:48, :64], 1)
    with denoiser.stream(temporal=False) as stream:
        stream(large)
        np.testing.assert_array_equal(stream(small).image, denoiser(small).image)
        stream.reset()
        np.testing.assert_array_equal(stream(small).image, denoiser(small).image)


def test_streams_of_one_enhancer_do_not_mix(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    scenes = [astronaut[:96, :96], astronaut[200:296, 200:296] // 2]

    def play(number: int) -> list[np.ndarray]:
        with denoiser.stream(smooth=0.8, temporal=False) as stream:
            return [stream(_noisy(scenes[number], seed)).image for seed in range(6)]

    expected = [play(0), play(1)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(play, [0, 1]))
    for one, other in zip(together, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rain_is_not_smoothed_unless_asked_for(astronaut: np.ndarray) -> None:
    derain = hyperguide.load("derain", device="cpu", threads=1)
    assert derain.stream().smooth == 0
    assert hyperguide.load("dehaze", device="cpu").stream().smooth > 0
    frames = [astronaut[:64, :96], astronaut[8:72, :96]]
    with derain.stream() as stream:
        for frame in frames:
            np.testing.assert_array_equal(stream(frame).image, derain(frame).image)


def test_a_stream_does_not_smooth_a_given_map(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    frame = _noisy(astronaut[:64, :64], 0)
    with denoiser.stream(temporal=False) as stream:
        stream(frame)
        given = stream(frame, guidance=0.05)
    np.testing.assert_array_equal(given.image, denoiser(frame, guidance=0.05).image)


def test_a_stream_takes_frames_of_other_libraries(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    torch = pytest.importorskip("torch")
    frame = astronaut[:48, :64].copy()
    with (
        denoiser.stream(smooth=0.5, temporal=False) as ours,
        denoiser.stream(smooth=0.5, temporal=False) as theirs,
    ):
        for _ in range(2):
            expected = ours(frame).image
            np.testing.assert_array_equal(theirs(torch.from_numpy(frame)).image, expected)


@pytest.mark.parametrize("smooth", [-0.1, 1.0, 2.0, float("nan")])
def test_a_smoothing_out_of_range_and_a_batch_of_frames_are_refused(
    smooth: float, denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    with pytest.raises(HyperguideError, match="at least 0 and below 1"):
        denoiser.stream(smooth=smooth, temporal=False)
    frames = np.stack([astronaut[:16, :16]] * 2)
    for dials in ({}, {"guidance": 0.1}):
        with pytest.raises(HyperguideError, match="not a batch"):
            denoiser.stream(temporal=False)(frames, **dials)
    with pytest.raises(HyperguideError, match="not a batch"):
        denoiser.stream(smooth=0, temporal=False)(frames)


def test_guidance_mix_without_a_map_changes_nothing_in_a_stream(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    frames = [_noisy(astronaut[:64, :64], seed) for seed in range(3)]
    with denoiser.stream(temporal=False) as one, denoiser.stream(temporal=False) as other:
        for frame in frames:
            expected = one(frame).image
            actual = other(frame, guidance=None, guidance_mix=0.3).image
            np.testing.assert_array_equal(actual, expected)
    with pytest.raises(HyperguideError, match="must be a numpy array"):
        one([[0]])


def test_map_returns_results_in_the_order_of_the_pictures(
    denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    pictures = [astronaut[i * 16 : i * 16 + 32, : 32 + 16 * (i % 3)] for i in range(9)]
    taken: list[int] = []

    def source():  # type: ignore[no-untyped-def]
        for number, picture in enumerate(pictures):
            taken.append(number)
            yield picture

    results = denoiser.map(source(), ahead=2, strength=0.5)
    first = next(results)
    assert len(taken) <= 3  # no more than needed
    for result, picture in zip([first, *results], pictures, strict=True):
        np.testing.assert_array_equal(result.image, denoiser(picture, strength=0.5).image)


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_map_returns_the_results_before_a_broken_picture(
    ahead: int, denoiser: hyperguide.Enhancer, astronaut: np.ndarray
) -> None:
    def pictures() -> Iterator[np.ndarray]:
        for row in range(3):
            yield astronaut[row : row + 16, :16]
        raise OSError("the camera is gone")

    results = denoiser.map(pictures(), ahead=ahead)
    for row in range(3):
        expected = denoiser(astronaut[row : row + 16, :16])
        np.testing.assert_array_equal(next(results).image, expected.image)
    with pytest.raises(OSError, match="camera is gone"):
        next(results)


def test_an_enhancer_is_a_context_and_warms_up() -> None:
    with hyperguide.load("denoise", device="cpu", threads=1) as enhancer:
        enhancer.warmup(48, 64)
        assert enhancer(np.zeros((8, 8, 3), np.uint8)).image.shape == (8, 8, 3)
