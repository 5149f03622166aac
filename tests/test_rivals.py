"""Methods by others, each compared with an independent computation of its equation."""

from __future__ import annotations

import importlib.util
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.io
import scipy.ndimage
import scipy.signal
import scipy.sparse.linalg
import skimage.data
import skimage.restoration
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import Tensor, nn

from conftest import psnr
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import write_picture
from hyperguide.tasks import TASKS
from hyperguide.training.deconvolution import crop, pad_for, taper, transfer_function
from hyperguide.training.evaluation.catalog import open_suite
from hyperguide.training.evaluation.cli import evaluate
from hyperguide.training.evaluation.mat_file import read_mat
from hyperguide.training.evaluation.measure import measure
from hyperguide.training.evaluation.protocols import PROTOCOLS
from hyperguide.training.evaluation.restorers import open_target
from hyperguide.training.evaluation.rivals import csf, fdn, ircnn
from hyperguide.training.evaluation.rivals.aod_net import AODNet
from hyperguide.training.evaluation.rivals.dark_channel import (
    airlight,
    dark_channel,
    darkest,
    guided_filter,
)
from hyperguide.training.evaluation.rivals.fd import fd, shrink
from hyperguide.training.evaluation.rivals.richardson_lucy import richardson_lucy
from hyperguide.training.evaluation.rivals.spanet import SPANet
from hyperguide.training.evaluation.suites import Options

_RNG = np.random.default_rng(11)


def _kernel(rows: int = 5, columns: int = 7) -> np.ndarray:
    """Without any symmetry, so that a flipped one is noticed."""
    kernel = _RNG.random((rows, columns)) ** 3
    return kernel / kernel.sum()


