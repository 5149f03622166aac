"""Networks that look at the whole picture, for pictures that do not fit into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_engine import SmallEngine

import hyperguide
from conftest import in_process
from hyperguide.engines import OnnxRuntimeCpu
from hyperguide.enhancer import Enhancer
from hyperguide.inference.guided_upsampling import Transfer
from hyperguide.model_format.model_file import read_model_file
from hyperguide.training.checkpoint import BEST, load_tensors, save_tensors


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one - other) ** 2)))


def _scene(astronaut: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A 1024x1024 photo, its depth (a slope with an object in front of it), and the hazy photo."""
    photo = cv2.resize(astronaut, (1024, 1024), interpolation=cv2.INTER_CUBIC) / np.float32(255)
    depth = np.tile(np.linspace(1, 0.3, 1024, dtype=np.float32)[:, None], (1, 1024))
    depth[400:, 300:700] = 0.2
    transmission = np.exp(-1.2 * depth)[..., None]
    return photo, depth, photo * transmission + 0.9 * (1 - transmission)


def _small(picture: np.ndarray, side: int = 256) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def test_transfer_removes_haze_and_loses_no_detail_to_the_small_copy(astronaut: np.ndarray) -> None:
    photo, depth, hazy = _scene(astronaut)
    size = hazy.shape[:2]
    small = _small(hazy)
    transfer = Transfer(small[None], _small(photo)[None], _small(depth)[None], size)  # type: ignore[arg-type]
    planes = hazy.transpose(2, 0, 1)[None]
    whole, guidance = transfer(planes, (0, 1024), (0, 1024))
    restored = whole[0].transpose(1, 2, 0)
    copied = cv2.resize(_small(photo), (1024, 1024), interpolation=cv2.INTER_LINEAR)
    assert _psnr(restored, photo) > _psnr(copied, photo) + 3  # no detail is lost to the copy
    assert _psnr(restored[:380], photo[:380]) > 38  # away from the depth edge
    assert np.abs(guidance[0] - depth)[:380].max() < 0.01
    rows, columns = (500, 612), (90, 345)
    part, of_map = transfer(planes[..., slice(*rows), slice(*columns)], rows, columns)
    np.testing.assert_allclose(part, whole[..., slice(*rows), slice(*columns)], atol=1e-5)
    np.testing.assert_allclose(of_map, guidance[:, slice(*rows), slice(*columns)], atol=1e-5)


@pytest.mark.parametrize("gain", [1.0, 1.7])
def test_transfer_finds_a_uniform_change_exactly(gain: float) -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(0.2, 0.5, (2, 40, 60, 3)).astype(np.float32)
    transfer = Transfer(before, gain * before - 0.1, before[..., 0], (80, 120))
    part = rng.uniform(0.2, 0.5, (2, 3, 80, 120)).astype(np.float32)
    enhanced, _ = transfer(part, (0, 80), (0, 120))
    np.testing.assert_allclose(enhanced, gain * part - 0.1, atol=2e-3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, photos: Path, small_presets: Any) -> Path:
    """A briefly trained dehazing model file that sees haze where it is bright."""
    folder = tmp_path_factory.mktemp("dehaze")
    for words in (
        ("train", "dehaze", "--preset", small_presets("dehaze", "fast"), "--data", photos),
        ("export",),
    ):
        run = folder / "run"
        more = ("--out", run) if words[0] == "train" else (run, "-o", folder / "model.onnx")
        result = in_process(*words, *more)
        assert result.code == 0, result.err
        if words[0] == "train":
            tensors, record = load_tensors(run / BEST)
            rng = torch.Generator().manual_seed(0)
            tail = "reconstruction.tail.weight"
            tensors[tail] = 0.003 * torch.randn(tensors[tail].shape, generator=rng)
            tensors["reconstruction.tail.bias"].fill_(0.25)
            save_tensors({run / BEST: tensors}, record)
    return folder / "model.onnx"


def test_the_file_says_that_it_looks_at_the_whole_picture(model: Path) -> None:
    info = read_model_file(model).info
    assert info.whole_picture
    assert info.context == "global"
    assert info.size_multiple == 1
    assert not read_model_file(
        hyperguide.model_format.bundled.bundled_path("denoise", "fast")
    ).info.whole_picture


@pytest.mark.parametrize("layout", ["float", "bytes", "gray", "alpha", "batch", "deep"])
def test_dehazed_parts_equal_the_dehazed_whole(
    layout: str, model: Path, astronaut: np.ndarray
) -> None:
    picture = np.rint(_scene(astronaut)[2][:600, 200:900] * 255).astype(np.uint8)
    given = {
        "float": picture.astype(np.float32) / 255,
        "bytes": picture,
        "gray": picture[..., 0],
        "alpha": np.dstack([picture, picture[..., :1]]),
        "batch": np.stack([picture, picture[::-1]]),
        "deep": picture.astype(np.uint16) * 257,
    }[layout]
    ramp = np.linspace(0, 1, 600 * 700, dtype=np.float32).reshape(600, 700)
    full = np.iinfo(given.dtype).max if given.dtype.kind == "u" else 1
    for dials in ({}, {"strength": ramp, "guidance": ramp, "guidance_mix": 0.5}):
        whole, tiled = (
            hyperguide.load(model, device="cpu", threads=1, tile=tile)(given, **dials)
            for tile in (None, 200)
        )
        assert tiled.image.shape == given.shape
        assert tiled.image.dtype == given.dtype
        changed = _psnr(whole.image / full, given / full)
        assert _psnr(tiled.image / full, whole.image / full) > max(changed + 15, 35)
        np.testing.assert_allclose(tiled.guidance, whole.guidance, atol=0.02)
        if layout == "alpha":
            np.testing.assert_array_equal(tiled.image[..., 3], given[..., 3])


def test_out_of_memory_makes_the_dehazed_copy_smaller_until_it_fits(
    model: Path, astronaut: np.ndarray
) -> None:
    file = read_model_file(model)
    engine = OnnxRuntimeCpu(file, 1)
    picture = _scene(astronaut)[2]
    expected = Enhancer(file, engine, tile=None)(picture)
    small = SmallEngine(engine, 300_000)
    result = Enhancer(file, small)(picture)
    assert small.sizes[-1] <= 300_000 < small.sizes[0] == 1024 * 1024
    assert sum(size <= 300_000 for size in small.sizes) == 1  # the tiles need no engine
    assert _psnr(result.image, expected.image) > 35
