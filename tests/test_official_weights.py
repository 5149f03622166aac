"""Weights published by the authors of the base networks: what is accepted, and their results.

Tests on the published files run if HYPERGUIDE_DATA names the folder of the research data.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from conftest import psnr
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_picture
from hyperguide.training.networks.griddehazenet import GridDehazeNet
from hyperguide.training.networks.prenet import PReNet
from hyperguide.training.networks.unet import GuidedUNet
from hyperguide.training.official import initialise, load_official
from hyperguide.training.preset import UNetShape

_FOLDER = os.environ.get("HYPERGUIDE_DATA")
published = pytest.mark.skipif(
    not _FOLDER, reason="HYPERGUIDE_DATA is not set: give the folder of the research data"
)
DATA = Path(_FOLDER or ".")
RAIN = DATA / "baselines" / "prenet" / "prenet_rain100l.pth"
HAZE = DATA / "baselines" / "griddehazenet" / "griddehazenet_indoor.pth"

Build = Callable[[bool, float], nn.Module]
both_networks = pytest.mark.parametrize(
    ("build", "task"), [(PReNet, "derain"), (GridDehazeNet, "dehaze")]
)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


@both_networks
@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_official_state_dict_is_recognised_by_its_names(
    build: Build, task: str, prefix: str, file: Path
) -> None:
    torch.manual_seed(0)
    original = build(False, 1.0).eval()
    torch.save({prefix + name: w for name, w in original.state_dict().items()}, file)
    loaded = load_official(file)
    assert (loaded.name, loaded.task) == (build.__name__, task)
    assert not loaded.network.training
    image = _random(1, 3, 8, 12)
    with torch.no_grad():
        assert torch.equal(loaded.network(image), original(image))


def _worst_difference(file: Path, guided: nn.Module, size: tuple[int, int]) -> float:
    """The largest difference between a guided network started from the file and the original."""
    initialise(guided, file)
    original, worst = load_official(file).network, 0.0
    for seed in range(3):
        image, guidance = _random(1, 3, *size, seed=seed), _random(1, 1, *size, seed=seed + 9)
        with torch.no_grad():
            difference = guided(image, guidance) - original(image)
        worst = max(worst, float(difference.abs().max()))
    return worst


@both_networks
def test_a_guided_network_starts_at_the_result_of_the_original(
    build: Build, task: str, file: Path
) -> None:
    torch.manual_seed(0)
    torch.save(build(False, 1.0).state_dict(), file)
    assert _worst_difference(file, build(True, 1.0), (32, 48)) <= 1e-6
    twin = build(False, 1.0)
    initialise(twin, file)
    state = torch.load(file, weights_only=True)
    assert all(torch.equal(state[name], w) for name, w in twin.state_dict().items())


def test_prenets_weights_start_networks_of_any_number_of_stages(file: Path) -> None:
    original = PReNet(False, 1.0)
    torch.save(original.state_dict(), file)
    shorter = PReNet(True, 1.0, stages=2)
    initialise(shorter, file)
    state = original.state_dict()
    same = [n for n, w in shorter.state_dict().items() if torch.equal(state[n], w)]
    assert same == [name for name in state if name != "conv0.0.weight"]


class _Code:
    """Creates a file when unpickled without protection."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_code_in_a_file_is_never_run(writer: str, file: Path, tmp_path: Path) -> None:
    content = {**PReNet(False, 1.0).state_dict(), "conv.0.bias": _Code(tmp_path / "ran")}
    if writer == "torch":
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content))
    with pytest.raises(HyperguideError, match=r"weights\.pth is damaged or not a state dict"):
        load_official(file)
    assert not (tmp_path / "ran").exists()
    if writer == "pickle":
        pickle.loads(file.read_bytes())
        assert (tmp_path / "ran").exists()  # pickle runs it


