"""Camera noise, grain, varied photos and drawn pictures, on which denoising is trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperguide.training.data import camera_noise
from hyperguide.training.data import noise as noise_module
from hyperguide.training.data.camera_noise import (
    Camera,
    Demosaicking,
    add_camera_noise,
    develop,
    draw_camera,
    local_deviation,
    undevelop,
)
from hyperguide.training.data.drawings import draw_picture
from hyperguide.training.data.grain import draw_grain
from hyperguide.training.data.jpeg import draw_jpeg
from hyperguide.training.data.noise import Noise
from hyperguide.training.data.photo_variety import MARGIN, draw_photo, processed
from hyperguide.training.losses import guidance_loss
from hyperguide.training.networks.hyper import HyperNetwork
from made_data import generator

_METHODS: tuple[Demosaicking, ...] = ("bilinear", "edge-aware", "gradient-corrected")
_PLAIN = Camera(
    shot=0.0,
    read=4e-4,
    gains=(1.0, 1.0),
    brightness=1.0,
    matrix=np.eye(3),
    contrast=0.0,
    demosaicking="bilinear",
    pattern=0,
)
# The shares that a noise reduction leaves that removes all but coarse noise.
_COARSE = (0.05, 0.1, 0.3, 0.6, 1.0)


def _flat(red: float, green: float, blue: float, side: int = 64) -> np.ndarray:
    return np.tile(np.array([red, green, blue], np.float32), (side, side, 1))


def _mosaic(photo: np.ndarray, camera: Camera) -> np.ndarray:
    return camera_noise._to_mosaic(undevelop(photo, camera), camera.pattern)


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("pattern", range(4))
def test_a_flat_photo_comes_back_from_its_raw_values(method: Demosaicking, pattern: int) -> None:
    rng = np.random.default_rng(pattern)
    photo = _flat(0.5, 0.4, 0.3)
    for _ in range(5):
        camera = replace(draw_camera(rng), demosaicking=method, pattern=pattern)
        raw = undevelop(photo, camera)
        if raw.max() > 0.99 or raw.min() < 0.001:  # clipped on the sensor
            continue
        developed = develop(_mosaic(photo, camera), camera)
        np.testing.assert_allclose(developed[4:-4, 4:-4], photo[4:-4, 4:-4], atol=0.004)


def test_gradient_corrected_demosaicking_reproduces_a_gray_ramp() -> None:
    ramp = np.add.outer(np.arange(32), 2 * np.arange(32)).astype(np.float32) / 128
    for pattern in range(4):
        color = camera_noise._demosaic(ramp, "gradient-corrected", pattern)
        for channel in range(3):
            inner = color[4:-4, 4:-4, channel]
            np.testing.assert_allclose(inner, ramp[4:-4, 4:-4], atol=1e-5)


def test_the_map_of_camera_noise_is_its_deviation_over_many_takes() -> None:
    rng = np.random.default_rng(1)
    photo = np.repeat(np.linspace(0.1, 0.9, 96, dtype=np.float32)[None, :, None], 96, 0)
    photo = np.repeat(photo, 3, 2)
    photo[40:60, 30:50] = 0.2  # an edge, which the map must follow
    for _ in range(4):
        camera = draw_camera(rng)
        takes, maps = [], []
        for _ in range(30):
            noisy, variance = add_camera_noise(photo, camera, rng)
            takes.append(noisy - photo)
            maps.append(local_deviation(takes[-1], variance))
        true = np.sqrt(np.square(takes).mean((0, 3)))
        ratio = np.mean(maps, 0) / true
        assert 0.9 < np.median(ratio) < 1.15
        assert np.percentile(ratio, 5) > 0.6
        assert np.percentile(ratio, 95) < 1.8


def test_raw_noise_has_the_variance_that_the_sensor_says() -> None:
    # One sensor pixel for each value of the photo, and no processing except encoding.
    photo = _flat(0.5, 0.5, 0.5, 128)
    camera = replace(_PLAIN, shot=2e-4)
    raw = float(undevelop(photo, camera)[0, 0, 0])
    np.testing.assert_allclose(raw, ((0.5 + 0.055) / 1.055) ** 2.4, rtol=1e-3)
    noisy, variance = add_camera_noise(photo, camera, np.random.default_rng(0))
    slope = 1.055 / 2.4 * raw ** (1 / 2.4 - 1)  # of the sRGB encoding
    expected = (2e-4 * raw + 4e-4) * slope**2
    np.testing.assert_allclose(variance, expected, rtol=0.01)
    # Bilinear demosaicking keeps this variance at pixels that the sensor measured.
    green = (noisy - photo)[0::2, 1::2, 1]
    np.testing.assert_allclose(green.var(), expected, rtol=0.1)


def test_camera_noise_is_correlated_where_white_noise_is_not() -> None:
    def correlation(noise: np.ndarray) -> float:
        return float((noise[:, 1:] * noise[:, :-1]).mean() / (noise**2).mean())

    rng = np.random.default_rng(0)
    photo = _flat(0.5, 0.4, 0.3, 96)
    camera = replace(_PLAIN, luma_left=_COARSE, chroma_left=_COARSE)
    noise = add_camera_noise(photo, camera, rng)[0] - photo
    assert correlation(noise) > 0.4
    assert abs(correlation(rng.standard_normal(noise.shape))) < 0.05


def test_noise_reduction_spares_edges_and_takes_chroma() -> None:
    photo = _flat(0.5, 0.5, 0.5, 96)
    photo[:, 48:] = 0.7
    strong = replace(_PLAIN, smooth_left=0.3, chroma_left=(0.2,) * 5)
    rng = np.random.default_rng
    plain = add_camera_noise(photo, _PLAIN, rng(0))[0] - photo
    reduced = add_camera_noise(photo, strong, rng(0))[0] - photo
    luma = np.array([0.299, 0.587, 0.114])
    flat, edge = np.s_[:, 5:35], np.s_[:, 47:49]
    assert (reduced[flat] @ luma).std() < 0.4 * (plain[flat] @ luma).std()
    assert (reduced[edge] @ luma).std() > 0.9 * (plain[edge] @ luma).std()
    chroma = np.array([0.5, -0.4187, -0.0813])
    for part, left in ((flat, 0.2 * 0.3), (edge, 0.2)):
        expected = left * (plain[part] @ chroma).std()
        np.testing.assert_allclose((reduced[part] @ chroma).std(), expected, rtol=0.1)


@pytest.mark.parametrize("frequency", [0.01, 0.05, 0.1, 0.2, 0.3, 0.45])
def test_noise_reduction_leaves_of_each_octave_its_share(frequency: float) -> None:
    wave = np.cos(2 * np.pi * frequency * np.arange(400, dtype=np.float32))
    plane = np.repeat(wave[None], 64, 0)
    reduced = camera_noise._reduce_octaves(plane, _COARSE)
    inner = np.s_[:, 50:-50]  # away from the border's mirror
    left = (reduced[inner] * plane[inner]).sum() / np.square(plane[inner]).sum()
    # A Gaussian of standard deviation s passes exp(-2 (pi s f)^2) of a frequency f.
    passed = np.exp(-2 * (np.pi * np.array([0.6, 1.2, 2.4, 4.8]) * frequency) ** 2)
    np.testing.assert_allclose(left, _COARSE[0] + np.diff(_COARSE) @ passed, atol=0.01)
    assert left > 0.9 or frequency > 0.01
    assert left < 0.2 or frequency < 0.2


@pytest.mark.parametrize("channels", [1, 3])
def test_grain_has_unit_variance(channels: int) -> None:
    rng = np.random.default_rng(0)
    squares = [np.square(draw_grain(160, 160, channels, rng)).mean() for _ in range(60)]
    assert abs(np.mean(squares) - 1) < 0.04
    assert max(squares) < 1.7


def test_samples_of_cameras_are_files_and_say_how_far_they_are_from_the_photo() -> None:
    noise = Noise(camera=1, gray=0)
    crops = torch.full((12, 3, 48 + MARGIN, 48 + MARGIN), 0.45)
    noisy, clean, level, *_ = noise.degrade(crops, None, generator())
    assert noisy.shape == clean.shape == (12, 3, 48, 48)
    assert level.shape == (12, 1, 48, 48)
    torch.testing.assert_close(noisy * 255, (noisy * 255).round(), atol=1e-3, rtol=0)
    measured = (noisy - clean).square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(
        level.square().mean((1, 2, 3)).sqrt(), measured, rtol=0.12, atol=1e-3
    )
    again = noise.degrade(crops, None, generator())
    assert torch.equal(again.degraded, noisy)


def test_jpeg_noise_has_its_grid_of_blocks_anywhere() -> None:
    # A ramp, which JPEG turns into steps of eight pixels, shows where the grid is.
    ramp = torch.linspace(0.3, 0.7, 96).expand(3, 32, 96)
    starts = set()
    for seed in range(30):
        stored = draw_jpeg(80, np.random.default_rng(seed)).store(ramp)
        assert stored.shape == ramp.shape
        assert float((stored - ramp).abs().max()) < 0.06
        steps = (stored[0, 16, 1:] - stored[0, 16, :-1]).abs().numpy()
        starts.add(int(np.argmax([steps[start::8].sum() for start in range(8)])))
    assert len(starts) > 4


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_photos_of_cameras_have_equal_planes(channels: int) -> None:
    crops = torch.full((4, channels, 32 + MARGIN, 32 + MARGIN), 0.45)
    sample = Noise(camera=1, gray=1).degrade(crops, None, generator())
    assert sample.degraded.shape[1] == channels
    assert float((sample.degraded - sample.degraded[:, :1]).abs().max()) < 4 / 255
    assert torch.equal(sample.clean, sample.clean[:, :1].expand_as(sample.clean))


def test_low_noise_levels_are_uniform_on_a_logarithmic_scale() -> None:
    levels = Noise(low=1, clean=0, varying=0).level_map(4000, 1, 1, generator()).flatten() * 255
    assert float(levels.min()) >= 0.5
    middle = (0.5 * 55) ** 0.5
    assert abs(float((levels < middle).float().mean()) - 0.5) < 0.03


@pytest.mark.parametrize("channels", [1, 3])
def test_varied_photos_have_the_size_that_is_asked_for(channels: int) -> None:
    rng = np.random.default_rng(0)
    crop = rng.random((48 + MARGIN, 48 + MARGIN, channels), np.float32)
    seen = [draw_photo(crop, 48, 40, 1.0, 0.2, rng) for _ in range(60)]
    assert {photo.shape for photo in seen} == {(48, 40, channels)}
    assert {photo.dtype for photo in seen} == {np.dtype(np.float32)}
    assert min(float(photo.min()) for photo in seen) >= 0
    assert max(float(photo.max()) for photo in seen) <= 1
    assert len({float(photo.std()) for photo in seen}) > 35
    assert np.array_equal(draw_photo(crop, 48, 40, 0.0, 0.0, rng), crop[:48, :40])


def test_the_grain_of_photos_does_not_become_detail() -> None:
    rng = np.random.default_rng(0)
    grain = 0.02 * rng.standard_normal((96 + MARGIN, 96 + MARGIN, 1), np.float32)
    crop = np.repeat(0.5 + grain, 3, 2)
    left = [draw_photo(crop, 64, 64, 1.0, 0, rng, spotless=True).std() for _ in range(40)]
    assert np.median(left) < 0.6 * 0.02
    assert max(left) < 0.02
    # Merely enlarged, it would be as strong, and as coarse as that of cameras.
    photos = [draw_photo(crop, 64, 64, 1.0, 0, rng) for _ in range(60)]
    coarse = [p for p in photos if np.abs(np.diff(p, axis=1)).mean() < 0.7 * p.std()]
    assert len(coarse) > 5
    assert max(float(p.std()) for p in coarse) < 0.02


def test_some_photos_are_sharpened_and_stored_as_jpeg() -> None:
    """Detail that looks like noise, and artefacts that are not noise, are part of clean samples."""
    crop = np.full((96 + MARGIN, 96 + MARGIN, 3), 0.3, np.float32)
    crop[:, 40:] = 0.6
    rng = np.random.default_rng(0)
    photos = [draw_photo(crop, 96, 96, 1.0, 0, rng)[48, :, 0] for _ in range(80)]
    # An unsharp mask overshoots at an edge; enlarging by cubic curves does so by 7 % at most.
    overshot = [row.max() - row[-1] > 0.1 * (row[-1] - row[0]) for row in photos]
    assert 0.1 < np.mean(overshot) < 0.5
    photos_of_edges = torch.from_numpy(crop).permute(2, 0, 1).expand(40, -1, -1, -1)
    sample = Noise(clean=1, varied=0.5, clipped=0).degrade(photos_of_edges, None, generator())
    assert torch.equal(sample.clean, sample.degraded)
    levels = 255 * sample.clean
    stored = (levels - levels.round()).abs().amax((1, 2, 3)) < 1e-3
    assert 0.1 < float(stored.float().mean()) < 0.6


def test_the_artefacts_of_files_are_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without noise, the target is the file as it is, however much it differs from the photo."""
    silent = replace(_PLAIN, shot=1e-9, read=1e-10)
    monkeypatch.setattr(noise_module, "draw_camera", lambda rng: silent)
    crop = np.random.default_rng(0).random((1, 3, 64 + MARGIN, 64 + MARGIN), np.float32)
    errors = []
    for seed in range(12):
        sample = Noise(camera=1, gray=0).degrade(torch.from_numpy(crop), None, generator(seed))
        of_file = float((sample.degraded - torch.from_numpy(crop[..., :64, :64])).square().mean())
        to_target = float((sample.degraded - sample.clean).square().mean())
        errors.append((of_file, to_target, float(sample.guidance.square().mean())))
    # Rounding to 8 bits flips a few of the file's coefficients.
    of_file, to_target, of_map = np.sqrt(errors).T
    assert np.median(of_file) > 50 / 255
    assert to_target.max() < 10 / 255
    assert of_map.max() < 10 / 255


