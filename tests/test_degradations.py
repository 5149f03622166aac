"""Noise, rain, haze and blur compared with their formulas; kernels."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch
from PIL import Image

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_kernel, write_picture
from hyperguide.training.data.batches import Stream, open_data
from hyperguide.training.data.degradations import Blur, Haze, Noise
from hyperguide.training.data.drawn_kernels import draw_kernel
from hyperguide.training.data.haze import vary_tone
from hyperguide.training.preset import Schedule, Stage, load_preset
from made_data import STAGE, generator, noise_picture, small_preset

_FOLDER = os.environ.get("HYPERGUIDE_DATA")
research = pytest.mark.skipif(
    not _FOLDER, reason="HYPERGUIDE_DATA is not set: give the folder of the research data"
)


def test_noise_has_the_level_that_its_map_says() -> None:
    clean = torch.full((64, 3, 64, 64), 0.5)
    noise = Noise(clean=0, gray=0, clipped=0, varying=0.5)
    noisy, _, level, *_ = noise.degrade(clean, None, generator())
    ratio = ((noisy - clean) / level.clamp(min=1e-3)).std((1, 2, 3))
    assert abs(float(ratio.mean()) - 1) < 0.01
    assert float(level.max()) <= noise.maximum
    varies = level.amax((1, 2, 3)) - level.amin((1, 2, 3)) > 1e-6
    assert 0.3 < float(varies.float().mean()) < 0.7


def test_gray_samples_carry_the_same_noise_in_every_channel() -> None:
    sample = Noise(gray=1).degrade(torch.rand(4, 3, 16, 16), None, generator())
    assert torch.equal(sample.degraded[:, 0], sample.degraded[:, 2])
    assert torch.equal(sample.clean[:, 0], sample.clean[:, 1])


def test_signal_dependent_noise_is_darker_where_the_picture_is() -> None:
    clean = torch.linspace(0, 1, 8).view(1, 1, 1, 8).repeat(256, 3, 64, 1)
    noise = Noise(minimum=0.1, maximum=0.1, clean=0, varying=0, gray=0, signal=1, clipped=0)
    noisy, _, level, *_ = noise.degrade(clean, None, generator())
    residual = (noisy - clean) / level
    assert abs(float(residual.std()) - 1) < 0.01
    squares = level.square()[:, 0, 0]
    torch.testing.assert_close(squares[:, -1], torch.full((256,), 0.01))  # at white
    # A straight line over brightness, with a photon part of 30 to 100 %.
    torch.testing.assert_close(squares.diff(dim=1), squares.diff(dim=1)[:, :1].expand(-1, 7))
    photons = (squares[:, -1] - squares[:, 0]) / squares[:, -1]
    assert 0.3 <= float(photons.min()) < 0.35
    assert 0.95 < float(photons.max()) <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_recompressed_samples_went_through_a_jpeg_file(channels: int) -> None:
    clean = torch.rand(4, channels, 32, 32, generator=generator(1))
    noise = Noise(gray=0, clean=1, clipped=0, recompressed=1, quality=(70, 70))
    noisy = noise.degrade(clean, None, generator()).degraded
    for picture, expected in zip(noisy, clean, strict=True):
        data = io.BytesIO()
        pixels = (expected * 255).round().byte().permute(1, 2, 0).numpy().squeeze()
        Image.fromarray(pixels).save(data, "JPEG", quality=70)
        decoded = np.asarray(Image.open(data), np.float32).reshape(32, 32, channels) / 255
        np.testing.assert_allclose(picture.permute(1, 2, 0), decoded, atol=3 / 255)


def test_haze_inverts_by_the_scattering_model() -> None:
    clean = torch.rand(4, 3, 32, 32, generator=generator(1))
    depth = torch.rand(4, 1, 32, 32, generator=generator(2))
    haze = Haze(beta=(1.2, 1.2), airlight=(0.8, 0.8), tint=0, clean=0, invented=0)
    sample = haze.degrade(clean, depth, generator())
    assert torch.equal(sample.guidance, depth)
    t = torch.exp(-1.2 * depth)
    torch.testing.assert_close((sample.degraded - 0.8 * (1 - t)) / t, clean, atol=1e-5, rtol=0)


def test_a_hazy_sample_knows_its_light_and_transmission() -> None:
    clean = torch.rand(16, 3, 32, 32, generator=generator(1))
    sample = Haze(airlight=(0.7, 1.3), tint=0.1, clean=0.3).degrade(clean, None, generator())
    light, t = sample.airlight, sample.transmission
    assert light is not None
    assert t is not None
    assert light.shape == (16, 3, 1, 1)
    assert t.shape == (16, 1, 32, 32)
    assert float(light.max()) == 1
    torch.testing.assert_close(clean * t + light * (1 - t), sample.degraded)
    assert 0 < int((t == 1).all((1, 2, 3)).sum()) < 16


def test_cameras_expose_for_the_haze_and_targets_are_nearly_as_bright() -> None:
    brightness = torch.linspace(0.1, 0.9, 64)[:, None, None, None]
    clean = brightness * torch.rand(64, 3, 32, 32, generator=generator(1))
    haze = Haze(beta=(1.5, 1.5), airlight=(1, 1), tint=0, clean=0, invented=0, exposed=0.5)
    depth = torch.ones(64, 1, 32, 32)
    sample = haze.degrade(clean, depth, generator())
    t = float(np.exp(-1.5))
    as_scattered = clean * t + (1 - t)
    is_exposed = (sample.degraded - as_scattered).abs().amax((1, 2, 3)) > 1e-5
    assert 20 < int(is_exposed.sum()) < 44
    assert 0.2 < float(sample.degraded[is_exposed].mean()) < 0.65 < float(as_scattered.mean())
    assert torch.equal(sample.clean[~is_exposed], clean[~is_exposed])
    before, after = (
        p[is_exposed].mean((1, 2, 3)) / sample.degraded[is_exposed].mean((1, 2, 3))
        for p in (clean, sample.clean)
    )
    assert float(before.min()) < 0.4
    assert 0.73 < float(after.min()) < float(after.max()) < 1.22
    # Far away there is only airlight, which is exposed as the picture is.
    dense = replace(haze, beta=(40, 40), exposed=1).degrade(clean, depth, generator())
    assert dense.airlight is not None
    torch.testing.assert_close(dense.degraded, dense.airlight.expand_as(clean))


def test_disturbed_hazy_pictures_keep_their_targets() -> None:
    clean = torch.rand(40, 3, 32, 32, generator=generator(1))
    haze = Haze(beta=(1, 1), airlight=(1, 1), tint=0, clean=0, invented=0)
    depth = torch.rand(40, 1, 32, 32, generator=generator(2))
    plain = haze.degrade(clean, depth, generator()).degraded
    sample = replace(haze, disturbed=1).degrade(clean, depth, generator())
    assert torch.equal(sample.clean, clean)
    changed = (sample.degraded - plain).abs().amax((1, 2, 3)) > 1e-3
    assert 0.7 < float(changed.float().mean()) < 1
    assert 0 <= float(sample.degraded.min()) < float(sample.degraded.max()) <= 1


def test_dense_haze_leaves_little_of_the_scene() -> None:
    clean = torch.rand(200, 3, 8, 8, generator=generator(1))
    haze = Haze(beta=(0.5, 1.0), clean=0, invented=0, dense=0.3, densest=4)
    sample = haze.degrade(clean, torch.ones(200, 1, 8, 8), generator())
    assert sample.transmission is not None
    beta = -sample.transmission[:, 0, 0, 0].log()
    assert float(beta.min()) >= 0.5
    assert 3 < float(beta.max()) <= 4
    assert 0.2 < float((beta > 1).float().mean()) < 0.4


def test_the_tone_of_photos_varies_within_its_bounds_before_the_haze_comes() -> None:
    gray = torch.full((400, 3, 2, 2), 0.5)
    varied = vary_tone(gray, 1.0, generator())
    planes = varied[..., 0, 0]
    assert torch.equal(varied, planes[..., None, None].expand_as(varied))  # one tone per photo
    darkest = 0.5**2.0138 * 0.7 * 0.8607  # largest gamma, lowest exposure and light
    assert darkest - 0.1 < float(planes.min()) < 0.2
    assert 0.65 < float(planes.max()) < 0.5**0.4966 * 1.162 + 0.1
    assert float((planes.amax(1) - planes.amin(1)).max()) > 0.05  # with a tint
    assert torch.equal(vary_tone(varied, 0.0, generator()), varied)
    haze = Haze(beta=(0.8, 0.8), airlight=(0.9, 0.9), tint=0, clean=0, invented=0, tone=1)
    sample = haze.degrade(gray, torch.ones_like(gray[:, :1]), generator(3))
    assert float(sample.clean.std()) > 0.05
    t = np.exp(-0.8)
    torch.testing.assert_close(sample.degraded, sample.clean * t + 0.9 * (1 - t))


def test_the_farthest_point_of_an_invented_scene_is_at_one() -> None:
    clean = torch.rand(64, 3, 48, 40, generator=generator(1))
    depth = Haze(clean=0).degrade(clean, None, generator()).guidance
    assert float(depth.min()) >= 0
    assert torch.equal(depth.amax((1, 2, 3)), torch.ones(64))
    assert float(depth.std((1, 2, 3)).min()) > 0.02


@pytest.mark.parametrize("channels", [1, 3])
def test_blur_is_the_valid_convolution_of_scipy(channels: int) -> None:
    clean = torch.rand(6, channels, 40, 50, generator=generator(1))
    blur = Blur(minimum=0, maximum=0, clipped=0, impulse=0.2, size=15)
    degraded, inner, level, kernel, *_ = blur.degrade(clean, None, generator())
    assert kernel is not None
    assert kernel.shape == (6, 1, 15, 15)
    assert degraded.shape == inner.shape == (6, channels, 26, 36)
    assert torch.equal(inner, clean[..., 7:-7, 7:-7])
    assert not level.any()
    for i in range(6):
        for c in range(channels):
            expected = scipy.signal.convolve2d(clean[i, c], kernel[i, 0], "valid")
            np.testing.assert_allclose(degraded[i, c], expected, atol=2e-6)


def test_dark_surroundings_blur_as_zeros_beyond_the_picture_do() -> None:
    clean = torch.rand(16, 1, 40, 50, generator=generator(1))
    blur = Blur(minimum=0, maximum=0, clipped=0, impulse=0, dark=1, size=15)
    degraded, inner, _, kernel, *_ = blur.degrade(clean, None, generator())
    assert kernel is not None
    for i in range(16):
        expected = scipy.signal.convolve2d(inner[i, 0], kernel[i, 0], "same")
        np.testing.assert_allclose(degraded[i, 0], expected, atol=2e-6)
    some = replace(blur, dark=0.5).degrade(clean, None, generator())
    bright = replace(blur, dark=0).degrade(clean, None, generator())
    kept = [torch.equal(a, b) for a, b in zip(some.degraded, bright.degraded, strict=True)]
    assert 0 < sum(kept) < 16, kept


def test_blur_adds_the_noise_that_its_map_says(photos: Path) -> None:
    blur = Blur(minimum=0.02, maximum=0.08, clipped=0, impulse=1, varying=0, size=5)
    clean = torch.full((32, 1, 68, 68), 0.5)
    degraded, inner, level, kernel, *_ = blur.degrade(clean, None, generator())
    ratio = (degraded - inner).std((1, 2, 3)) / level.mean((1, 2, 3))
    assert abs(float(ratio.mean()) - 1) < 0.01
    assert kernel is not None
    assert torch.equal(kernel.flatten(1).argmax(1), torch.full((32,), 12))
    assert torch.equal(kernel.sum((1, 2, 3)), torch.ones(32))


def test_drawn_kernels_are_odd_and_even_tempered() -> None:
    rng = generator()
    kernels = [draw_kernel(37, rng) for _ in range(300)]
    sides = {kernel.shape for kernel in kernels}
    assert all(rows == columns and rows % 2 for rows, columns in sides)
    assert max(sides) == (37, 37)
    assert min(sides) < (11, 11)
    for kernel in kernels:
        assert kernel.min() >= 0
        assert abs(float(kernel.sum()) - 1) < 1e-5
        offsets = np.arange(len(kernel)) - len(kernel) // 2
        for axis in (0, 1):
            assert abs(float(kernel.sum(axis) @ offsets)) < 1e-3
    assert len({kernel.tobytes() for kernel in kernels}) == 300
    for largest in (1, 3, 5):
        assert all(len(draw_kernel(largest, rng)) <= largest for _ in range(50))


def _write_kernels(folder: Path, *names: str) -> Path:
    """3x5 kernels with sum 1, all different."""
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        kernel = np.random.default_rng(i).random((3, 5))
        _write_kernel(folder / name, kernel / kernel.sum())
    return folder


def _write_kernel(path: Path, kernel: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, kernel)
    elif path.suffix == ".png":
        write_picture(path, np.rint(kernel / kernel.max() * 65535).astype(np.uint16))
    else:
        np.savetxt(path, kernel, delimiter="," if path.suffix == ".txt" else "\t")


@pytest.mark.parametrize("suffix", [".dlm", ".txt", ".npy", ".png"])
def test_kernels_are_read_from_matrices_and_pictures(tmp_path: Path, suffix: str) -> None:
    kernel = np.random.default_rng(0).random((3, 5))
    kernel /= kernel.sum()
    _write_kernel(tmp_path / f"k{suffix}", kernel)
    np.testing.assert_allclose(read_kernel(tmp_path / f"k{suffix}"), kernel, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("k.txt", "0.5 0.1 0.1\n0 0 0\n0 0 0.1", "sums up to 0.8 instead of 1"),
        ("k.npy", np.array([[-0.5, 1, 0.5]]), "negative"),
        ("k.dlm", "0.25 0.25\n0.25 0.25", "is 2x2, but its centre must be an element"),
        ("k.txt", "0 1\n1", "not a matrix of numbers"),
        ("k.txt", "kernel", "not a matrix of numbers"),
        ("k.npy", np.array(["a"]), "not a numeric array"),
        ("k.npy", np.full((1, 3), np.nan), "NaN"),
        ("k.npy", np.zeros((3, 3, 3)), "not a matrix"),
        ("k.png", np.zeros((3, 3), np.uint8), "is black"),
        ("k.png", noise_picture(0, 3, 3), "colour picture"),
        ("k.dlm", "\n".join(["0 0 0 0 1 0 0 0 0"]), "1x9, larger than 7 pixels"),
    ],
)
def test_kernels_that_cannot_be_used_are_refused(
    photos: Path, tmp_path: Path, name: str, content: str | np.ndarray, words: str
) -> None:
    folder = _write_kernels(tmp_path / "kernels", "a.dlm", "b.txt")
    if isinstance(content, str):
        (folder / name).write_text(content)
    elif name.endswith(".npy"):
        np.save(folder / name, content)
    else:
        write_picture(folder / name, content)
    with pytest.raises(HyperguideError, match=words) as error:
        open_data(small_preset("deblur"), [photos], kernels=folder)
    assert name in str(error.value)


def test_kernels_of_the_user_blur_and_some_are_held_out(photos: Path, tmp_path: Path) -> None:
    folder = _write_kernels(tmp_path / "kernels", "a.dlm", "b.txt", "c.npy")
    data = open_data(small_preset("deblur"), [photos], kernels=folder)
    assert data.record()["kernels"] == 2
    known = {name: read_kernel(folder / name) for name in ("a.dlm", "b.txt", "c.npy")}
    split: dict[Stream, set[str]] = {"train": {"a.dlm", "b.txt"}, "held_out": {"c.npy"}}
    for stream, allowed in split.items():
        kernel = data.draw(stream, 0, replace(STAGE, batch=30), 0).sample.kernel
        assert kernel is not None
        found = set()
        for one in kernel[:, 0].numpy():
            values = np.sort(one[one > 0])
            found |= {n for n, k in known.items() if np.allclose(values[-15:], np.sort(k.ravel()))}
            assert len(values) in (1, 15)  # 1: samples without blur
        assert found == allowed
    with pytest.raises(HyperguideError, match="--kernels belongs to deblur"):
        open_data(small_preset("denoise"), [photos], kernels=folder)
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "README.txt").write_text("Kernels of a camera.")
    with pytest.raises(HyperguideError, match="0 kernels, but two are needed"):
        open_data(small_preset("deblur"), [photos], kernels=tmp_path / "few")


def test_kernels_larger_than_the_crop_are_refused(photos: Path) -> None:
    with pytest.raises(HyperguideError, match="37 pixels are larger than the preset's crop of 16"):
        open_data(small_preset("deblur", degradation={}), [photos])
    larger = small_preset("deblur", outer_degradation={"size": 37})
    with pytest.raises(HyperguideError, match="37 pixels are larger than the preset's crop of 16"):
        open_data(larger, [photos])
    with pytest.raises(HyperguideError, match="size 6: give an odd one"):
        open_data(small_preset("deblur", degradation={"size": 6}), [photos])


def test_blurred_pairs_bring_their_kernels_and_mirror_them_too(tmp_path: Path) -> None:
    kernel = np.zeros((1, 5))
    kernel[0, 0] = 1  # moves the picture two pixels to the left
    for i in range(3):
        clean = noise_picture(i)
        for sub, picture in (("target", clean), ("input", np.roll(clean, -2, 1))):
            (tmp_path / sub).mkdir(exist_ok=True)
            write_picture(tmp_path / sub / f"{i}.png", picture)
        (tmp_path / "kernel").mkdir(exist_ok=True)
        _write_kernel(tmp_path / "kernel" / f"{i}.txt", kernel)
    data = open_data(small_preset("deblur"), [tmp_path])
    sample = data.draw("hyper", 0, replace(STAGE, batch=16), 0).sample
    assert sample.kernel is not None
    assert sample.kernel.shape == (16, 1, 7, 7)
    seen = set()
    for y, x, k in zip(sample.degraded[:, 0], sample.clean[:, 0], sample.kernel[:, 0], strict=True):
        expected = scipy.signal.convolve2d(x, k, "valid")
        np.testing.assert_allclose(y[3:-3, 3:-3], expected, atol=1e-6)
        seen.add(int(k[3].argmax()))
    assert seen == {1, 5}
    # Except at the border, which np.roll spoils, there is no noise; 8-bit cells are near zero.
    assert float(sample.guidance.median()) < 1e-3
    (tmp_path / "kernel" / "1.txt").unlink()
    with pytest.raises(HyperguideError, match=r"1 of 3 inputs in .* have no kernel.* 1\.png"):
        open_data(small_preset("deblur"), [tmp_path])


@research
def test_the_papers_kernels_are_usable(photos: Path) -> None:
    stages = (Stage(1.0, crop=64, batch=2),)
    preset = replace(
        load_preset("deblur", "fast"), schedule=Schedule(warmup=1, steps=1, stages=stages)
    )
    data = open_data(preset, [photos], kernels=Path(_FOLDER or ".") / "kernels20")
    assert data.record()["kernels"] == 19