def _blurred(kernel: np.ndarray, sigma: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(observed, sharp): a photo of 90x80, blurred from its real surroundings."""
    photo = skimage.data.camera()[100:300:2, 150:340:2] / 255
    observed = scipy.signal.convolve2d(photo, kernel, "valid")
    rows, columns = (side // 2 for side in kernel.shape)
    sharp = photo[rows:-rows, columns:-columns]
    return observed + sigma * _RNG.normal(size=observed.shape), sharp


def _wrapped(picture: np.ndarray, kernel: np.ndarray, transposed: bool = False) -> np.ndarray:
    """The circular convolution k * x, or its transpose, without a Fourier transform."""
    operation = scipy.ndimage.correlate if transposed else scipy.ndimage.convolve
    return np.asarray(operation(picture, kernel, mode="wrap"))


# FDN


def _fdn(stages: int = 2) -> fdn.FDN:
    torch.manual_seed(3)
    network = fdn.FDN(stages, 0.1, 12.75).double().eval()
    for stage in network.stages:
        nn.init.normal_(stage.mixture, std=0.3)
    return network


def _save_fdn(network: fdn.FDN, folder: Path) -> Path:
    """As Keras saves it; the fifth stage and later ones are after the tenth in the alphabet."""
    h5py = pytest.importorskip("h5py")
    path = folder / "stages.hdf5"
    layers = {f"dense{i}": f"dense.{i - 1}" for i in (1, 2, 3)}
    layers |= {"lambda": "dense.3", **{f"conv{i}": f"convs.{i - 1}" for i in range(1, 7)}}
    with h5py.File(path, "w") as file:
        for name in ("x_in", "y", "k", "s"):
            file.create_group(name).attrs["weight_names"] = np.zeros(0)
        for number, stage in enumerate(network.stages):
            state, place = stage.state_dict(), f"model_{number + 8}/{{}}_{number + 7}/{{}}:0"
            file[place.format("x_out", "filter_weights")] = state["mixture"].numpy()
            for theirs, ours in layers.items():
                axes = (1, 0) if "dense" in ours else (2, 3, 1, 0)
                file[place.format(theirs, "kernel")] = state[f"{ours}.weight"].permute(axes).numpy()
                file[place.format(theirs, "bias")] = state[f"{ours}.bias"].numpy()
    (folder / "config.json").write_text('{"sigma_range": [0.1, 12.75], "n_stages": 10}')
    return path


def test_fdn_mixes_the_cosine_basis_without_its_constant() -> None:
    stage = _fdn().stages[0]
    with torch.no_grad():
        stage.mixture.copy_(torch.eye(24))
        filters = stage.filters()[:, 0].numpy()
    for index, taps in enumerate(filters, 1):
        impulse = np.zeros((5, 5))
        impulse.flat[index] = 1
        np.testing.assert_allclose(taps, scipy.fft.idctn(impulse, norm="ortho").T, atol=1e-12)


def test_fdns_stage_solves_its_equation() -> None:
    stage, sigma = _fdn().stages[0], 3.0
    x, y, kernel = _RNG.random((16, 18)), _RNG.random((16, 18)), _kernel()
    k, planes = torch.from_numpy(kernel)[None, None], torch.from_numpy(np.stack([x, y])[:, None])
    with torch.no_grad():
        solved = stage(planes[:1], planes[1:], transfer_function(k, 16, 18), sigma)[0, 0].numpy()
        prior = stage.prior(planes[:1])[0, 0].numpy()
        filters, omega = stage.filters()[:, 0].numpy(), float(stage.data_weight(sigma))
    # omega K^T (K z - y) + sum_i F_i^T F_i z = cnn(x)
    left = omega * _wrapped(_wrapped(solved, kernel) - y, kernel, True)
    left += sum(_wrapped(_wrapped(solved, taps), taps, True) for taps in filters)
    np.testing.assert_allclose(left, prior, atol=1e-9)

    value = np.array([1 / sigma**2])
    for number, layer in enumerate(stage.dense):
        value = layer.weight.detach().numpy() @ value + layer.bias.detach().numpy()
        value = np.where(value > 0, value, np.expm1(value)) if number < 3 else value
    assert omega == pytest.approx(np.log1p(np.exp(value[0])), rel=1e-9)

    planes_in = [np.pad(x, 20, mode="edge")]
    for number, layer in enumerate(stage.convs):
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        sums = [
            b
            + sum(scipy.signal.correlate2d(p, k, "same") for p, k in zip(planes_in, w, strict=True))
            for w, b in zip(weight, bias, strict=True)
        ]
        planes_in = [np.where(s > 0, s, np.expm1(s)) if number < 5 else s for s in sums]
    np.testing.assert_allclose(planes_in[0][20:-20, 20:-20], prior, atol=1e-9)


def test_fdn_replaces_the_border_of_the_observation_from_the_second_stage_on() -> None:
    network, kernel = _fdn(), _kernel()
    y = _RNG.random((16, 18))
    k, planes = torch.from_numpy(kernel)[None, None], torch.from_numpy(y)[None, None]
    transfer = transfer_function(k, 16, 18)
    with torch.no_grad():
        first = network.stages[0](planes, planes, transfer, 5.1)
        adjusted = _wrapped(first[0, 0].numpy(), kernel)
        adjusted[2:-2, 3:-3] = y[2:-2, 3:-3]
        second = network.stages[1](first, torch.from_numpy(adjusted)[None, None], transfer, 5.1)
        np.testing.assert_allclose(network(planes, k, 0.02), second, atol=1e-9)
        # It is never told levels beyond those it was trained for.
        assert torch.equal(network(planes, k, 0.2), network(planes, k, 0.05))


def test_an_fdn_is_read_as_keras_saves_it(tmp_path: Path) -> None:
    network = _fdn(stages=3)
    target = open_target(str(_save_fdn(network, tmp_path)))
    assert (target.task, target.informed, target.kind) == ("deblur", True, "official weights")
    assert target.about == "FDN, 3 stages, for noise of 0.1 to 12.75 of 255"
    kernel, sigma = _kernel(), 0.02
    observed, _ = _blurred(kernel, sigma)
    colour = np.stack([observed, observed.T[: len(observed)].mean() + 0 * observed], 2)
    level = np.full(observed.shape, sigma, np.float32)
    restored, used = target.restorer(observed, kernel, level)
    assert used is None
    k = torch.from_numpy(kernel)[None, None]
    margins = pad_for(k, *observed.shape)
    with torch.no_grad():
        padded = taper(torch.from_numpy(observed)[None, None], k)
        expected = crop(network(padded, k, sigma), margins)[0, 0]
    np.testing.assert_allclose(restored, expected, atol=1e-4)
    np.testing.assert_allclose(target.restorer(colour, kernel, level)[0][..., 0], restored)
    with pytest.raises(HyperguideError, match="must know the noise level"):
        target.restorer(observed, kernel)


def test_fdn_files_that_are_damaged_or_something_else_are_refused(tmp_path: Path) -> None:
    path = _save_fdn(_fdn(), tmp_path)
    config, whole = path.with_name("config.json"), path.read_bytes()
    ranges = ("3", "[3, 1]", "[]", f"[1, 1{'0' * 400}]")
    for text in ("[", "{}", *(f'{{"sigma_range": {wrong}}}' for wrong in ranges)):
        config.write_text(text)
        with pytest.raises(HyperguideError, match=r"config\.json names no sigma_range"):
            open_target(str(path))
    config.unlink()
    with pytest.raises(HyperguideError, match=r"There is no configuration of FDN .*config\.json"):
        open_target(str(path))
    config.write_text('{"sigma_range": [0.1, 12.75]}')
    for content in (b"", whole[:3000], b"\x89HDF\r\n\x1a\n" + bytes(2000), b"\0" * 5000):
        path.write_bytes(content)
        with pytest.raises(HyperguideError, match="is damaged or no HDF5 file"):
            open_target(str(path))
    h5py = pytest.importorskip("h5py")
    place = "model_8/conv1_7/bias:0"
    with h5py.File(io.BytesIO(whole)) as file:
        names: list[str] = []
        file.visit(names.append)
    flat = next(name for name in names if name.endswith("weight:0") or name.endswith("kernel:0"))
    changes: list[tuple[Callable[..., object], str]] = [
        (lambda f: f.__delitem__(place), "does not hold the stages of an FDN"),
        (lambda f: f.__setitem__("other", np.zeros(3)), "does not hold the stages of an FDN"),
        (lambda f: f[place].__setitem__(0, np.nan), "not finite"),
        (lambda f: f.__setitem__("words", "text"), "is damaged or no HDF5 file"),
        (lambda f: f.create_dataset("huge", (1 << 40,), "f4", chunks=(9,)), "is damaged"),
        (
            lambda f: f.create_dataset("one", (1,), "f4", chunks=(1 << 29,), maxshape=(None,)),
            "is damaged",
        ),
        (
            lambda f: (f.__delitem__(flat), f.__setitem__(flat, np.zeros(9, np.float32))),
            "does not hold the stages",
        ),
    ]
    for change, told in changes:
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            change(file)
        with pytest.raises(HyperguideError, match=told):
            open_target(str(path))


def test_hdf5_arrays_that_lie_in_other_files_are_not_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = _save_fdn(_fdn(), tmp_path)
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones(32, np.float32).tobytes())
    place = "model_8/conv1_7/bias:0"
    with h5py.File(path, "r+") as file:
        del file[place]
        file.create_dataset(place, (32,), "f4", external=[(str(secret), 0, 128)])
    with pytest.raises(HyperguideError, match="is damaged or no HDF5 file"):
        open_target(str(path))
    with h5py.File(tmp_path / "other.hdf5", "w") as other:
        other["bias"] = np.ones(32, np.float32)
    with h5py.File(path, "r+") as file:
        del file[place]
        file[place] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "bias")
    with pytest.raises(HyperguideError, match="does not hold the stages"):
        open_target(str(path))


def test_without_h5py_an_fdn_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _save_fdn(_fdn(), tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(HyperguideError, match=r"needs the package h5py: pip install"):
        open_target(str(path))


# CSF


def _structures(shape: tuple[int, ...], make: Callable[[], dict[str, object]]) -> np.ndarray:
    """A MATLAB structure array."""
    entries = [make() for _ in range(int(np.prod(shape)))]
    array = np.empty(shape, [(name, object) for name in entries[0]])
    for place, entry in zip(np.ndindex(shape), entries, strict=True):
        array[place] = tuple(entry.values())
    return array


def _save_csf(path: Path, **changes: object) -> Path:
    """Two stages of two filters as the authors' program saves them, with random functions."""
    filters = np.empty((2, 2), object)
    filters[0, :], filters[1, :] = (
        [np.array([[1.0, -1, 0]])] * 2,
        [np.array([[1.0], [-1], [0]])] * 2,
    )
    means = np.arange(-260.0, 261, 10)
    model = {
        "nfilters": 2,
        "sigma": 0.5,
        "is_deblurring": True,
        "nstages": 2,
        "lambda": np.array([[362.0, 13.5]]),
        "f": filters,
        "shrink": _structures(
            (2, 2),
            lambda: {
                "precision": 0.01,
                "means": means[:, None],
                "weights": (means / 4 + _RNG.normal(size=len(means)))[:, None],
            },
        ),
    }
    scipy.io.savemat(path, {"model": model | changes}, do_compression=True)
    return path


def test_cells_and_structures_of_mat_files_read_as_scipy_reads_them(tmp_path: Path) -> None:
    path = _save_csf(tmp_path / "csf.mat", note="text", none=np.zeros((0, 0)))
    expected, actual = scipy.io.loadmat(path)["model"][0, 0], read_mat(path, nested=True)
    assert read_mat(path) == {}
    assert len(actual) == 5 + 1 + 4 + 4 * 3
    for name in ("nfilters", "sigma", "lambda", "none"):
        assert np.array_equal(actual[f"model.{name}"], expected[name])
    for index in range(4):
        place = (index % 2, index // 2)  # column by column
        assert np.array_equal(actual[f"model.f[{index}]"], expected["f"][place])
        for name in ("precision", "means", "weights"):
            there = expected["shrink"][place][name]
            assert np.array_equal(actual[f"model.shrink[{index}].{name}"], there)


def test_csfs_shrinkage_is_a_sum_of_gaussians(tmp_path: Path) -> None:
    function = csf.load_csf(_save_csf(tmp_path / "csf.mat")).stages[1].shrinkages[0]
    for value in (-300.2, -12.34, 0.1, 77.7, 400.0):
        bumps = np.exp(-function.precision / 2 * (value - function.means) ** 2)
        assert function(np.array([value]))[0] == pytest.approx(bumps @ function.weights, abs=0.02)


def test_csfs_stages_solve_their_equation(tmp_path: Path) -> None:
    path, kernel, sigma = _save_csf(tmp_path / "csf.mat"), _kernel(), 1.0
    cascade, arrays = csf.load_csf(path), read_mat(path, nested=True)
    observed, _ = _blurred(kernel)
    k = torch.from_numpy(kernel)[None, None]
    margins = pad_for(k, *observed.shape)

    def tapered(picture: np.ndarray) -> np.ndarray:
        return taper(torch.from_numpy(picture)[None, None], k)[0, 0].numpy()

    estimate = 255 * observed
    y = tapered(estimate)
    for number in range(2):
        weight = arrays["model.lambda"].ravel()[number] * 0.5 / sigma
        x, taps = tapered(estimate), [arrays[f"model.f[{2 * number + i}]"] for i in (0, 1)]
        right = weight * _wrapped(y, kernel, True)
        for i in (0, 1):
            place = f"model.shrink[{2 * number + i}]"
            means, heights = arrays[f"{place}.means"].ravel(), arrays[f"{place}.weights"].ravel()
            response = _wrapped(x, taps[i])
            shrunk = np.exp(-0.005 * (response[..., None] - means) ** 2) @ heights
            right = right + _wrapped(shrunk, taps[i], True)

        def left(flat: np.ndarray, weight: float = weight, taps: list = taps) -> np.ndarray:
            z = flat.reshape(y.shape)
            total = weight * _wrapped(_wrapped(z, kernel), kernel, True)
            return (total + sum(_wrapped(_wrapped(z, t), t, True) for t in taps)).ravel()

        operator = scipy.sparse.linalg.LinearOperator((y.size, y.size), left)
        solved, failed = scipy.sparse.linalg.cg(operator, right.ravel(), rtol=1e-9, maxiter=5000)
        assert not failed
        estimate = crop(torch.from_numpy(solved.reshape(1, 1, *y.shape)), margins)[0, 0].numpy()
    restored = csf.restore(cascade, observed, kernel, sigma / 255)
    np.testing.assert_allclose(255 * restored, estimate, atol=0.02)


def test_csf_files_that_are_damaged_or_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "csf.mat"
    others: list[dict[str, object]] = [
        {"is_deblurring": False},
        {"lambda": np.array([[1.0, -2.0]])},
        {"lambda": np.array([[1.0, np.nan]])},
        {"lambda": np.zeros((1, 0))},
        {"lambda": np.ones((1, 3))},
        {"f": np.zeros((2, 2))},
        {"nfilters": 10**9},
        {"sigma": "x"},
        {"shrink": np.zeros((2, 2))},
    ]
    for changes in others:
        with pytest.raises(HyperguideError, match="does not hold a cascade of shrinkage fields"):
            open_target(str(_save_csf(path, **changes)))
    whole = _save_csf(path).read_bytes()
    assert open_target(str(path)).about == "CSF, 2 stages, for noise of 0.5 of 255"
    path.write_bytes(whole[:-40])
    with pytest.raises(HyperguideError, match="is damaged"):
        open_target(str(path))


# Networks for haze and rain


@pytest.mark.parametrize(
    ("build", "name", "task"), [(AODNet, "AOD-Net", "dehaze"), (SPANet, "SPANet", "derain")]
)
@pytest.mark.parametrize("in_checkpoint", [False, True])
def test_networks_by_others_are_recognised_by_their_names(
    build: Callable[[], nn.Module], name: str, task: str, in_checkpoint: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network, path = build().eval(), tmp_path / "weights.pth"
    state = network.state_dict()
    checkpoint = {"net": state, "clock": 40000, "opt": {"state": {0: {"step": 3}}}}
    torch.save(checkpoint if in_checkpoint else state, path)
    target = open_target(str(path))
    assert (target.about, target.task, target.informed) == (name, task, False)
    picture = _RNG.random((13, 18, 3)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(picture).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    np.testing.assert_allclose(target.restorer(picture)[0], expected, atol=1e-6)
    state.popitem()
    torch.save(state, path)
    with pytest.raises(HyperguideError, match=r"than PReNet or .* or AOD-Net or SPANet or IRCNN"):
        open_target(str(path))


def test_aod_net_computes_its_equation() -> None:
    torch.manual_seed(1)
    network, image = AODNet(), torch.from_numpy(_RNG.random((1, 3, 9, 11))).float()
    state = network.state_dict()

    def layer(number: int, *inputs: Tensor) -> Tensor:
        weight, bias = (state[f"e_conv{number}.{part}"] for part in ("weight", "bias"))
        return F.conv2d(torch.cat(inputs, 1), weight, bias, padding="same").relu()

    one = layer(1, image)
    two = layer(2, one)
    three = layer(3, one, two)
    four = layer(4, two, three)
    k = layer(5, one, two, three, four)
    with torch.no_grad():
        torch.testing.assert_close(network(image), (k * image - k + 1).clamp(min=0))


def test_spanets_recurrence_passes_each_channel_in_four_directions() -> None:
    torch.manual_seed(2)
    recurrence = SPANet().SAM1.irnn1
    x = _RNG.normal(size=(32, 5, 6))
    with torch.no_grad():
        passed = recurrence(torch.from_numpy(x)[None].float())[0].numpy().reshape(4, 32, 5, 6)
    # Quarter turns anticlockwise until the direction is to the right.
    turns_of = {"up": 3, "right": 0, "down": 1, "left": 2}
    for (direction, turns), found in zip(turns_of.items(), passed, strict=True):
        turned = np.rot90(x, turns, (1, 2))
        layer = getattr(recurrence, f"{direction}_weight")
        weight, bias = layer.weight.detach().numpy().ravel(), layer.bias.detach().numpy()
        expected = np.zeros(turned.shape)
        for c in range(32):
            for row in range(turned.shape[1]):
                before = None
                for column in range(turned.shape[2]):
                    value = turned[c, row, column]
                    if before is not None:
                        value += weight[c] * before + bias[c]
                    before = expected[c, row, column] = max(value, 0)
        np.testing.assert_allclose(found, np.rot90(expected, -turns, (1, 2)), atol=1e-5)


def _ircnn(channels: int) -> ircnn.IRCNN:
    torch.manual_seed(5)
    return ircnn.IRCNN(channels).eval()


def test_an_ircnn_is_read_as_25_state_dicts_and_denoises_by_the_nearest_above(
    tmp_path: Path,
) -> None:
    network, path = _ircnn(1), tmp_path / "ircnn_gray.pth"
    torch.save({str(i): network[i].state_dict() for i in range(25)}, path)
    target = open_target(str(path))
    assert (target.about, target.informed) == ("IRCNN for gray pictures", True)
    picture = _RNG.random((20, 24)).astype(np.float32)
    for level, number in ((0.0, 0), (2.0, 0), (2.1, 1), (50.0, 24), (90.0, 24)):
        told = np.full(picture.shape, level / 255 - 1e-9)
        x = torch.from_numpy(picture)[None, None]
        value, layers = x, list(network[number].model)
        for conv, dilation in zip(layers[::2], (1, 2, 3, 4, 3, 2, 1), strict=True):
            value = F.conv2d(value, conv.weight, conv.bias, dilation=dilation, padding="same")
            value = value if conv is layers[-1] else value.relu()
        expected = (x - value)[0, 0].detach().numpy()
        np.testing.assert_allclose(target.restorer(picture, None, told)[0], expected, atol=1e-5)


def test_ircnn_alternates_between_the_closed_form_and_its_denoisers() -> None:
    network, kernel, level = _ircnn(3), _kernel(), 0.02
    observed = np.stack([_blurred(kernel, level)[0]] * 3, 2)
    k = torch.from_numpy(kernel).float()[None, None]
    y = taper(torch.from_numpy(observed).float().permute(2, 0, 1)[None], k)
    spectrum = transfer_function(k, *y.shape[2:])
    z = y
    with torch.no_grad():
        for step in range(30):
            prior = 49 * (255 * level / 49) ** (step / 29)
            rho = (255 * level / prior) ** 2 / 3
            above = spectrum.conj() * torch.fft.rfft2(y) + rho * torch.fft.rfft2(z)
            z = torch.fft.irfft2(above / (spectrum.abs() ** 2 + rho), s=y.shape[2:])
            z = network[int(np.ceil(prior / 2)) - 1](z)
    expected = crop(z, pad_for(k, *observed.shape[:2]))[0].permute(1, 2, 0)
    np.testing.assert_allclose(
        ircnn.restore(network, observed, kernel, level), expected, rtol=1e-3, atol=1e-3
    )
    gray = ircnn.restore(network, observed[..., 0], kernel, level)
    np.testing.assert_allclose(gray, expected.mean(2), rtol=1e-3, atol=1e-3)


# Classical methods


def test_fds_shrinkage_is_the_minimum() -> None:
    values = np.array([-1.7, -0.4, -0.11, 0.0, 0.003, 0.05, 0.2, 0.9])
    for beta in (1.0, 8.0, 181.0):
        found = shrink(torch.from_numpy(values), beta).numpy()
        for value, w in zip(values, found, strict=True):
            grid = np.linspace(-2, 2, 400_001)
            energy = np.abs(grid) ** (2 / 3) + beta / 2 * (grid - value) ** 2
            own = np.abs(w) ** (2 / 3) + beta / 2 * (w - value) ** 2
            assert own <= energy.min() + 1e-9
            assert abs(w - grid[energy.argmin()]) < 2e-5


def test_fd_lowers_its_energy_and_deblurs() -> None:
    kernel = _kernel()
    observed, sharp = _blurred(kernel, 0.01)

    def energy(x: np.ndarray) -> float:
        misfit = scipy.signal.convolve2d(x, kernel, "valid") - observed[2:-2, 3:-3]
        slopes = [np.abs(np.diff(x, axis=axis)) ** (2 / 3) for axis in (0, 1)]
        return 1000 * float((misfit**2).sum()) + sum(float(s.sum()) for s in slopes)

    restored = fd(observed, kernel)
    assert energy(restored) < 0.7 * energy(observed)
    inside = slice(5, -5), slice(5, -5)
    assert psnr(restored[inside], sharp[inside]) > psnr(observed[inside], sharp[inside]) + 1
    twice = fd(np.stack([observed, observed], 2), kernel)
    np.testing.assert_allclose(twice[..., 1], restored, atol=1e-9)


def test_richardson_lucy_iterates_as_scikit_images_does() -> None:
    kernel = _kernel()
    # Dark surroundings, so that what lies outside does not matter.
    picture = np.full((60, 64), 1e-3)
    picture[20:40, 20:44] = skimage.data.camera()[100:180:4, 150:246:4] / 255
    observed = _wrapped(picture, kernel)
    # Ours starts from the observation; one iteration from a flat picture gives K^T y instead.
    expected = observed
    for _ in range(6):
        expected = expected * _wrapped(observed / _wrapped(expected, kernel), kernel, True)
    np.testing.assert_allclose(richardson_lucy(observed, kernel, 6), expected, atol=1e-5)
    theirs = skimage.restoration.richardson_lucy(observed, kernel, 40, clip=False)
    ours = richardson_lucy(observed, kernel, 40)
    assert np.abs(ours - theirs)[15:-15, 15:-15].max() < 0.03
    assert psnr(ours, picture) > psnr(observed, picture) + 3


def test_the_dark_channel_is_the_least_value_of_its_patch() -> None:
    picture = _RNG.random((31, 40, 3)).astype(np.float32)
    dark = darkest(picture)
    for row, column in ((0, 0), (3, 38), (15, 20), (30, 7)):
        rows, columns = slice(max(row - 7, 0), row + 8), slice(max(column - 7, 0), column + 8)
        assert dark[row, column] == picture[rows, columns].min()
    lightest = np.sort(dark, axis=None)[-1]
    found = airlight(picture)
    candidates = picture[dark == lightest]
    assert any(np.array_equal(found, candidate) for candidate in candidates)


def test_the_guided_filter_fits_a_line_in_each_window() -> None:
    guide, values = _RNG.random((2, 24, 20)).astype(np.float32)
    found = guided_filter(guide, values, 3, 1e-2)
    row, column, lines = 11, 10, []
    for r in range(row - 3, row + 4):
        for c in range(column - 3, column + 4):
            window = slice(r - 3, r + 4), slice(c - 3, c + 4)
            g, v = guide[window].astype(float), values[window].astype(float)
            gain = ((g * v).mean() - g.mean() * v.mean()) / (g.var() + 1e-2)
            lines.append(gain * guide[row, column] + v.mean() - gain * g.mean())
    assert found[row, column] == pytest.approx(np.mean(lines), abs=1e-5)


def test_the_dark_channel_removes_haze_from_a_scene_that_fits_its_prior() -> None:
    clean = _RNG.random((60, 80, 3))
    clean[::3, ::3, 1] = 0  # something dark in each patch
    transmission = np.linspace(0.9, 0.35, 80)[None, :, None]
    hazy = clean * transmission + 0.9 * (1 - transmission)
    hazy[20:40, 60:] = 0.9  # opaque haze, which shows the airlight
    restored = dark_channel(hazy)
    inside = np.s_[8:52, 8:40]
    assert psnr(restored[inside].clip(0, 1), clean[inside]) > psnr(hazy[inside], clean[inside]) + 5
    with pytest.raises(HyperguideError, match="needs colour"):
        dark_channel(hazy[..., 0])
    assert np.isfinite(dark_channel(np.zeros((20, 20, 3)))).all()


@pytest.mark.skipif(importlib.util.find_spec("bm3d") is not None, reason="bm3d is installed")
def test_without_its_package_bm3d_names_what_is_missing() -> None:
    target = open_target("bm3d")
    with pytest.raises(HyperguideError, match="pip install bm3d"):
        target.restorer(np.zeros((16, 16), np.float32), None, np.full((16, 16), 0.1))


@pytest.mark.parametrize("name", ["fd", "richardson-lucy", "dark-channel", "input"])
def test_methods_without_a_noise_level_refuse_one(name: str) -> None:
    picture = np.zeros((16, 16, 3), np.float32)
    with pytest.raises(HyperguideError, match=f"{name} is unguided"):
        open_target(name).restorer(picture, None, np.full((16, 16), 0.1))


# Weights as published

_FOLDER = os.environ.get("HYPERGUIDE_DATA")
published = pytest.mark.skipif(
    not _FOLDER, reason="HYPERGUIDE_DATA is not set: give the folder of the research data"
)
_DATA = Path(_FOLDER or ".")


def _scores(target: str, suite: str, limit: int, **options: object) -> tuple[float, float]:
    """Mean dB of the first pictures: the degraded and the restored ones."""
    opened = open_suite(suite, Options(data=_DATA, limit=limit, **options))  # type: ignore[arg-type]
    measured = measure(opened, open_target(target), PROTOCOLS[opened.protocol])
    scores = [(e.measurement.input.psnr, e.measurement.output.psnr) for e in measured]
    before, after = np.mean(scores, 0)
    return float(before), float(after)


def _baseline(file: str) -> str:
    return str(_DATA / "baselines" / file)


@published
def test_csf_scores_on_captured_blurs_as_its_authors_say() -> None:
    opened = open_suite("levin-captured", Options(data=_DATA))
    target = open_target(_baseline("csf/deblur_csf_pw.mat"))
    measured = measure(opened, target, PROTOCOLS[opened.protocol], told=0.5 / 255)
    mean = np.mean([example.measurement.output.psnr for example in measured])
    # 33.48 in table 3; clipping to [0, 1] adds 0.03.
    assert mean == pytest.approx(33.48, abs=0.15)


@published
def test_fdn_deblurs_better_than_a_classical_prior() -> None:
    for level in (1.0, 3.0):
        _, ours = _scores(_baseline("fdn/stages_01-10_finetuned.hdf5"), "levin", 1, noise=(level,))
        _, classical = _scores("fd", "levin", 1, noise=(level,))
        assert ours > classical + 0.5


@published
def test_aod_net_clears_haze() -> None:
    hazy, restored = _scores(_baseline("aodnet/dehazer.pth"), "sots", 2)
    assert restored > hazy + 3


# The command


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Levin's files with small pictures."""
    (tmp_path / "levin09").mkdir()
    for i in (5, 6, 7, 8):
        for k in range(1, 9):
            photo = skimage.data.coins()[20 * i : 20 * i + 120 : 2, 60:180:2] / 255
            arrays = {"f": _kernel(5, 5), "x": photo}
            scipy.io.savemat(tmp_path / "levin09" / f"im{i:02d}_flit{k:02d}.mat", arrays)
    return tmp_path


def _eval(*words: object) -> dict[str, Any]:
    json_file = Path(str(words[-1]))
    result = CliRunner().invoke(evaluate, [*map(str, words[:-1]), "--json", str(json_file)])
    assert result.exit_code == 0, (result.output, result.exception)
    figures: dict[str, Any] = json.loads(json_file.read_text())
    return figures


def test_eval_tells_a_cascade_the_true_or_another_noise_level(data: Path) -> None:
    path = _save_csf(data / "csf.mat")
    words = (path, "--suite", "levin", "--data", data, "--noise", "1", "--limit", "2")
    true = _eval(*words, data / "true.json")
    told = _eval(*words, "--told-noise", "1", data / "told.json")
    other = _eval(*words, "--told-noise", "5", data / "other.json")
    scores = [f["levels"][0]["output_psnr"] for f in (true, told, other)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    assert abs(scores[0] - scores[2]) > 0.01


def test_eval_runs_methods_without_weights(data: Path) -> None:
    for name in ("fd", "richardson-lucy"):
        words = (name, "--suite", "levin", "--data", data, "--noise", "1", "--limit", "2")
        row = _eval(*words, data / f"{name}.json")["levels"][0]
        assert row["pictures"] == 2
        assert row["output_psnr"] > row["input_psnr"]
        result = CliRunner().invoke(evaluate, [*map(str, words), "--told-noise", "1"])
        assert isinstance(result.exception, HyperguideError)
        assert f"{name} takes no noise level" in str(result.exception)


def test_a_map_of_depth_is_not_told_as_a_noise_level(tmp_path: Path) -> None:
    picture = np.full((20, 20, 3), 90, np.uint8)
    for folder, pixels in (("input", picture), ("target", picture), ("guidance", picture[..., 0])):
        (tmp_path / folder).mkdir()
        write_picture(tmp_path / folder / "a.png", pixels)
    depth = TASKS["dehaze"].guidance
    suite = open_suite(f"pairs:{tmp_path}", Options(guidance=depth))
    with pytest.raises(HyperguideError, match="wiener must know the noise level"):
        next(measure(suite, open_target("wiener"), PROTOCOLS["rgb"]))