@pytest.mark.parametrize(
    "content",
    [b"", b"These are not weights.\n", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04 not a zip"],
    ids=["empty", "text", "picture", "zip"],
)
def test_weight_files_that_are_no_state_dict_are_refused(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(HyperguideError, match="not a state dict of plain tensors"):
        load_official(file)


def test_missing_truncated_and_foreign_weights_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(HyperguideError, match=r"There is no weight file .*weights\.pth"):
        load_official(file)
    with pytest.raises(HyperguideError, match="Cannot read the weights"):
        load_official(tmp_path)
    state = PReNet(False, 1.0).state_dict()
    torch.save(state, file)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(HyperguideError, match="damaged"):
        load_official(file)
    own = {f"reconstruction.{name}": weights for name, weights in state.items()}
    save_file(own, tmp_path / "run.safetensors")
    with pytest.raises(HyperguideError, match=r"run\.safetensors"):  # from a run
        load_official(tmp_path / "run.safetensors")
    part = {f"{i}": torch.zeros(1) for i in range(200)}
    repeated = {f"{i}": part for i in range(200)}  # few bytes for 40,000 names
    foreign: list[object] = [[1, 2], {"step": 3}, PReNet(False, 1.0), repeated]
    for content in foreign:
        torch.save(content, file)
        with pytest.raises(HyperguideError, match="not a state dict"):
            load_official(file)
    torch.save(state | {"conv.0.bias": torch.full((3,), torch.nan)}, file)
    with pytest.raises(HyperguideError, match="not finite"):
        load_official(file)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(3, 3, 3).state_dict(),
        PReNet(True, 1.0).state_dict(),
        {n: w for n, w in PReNet(False, 1.0).state_dict().items() if "conv_f" not in n},
        {},
    ],
    ids=["another network", "a guided one", "a part of one", "nothing"],
)
def test_weights_of_another_network_are_refused(other: dict[str, Tensor], file: Path) -> None:
    torch.save(other, file)
    with pytest.raises(HyperguideError, match="another network than PReNet or GridDehazeNet"):
        load_official(file)


@pytest.mark.parametrize(
    "reconstruction",
    [GridDehazeNet(True, 1.0), GuidedUNet(3, True, 1.0, UNetShape(2, (16,), 1), "residual")],
)
def test_a_start_from_other_weights_names_both_networks(
    reconstruction: nn.Module, file: Path
) -> None:
    torch.save(PReNet(False, 1.0).state_dict(), file)
    before = [w.clone() for w in reconstruction.parameters()]
    built = type(reconstruction).__name__
    with pytest.raises(
        HyperguideError, match=f"weights of PReNet, but the preset builds a {built}"
    ):
        initialise(reconstruction, file)
    assert all(map(torch.equal, before, reconstruction.parameters()))


def _luma(picture: np.ndarray) -> np.ndarray:
    """Y of 8-bit RGB as a fraction of full scale, as MATLAB's rgb2ycbcr gives for doubles."""
    return (16 + picture @ np.array([65.481, 128.553, 24.966]) / 255) / 255


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None]


# dB of single pictures; the mean of all hundred is 37.48.
@published
@pytest.mark.parametrize(("number", "expected"), [(1, 38.007), (15, 42.281), (24, 25.550)])
def test_prenets_published_weights_score_as_published(number: int, expected: float) -> None:
    backgrounds = json.loads((DATA / "rain100l" / "backgrounds.json").read_text())
    clean = read_picture(DATA / "bsds500" / backgrounds["test"][str(number)])
    streaks = read_picture(DATA / "rain100l" / "test" / f"streak-{number}.png")
    rainy = np.minimum(clean.astype(int) + streaks[..., None], 255)
    with torch.no_grad():
        restored = load_official(RAIN).network(_tensor(rainy / 255))[0].clamp(0, 1)
    written = (255 * restored.permute(1, 2, 0).numpy()).astype(np.uint8)
    assert abs(psnr(_luma(written), _luma(clean)) - expected) < 0.02


@published
def test_griddehazenets_published_weights_clear_the_haze_of_their_recipe() -> None:
    network = load_official(HAZE).network
    gains, scores = [], []
    for index in (200, 700, 1100):
        clean = read_picture(DATA / "nyu" / "rgb" / f"{index}.jpg")[:, ::-1] / 255
        depth = read_picture(DATA / "nyu" / "depth" / f"{index}.png")[:, ::-1]
        transmission = np.exp(-1.0 * depth / depth.max())[..., None]
        hazy = clean * transmission + 1 - transmission
        clean, hazy = (picture[10:330, 10:330] for picture in (clean, hazy))
        with torch.no_grad():
            restored = network(_tensor(hazy))[0].permute(1, 2, 0).numpy()
        scores.append(psnr(restored, clean))
        gains.append(scores[-1] - psnr(hazy, clean))
    assert np.mean(scores) > 25, scores
    assert min(gains) > 10, gains


@published
@pytest.mark.parametrize(("path", "keys"), [(RAIN, 32), (HAZE, 223)])
def test_every_published_weight_is_used(path: Path, keys: int) -> None:
    assert len(torch.load(path, map_location="cpu", weights_only=True)) == keys
    network = load_official(path).network
    network(_random(1, 3, 24, 24)).sum().backward()
    used = [w.grad is not None and bool(w.grad.any()) for w in network.parameters()]
    assert used == [True] * keys


@published
@pytest.mark.parametrize(("path", "build"), [(RAIN, PReNet), (HAZE, GridDehazeNet)])
def test_guided_networks_start_at_the_published_result(path: Path, build: Build) -> None:
    assert _worst_difference(path, build(True, 1.0).eval(), (48, 64)) <= 1e-6
