"""Frames averaged over time."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data

from hyperguide.errors import HyperguideError
from hyperguide.motion import MotionSearch
from hyperguide.noise_curve import NoiseCurve, unclipped_means
from hyperguide.temporal import MIX, TemporalAverage, blended

SIGMA = 20
LEVEL = SIGMA / 255

Frames = list[np.ndarray]


def noisy(frames: Frames, sigma: float = SIGMA, seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    return [
        (frame + rng.normal(0, sigma, frame.shape)).clip(0, 255).round().astype(np.uint8)
        for frame in frames
    ]


def averages(frames: Frames, **options: object) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """What is given out for frames of a known noise level."""
    temporal = TemporalAverage(**options)  # type: ignore[arg-type]
    return [temporal(frame, noise_level=LEVEL) for frame in frames]


def photo(height: int = 160, width: int = 240) -> np.ndarray:
    return skimage.data.coffee()[100 : 100 + height, 150 : 150 + width].copy()


def squares(frames: int, step: float, size: int = 40) -> Frames:
    """A brighter square that moves over an even background."""
    pictures = []
    for i in range(frames):
        picture = np.full((160, 240, 3), 100, np.uint8)
        left = round(10 + step * i)
        picture[60 : 60 + size, left : left + size] = 150
        pictures.append(picture)
    return pictures


def test_what_stands_still_has_the_variance_that_the_map_says():
    truth = np.full((160, 240, 3), 128, np.uint8)
    done = averages(noisy([truth] * 24))
    for picture, noise in done[5:]:
        assert noise is not None
        error = picture.astype(float) - truth
        said = 255 * np.sqrt((noise.astype(float) ** 2).mean())
        assert error.std() < said * 1.01
        assert error.std() > said * 0.8  # chance differences count as bias, to be on the safe side
        assert abs(error.mean()) < 0.3
    picture, _ = done[-1]
    assert (picture.astype(float) - truth).std() < SIGMA / np.sqrt(8)


def test_gray_pictures_are_averaged_as_well_as_colour():
    truth = np.full((160, 240), 128, np.uint8)
    frames = noisy([truth] * 16)
    gray = averages(frames)[-1][0]
    assert (gray.astype(float) - truth).std() < SIGMA / np.sqrt(6)
    in_colour = averages([np.dstack([frame] * 3) for frame in frames])[-1][0]
    assert np.abs(in_colour.astype(int) - gray[..., None]).max() <= 1


def test_the_count_is_bounded_by_the_limit():
    frames = noisy([np.full((96, 96, 3), 128, np.uint8)] * 16)
    _, noise = averages(frames, limit=5)[-1]
    assert noise is not None
    assert noise.min() >= LEVEL / np.sqrt(6) * 0.999  # 5 before, and the frame
    assert all(noise is None for _, noise in averages(frames, limit=1))


def test_noise_that_is_clipped_at_black_does_not_brighten_the_average():
    done = averages(noisy([np.zeros((96, 96, 3), np.uint8)] * 16))
    clipped_mean = SIGMA / np.sqrt(2 * np.pi)  # of max(noise, 0)
    assert clipped_mean > 7.9
    assert done[-1][0].mean() < 0.35 * clipped_mean


def test_a_moving_square_leaves_no_trail():
    clean = squares(24, step=6)
    done = averages(noisy(clean))
    for picture, truth in list(zip([p for p, _ in done], clean, strict=True))[8:]:
        error = cv2.blur(picture.astype(np.float32) - truth, (9, 9))[50:110]
        # Noise itself leaves SIGMA / 9 in a mean over 9 x 9, at most five times that.
        assert np.abs(error).max() < 5 * SIGMA / 9
        assert np.abs(error.mean(axis=(0, 2))).max() < 4


def test_an_edge_that_moves_slowly_stays_where_it_is():
    """By a quarter of a pixel a frame, without motion compensation."""
    x = np.arange(240)
    clean = []
    for i in range(24):
        ramp = (x - 100 - 0.25 * i).clip(0, 1)
        clean.append(np.tile((80 + 80 * ramp)[None, :, None], (160, 1, 3)))
    frames = noisy(clean)
    temporal = TemporalAverage(motion=False)
    for frame in frames:
        picture, _ = temporal(frame, noise_level=LEVEL)
    error = (picture.astype(float) - clean[-1]).mean(axis=(0, 2))
    assert np.abs(error).max() < 12  # of 80
    plain = np.mean(frames[-8:], axis=0) - clean[-1]
    assert np.abs(plain.mean(axis=(0, 2))).max() > 40


def test_faint_clouds_that_drift_leave_no_ghosts():
    y, x = np.mgrid[:160, :240]
    clean = []
    for i in range(30):
        cloud = 10 * np.exp(-(((x - 30 - 5 * i) / 30) ** 2) - ((y - 80) / 30) ** 2)
        clean.append(np.repeat((120 + cloud)[..., None], 3, axis=2))
    picture, _ = averages(noisy(clean))[-1]
    error = cv2.blur(picture.astype(np.float32) - clean[-1], (31, 31)).mean(axis=2)
    assert np.abs(error).max() < 3


def test_a_fade_is_followed():
    clean = [np.full((96, 96, 3), 60 + 2 * i, np.uint8) for i in range(30)]
    for (picture, _), truth in zip(averages(noisy(clean)), clean, strict=True):
        assert abs(picture.mean() - truth.mean()) < 2


@pytest.mark.parametrize("step", [(2, 1), (3, 0), (0, -2)])
def test_a_pan_is_averaged_too(step: tuple[int, int]):
    whole = skimage.data.coffee()
    clean = [
        whole[100 + step[1] * i :][:192, 100 + step[0] * i :][:, :256].copy() for i in range(14)
    ]
    picture, noise = averages(noisy(clean))[-1]
    assert noise is not None
    inner = (slice(24, -24), slice(48, -48))  # what has been in sight long enough
    error = (picture.astype(float) - clean[-1])[inner]
    assert error.std() < SIGMA / 2
    assert np.median(noise[inner]) < LEVEL / 2


def test_a_cut_starts_anew():
    temporal = TemporalAverage()
    for frame in noisy([photo()] * 8):
        temporal(frame, noise_level=LEVEL)
    other = noisy([255 - photo()])[0]
    picture, noise = temporal(other, noise_level=LEVEL)
    assert noise is None
    assert np.array_equal(picture, other)


def test_frames_of_another_size_start_anew():
    temporal = TemporalAverage()
    for frame in noisy([photo()] * 8):
        temporal(frame, noise_level=LEVEL)
    for other in (photo(100, 100), photo()[..., 0], photo(160, 238)):
        picture, noise = temporal(other, noise_level=LEVEL)
        assert noise is None
        assert np.array_equal(picture, other)


def test_clean_video_is_not_changed():
    temporal = TemporalAverage()
    still = [photo()] * 5
    moving = [np.roll(photo(), 3 * i, axis=1) for i in range(5)]
    for frame in still + moving:
        picture, noise = temporal(frame)
        assert noise is None
        assert np.array_equal(picture, frame)
        temporal.learn(np.full(frame.shape[:2], 0.8 / 255, np.float32))


def test_nothing_is_averaged_before_the_noise_is_known():
    temporal = TemporalAverage()
    for frame in noisy([photo()] * 4):
        picture, noise = temporal(frame)
        temporal.learn(None)
        assert noise is None
        assert picture is frame


def learned(frames: Frames, temporal: TemporalAverage, level: float = LEVEL) -> Frames:
    """What is given out if the network always finds the true level."""
    out = []
    for frame in frames:
        picture, noise = temporal(frame)
        left = np.full(frame.shape[:2], level, np.float32) if noise is None else noise
        temporal.learn(left)
        out += [picture, left]
    return out


def test_the_noise_level_is_learned_from_maps_and_followed():
    temporal = TemporalAverage()
    truth = np.full((128, 128, 3), 128, np.uint8)
    learned(noisy([truth] * 12), temporal)
    drifted = learned(noisy([truth] * 30, sigma=26, seed=1), temporal, level=26 / 255)
    picture, noise = drifted[-2:]
    error = (picture.astype(float) - truth).std()
    assert error < 13
    assert 255 * noise.mean() == pytest.approx(error, rel=0.15)


def test_a_map_is_unmixed_where_nothing_was_averaged():
    """The network sees a level that `learn` has to find behind the mix."""
    temporal = TemporalAverage()
    moving = [
        np.random.default_rng(i).integers(0, 255, (128, 128, 3)).astype(np.uint8) // 3 + 80
        for i in range(20)
    ]
    for frame in moving:
        _, noise = temporal(frame)
        found = np.full((128, 128), 30 / 255, np.float32)
        temporal.learn(found if noise is None else MIX * noise + (1 - MIX) * found)
    assert temporal.state()["curve"].mean() == pytest.approx(30, rel=0.15)


@pytest.mark.parametrize("after", [0, 1, 2, 7])
def test_a_state_goes_on_exactly(after: int):
    whole = skimage.data.coffee()
    frames = noisy([whole[100:228, 100 + 2 * i : 292 + 2 * i] for i in range(12)])
    once = learned(frames, TemporalAverage())
    first, second = TemporalAverage(), TemporalAverage()
    learned(frames[:after], first)
    state = {name: values.copy() for name, values in first.state().items()}
    learned(frames[::-1], first)  # does not reach into the state
    learned(frames[3:], second)  # is forgotten
    second.restore(state)
    for one, other in zip(once[2 * after :], learned(frames[after:], second), strict=True):
        assert np.array_equal(one, other)


def test_reset_forgets():
    frames = noisy([photo()] * 6)
    temporal = TemporalAverage()
    once = learned(frames, temporal)
    temporal.reset()
    assert all(map(np.array_equal, once, learned(frames, temporal)))


@pytest.mark.parametrize("size", [(161, 237), (45, 33), (7, 5), (1, 1)])
def test_any_size(size: tuple[int, int]):
    frames = noisy([photo(*size)] * 8)
    for picture, noise in averages(frames):
        assert picture.shape == (*size, 3)
        assert noise is None or noise.shape == size


def forms(frame: np.ndarray) -> dict[str, np.ndarray]:
    alpha = np.arange(frame.shape[0] * frame.shape[1], dtype=np.uint8).reshape(frame.shape[:2])
    return {
        "gray": frame[..., 1].copy(),
        "gray plane": frame[..., 1:2].copy(),
        "gray and alpha": np.dstack([frame[..., 1], alpha]),
        "alpha": np.dstack([frame, alpha]),
        "16 bit": frame.astype(np.uint16) * 257,
        "float": frame.astype(np.float32) / 255,
        "half": (frame.astype(np.float32) / 255).astype(np.float16),
        "other byte order": (frame.astype(np.uint16) * 257).astype(">u2"),
    }


@pytest.mark.parametrize("form", list(forms(photo(8, 8))))
def test_other_forms_of_pictures(form: str):
    frames = noisy([photo()] * 10)
    given = [forms(frame)[form] for frame in frames]
    picture, noise = averages(given)[-1]
    assert picture.shape == given[-1].shape
    assert picture.dtype == given[-1].dtype
    assert noise is not None
    assert noise.dtype == np.float32
    if "alpha" in form:
        assert np.array_equal(picture[..., -1], given[-1][..., -1])
    plain = [frame[..., 1] if "gray" in form else frame for frame in frames]
    bytes_, _ = averages(plain)[-1]
    levels = picture.astype(float) * (255 if picture.dtype.kind == "f" else 1)
    levels /= 257 if picture.dtype.itemsize == 2 and picture.dtype.kind == "u" else 1
    if "alpha" in form:
        levels = levels[..., :-1]
    # Near black and white, what the average is corrected by is up to twice as large.
    assert np.abs(levels.reshape(bytes_.shape) - bytes_).max() <= (3 if form == "half" else 1)


def test_a_map_of_the_noise_level_is_used():
    level = np.full((96, 128), LEVEL, np.float32)
    level[:, 64:] = 40 / 255
    rng = np.random.default_rng(0)
    frames = [
        (128 + rng.normal(0, 255, (96, 128, 3)) * level[..., None]).clip(0, 255).astype(np.uint8)
        for _ in range(16)
    ]
    temporal = TemporalAverage()
    for frame in frames:
        picture, noise = temporal(frame, noise_level=level)
    assert noise is not None
    for half in (slice(0, 56), slice(72, 128)):
        assert 255 * noise[:, half].mean() == pytest.approx(picture[:, half].std(), rel=0.2)


def test_a_noise_level_of_zero_does_not_spread():
    level = np.full((160, 240), LEVEL, np.float32)
    level[:, :100] = 0
    frames = noisy([photo()] * 10)
    for frame in frames:
        frame[:, :100] = photo()[:, :100]
    temporal = TemporalAverage()
    for frame in frames:
        picture, noise = temporal(frame, noise_level=level)
    assert noise is not None
    assert np.abs(picture[:, :90].astype(int) - photo()[:, :90]).max() <= 1
    assert np.median(noise[:, 130:]) < LEVEL / 2


def test_strength_blends_with_the_frame():
    frame, enhanced = noisy([photo()])[0], photo()
    assert np.array_equal(blended(frame, enhanced, 0), frame)
    assert np.array_equal(blended(frame, enhanced, 1), enhanced)
    half = blended(frame, enhanced, 0.5).astype(float)
    assert np.abs(half - (frame.astype(float) + enhanced) / 2).max() <= 0.5
    strength = np.zeros(frame.shape[:2], np.float32)
    strength[:, 100:] = 1
    both = blended(frame, enhanced, strength)
    assert np.array_equal(both[:, :100], frame[:, :100])
    assert np.array_equal(both[:, 100:], enhanced[:, 100:])
    assert both.dtype == np.uint8


def test_bad_input_is_named():
    temporal = TemporalAverage()
    with pytest.raises(HyperguideError, match="batch"):
        temporal(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(HyperguideError, match="NaN"):
        temporal(np.full((8, 8, 3), np.nan, np.float32))
    temporal(photo())
    with pytest.raises(HyperguideError, match="160 x 240"):
        temporal.learn(np.zeros((10, 10), np.float32))
    with pytest.raises(HyperguideError, match="at least 1"):
        TemporalAverage(limit=0)


def test_means_of_clipped_noise_are_inverted():
    rng = np.random.default_rng(0)
    table = unclipped_means(30)
    for value in (10, 60, 128, 200, 245):
        mean = (value + rng.normal(0, 30, 200_000)).clip(0, 255).mean()
        assert np.interp(mean, np.arange(256), table) == pytest.approx(value, abs=0.5)


def test_noise_that_grows_with_brightness_is_learned():
    rng = np.random.default_rng(0)
    brightness = rng.integers(20, 235, 20_000).astype(np.uint8)
    true = np.sqrt(4 + 1.5 * np.arange(256))
    curve = NoiseCurve()
    for _ in range(3):
        measured = true[brightness] * rng.normal(1, 0.05, brightness.shape)
        curve.learn(measured, brightness, 50)
    assert curve.levels is not None
    assert curve.levels[30:225] == pytest.approx(true[30:225], rel=0.06)


def moved_photo(x: float, y: float) -> np.ndarray:
    """Gray, moved by a Fourier series."""
    picture = cv2.cvtColor(skimage.data.coffee(), cv2.COLOR_RGB2GRAY)
    down, right = (np.fft.fftfreq(side) for side in picture.shape)
    turned = np.exp(-2j * np.pi * (x * right + y * down[:, None]))
    moved = np.fft.ifft2(np.fft.fft2(picture) * turned).real
    return moved[40:360, 40:520].clip(0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.5, 0.25), (-1.3, 0.7), (4.0, -2.0)])
def test_shifts_between_pictures_are_found(shift: tuple[float, float]):
    motion = MotionSearch()(moved_photo(0, 0), moved_photo(*shift), 1.0, 1)
    assert motion.still == (shift == (0.0, 0.0))
    found = np.median(motion.shifts.reshape(-1, 2), axis=0)
    assert found == pytest.approx(-np.array(shift), abs=0.13)


@pytest.mark.parametrize("shift", [(0.5, 0.25), (-1.25, 0.75), (3.0, -2.0)])
def test_moved_pictures_match_a_fourier_series(shift: tuple[float, float]):
    before, now = moved_photo(0, 0).astype(np.float32), moved_photo(*shift).astype(np.float32)
    motion = MotionSearch()(moved_photo(0, 0), moved_photo(*shift), 1.0, 1)
    exact = type(motion)(np.broadcast_to(-np.array(shift), motion.shifts.shape), 1)
    moved = np.empty_like(before)
    exact.applied(before, into=moved)
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(moved - now)[inner].mean() < 0.4 * np.abs(before - now)[inner].mean()