def test_processed_photos_keep_their_size_and_range() -> None:
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        photo = rng.random((40, 48, channels), np.float32)
        made = [processed(photo, rng) for _ in range(20)]
        assert {picture.shape for picture in made} == {photo.shape}
        assert min(float(picture.min()) for picture in made) >= 0
        assert max(float(picture.max()) for picture in made) <= 1
        assert sum(np.abs(picture - photo).max() > 0.05 for picture in made) > 10


def test_drawn_pictures_are_repeatable_and_differ() -> None:
    pictures = [draw_picture(40, 56, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert pictures[0].shape == (40, 56, 3)
    assert pictures[0].dtype == np.uint8
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_the_guidance_loss_with_a_floor_weighs_weak_noise_as_strong() -> None:
    loss = guidance_loss(0.3, floor=0.01)
    weak = loss(torch.tensor([0.03]), torch.tensor([0.01]))
    strong = loss(torch.tensor([0.29]), torch.tensor([0.14]))
    torch.testing.assert_close(weak, torch.tensor(np.log(2.0) ** 2, dtype=torch.float32))
    torch.testing.assert_close(strong, weak)
    too_low = loss(torch.tensor([0.01]), torch.tensor([0.03]))  # as bad as too high
    torch.testing.assert_close(too_low, weak)
    plain = guidance_loss(0.5)(torch.tensor([0.29]), torch.tensor([0.19]))
    torch.testing.assert_close(plain, torch.tensor(0.04))


def test_the_guidance_loss_too_low_raises_uncertain_maps_and_keeps_certain_ones() -> None:
    """The minimum of the weighted squared error is an expectile (Newey and Powell 1987)."""
    true = torch.tensor([0.02, 0.06])  # one observation, two truths
    candidates = torch.linspace(0.02, 0.06, 4001)

    def best(too_low: float, truths: torch.Tensor) -> float:
        loss = guidance_loss(0.3, floor=0.01, too_low=too_low)
        values = [loss(c.expand(2), truths) for c in candidates]
        return float(candidates[int(torch.stack(values).argmin())])

    # Between log(0.03) and log(0.07), weighted 1:1 and 1:4.
    ends = np.log([0.03, 0.07])
    assert best(1, true) == pytest.approx(np.exp(ends @ [1 / 2, 1 / 2]) - 0.01, abs=2e-5)
    assert best(4, true) == pytest.approx(np.exp(ends @ [1 / 5, 4 / 5]) - 0.01, abs=2e-5)
    assert best(4, torch.tensor([0.05, 0.05])) == pytest.approx(0.05, abs=2e-5)


def test_a_coarse_hyper_network_sees_further_at_the_same_output_size() -> None:
    def reach(coarse: bool) -> int:
        torch.manual_seed(0)
        network = HyperNetwork(3, 8, 4, (1, 1, 2, 1), "image", True, 0.3, coarse=coarse)
        image = torch.rand(1, 3, 128, 128, requires_grad=True)
        network(image)[0, 0, 64, 64].backward()
        assert image.grad is not None
        rows = image.grad.abs().sum((0, 1, 3)).nonzero()
        return int(rows.max() - rows.min())

    assert reach(True) > reach(False) + 16
    assert HyperNetwork(3, 8, 4, (1, 1, 2, 1), "image", True, 0.3, coarse=True).size_multiple == 8
