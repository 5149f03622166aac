"""Model files that deblur: any kernel, any size, compared with torch's own transforms."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from torch import Tensor, nn

import hyperguide
from conftest import Cli, fails, in_process, roughen
from hyperguide.engines.tensorrt.bindings import Messages, TensorRt
from hyperguide.engines.tensorrt.network import parse
from hyperguide.errors import HyperguideError
from hyperguide.export.matrix_deconvolution import MatrixDeconvolution
from hyperguide.export.matrix_fourier import MatrixFourier, waves
from hyperguide.export.model import Lower, export_model
from hyperguide.model_format.contract import OPSET
from hyperguide.model_format.model_file import read_model_file
from hyperguide.picture_files import read_picture, write_picture
from hyperguide.training.checkpoint import TrainedModel, load_run
from hyperguide.training.model import build_model
from hyperguide.training.networks.unfolded import UnfoldedDeconvolution
from hyperguide.training.starting_weights import start_from


@pytest.fixture(scope="module")
def run(
    photos: Path,
    small_presets: Callable[[str, str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("deblur") / "run"
    preset = yaml.safe_load(small_presets("deblur", "fast").read_text())
    preset["reconstruction"]["stages"] = 2
    preset["reconstruction"]["denoiser"] |= {"widths": [16, 16], "middle": 1}
    (folder.parent / "small.yaml").write_text(yaml.safe_dump(preset))
    words = ("--preset", folder.parent / "small.yaml")
    result = in_process("train", "deblur", "--data", photos, "--out", folder, *words)
    assert result.code == 0, result.err
    roughen(folder)
    return folder


@pytest.fixture(scope="module")
def trained(run: Path) -> TrainedModel:
    return load_run(run)


@pytest.fixture(scope="module")
def deblur_file(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "deblur.onnx"
    export_model(trained, path)
    return path


def test_a_deblurring_file_gives_the_very_weights_back(
    trained: TrainedModel, deblur_file: Path
) -> None:
    started = build_model(trained.preset)
    start_from(started, deblur_file)
    own = trained.model.state_dict()
    for name, weights in started.state_dict().items():
        torch.testing.assert_close(weights, own[name], atol=1e-6, rtol=1e-6, msg=name)


def _kernel(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    kernel = np.random.default_rng(seed).random((rows, columns), np.float32) ** 3
    return kernel / kernel.sum()


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


SIZES = [((1, 1), 1), ((6, 7), 1), ((33, 20), 1), ((64, 101), 1)]
SPLIT_SIZES = [((16, 4), 16), ((32, 12), 16), ((144, 104), 16), ((4, 4), 4), ((36, 20), 4)]


def _parts(fourier: MatrixFourier, spectrum: Tensor) -> Tensor:
    """The part of a whole complex spectrum that a `MatrixFourier` holds, in its order."""
    down, across = fourier.frequencies
    return spectrum[:, :, down.flatten()][..., across].unflatten(2, down.shape)


@pytest.mark.parametrize(("size", "radix"), SIZES + SPLIT_SIZES)
def test_fourier_matrices_transform_as_fft_does(size: tuple[int, int], radix: int) -> None:
    planes = _random(2, 3, *size) - 0.5
    fourier = MatrixFourier(*size, radix)
    spectrum = fourier.forward(planes)
    expected = _parts(fourier, torch.fft.fft2(planes))
    torch.testing.assert_close(torch.complex(*fourier.split(spectrum)), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(fourier.inverse(spectrum), planes, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("size", "radix"), SIZES + SPLIT_SIZES)
def test_a_real_spectrum_holds_each_pair_of_conjugates_once(
    size: tuple[int, int], radix: int
) -> None:
    """Every frequency, or else its conjugate mirror, occurs exactly once."""
    height, width = size
    down, across = MatrixFourier(*size, radix).frequencies
    assert sorted(down.flatten().tolist()) == list(range(height))
    found = sorted(min(f, width - f) for f in across.tolist())
    assert found == list(range(width // 2 + 1))


@pytest.mark.parametrize(("size", "radix"), [((24, 31), 1), ((32, 36), 16), ((24, 36), 4)])
def test_kernels_are_centred_at_the_origin(size: tuple[int, int], radix: int) -> None:
    kernel = _kernel(5, 7)
    canvas = np.zeros(size, np.float32)
    canvas[:5, :7] = kernel
    centred = torch.from_numpy(np.roll(canvas, (-2, -3), (0, 1)))[None, None]
    fourier = MatrixFourier(*size, radix)
    spectrum = fourier.of_kernel(torch.from_numpy(kernel)[None, None])
    expected = _parts(fourier, torch.fft.fft2(centred))
    torch.testing.assert_close(torch.complex(*fourier.split(spectrum)), expected, atol=1e-5, rtol=0)


def test_fourier_phases_of_large_pictures_keep_their_precision() -> None:
    positions = torch.arange(1920)
    cosines, sines = waves(positions, positions, 1920)
    angles = 2 * np.pi * np.outer(np.arange(1920), np.arange(1920)) / 1920
    assert np.abs(cosines.numpy() - np.cos(angles)).max() < 1e-6
    assert np.abs(sines.numpy() - np.sin(angles)).max() < 1e-6


class _Deconvolution(nn.Module):
    """One closed-form step with fixed rho."""

    def __init__(self, radix: int) -> None:
        super().__init__()
        self.radix = radix

    def forward(self, blurred: Tensor, kernel: Tensor) -> Tensor:
        fourier = MatrixFourier(*blurred.shape[2:], self.radix)
        real, imaginary = fourier.split(fourier.of_kernel(kernel))
        power = real.square() + imaginary.square() + RHO
        factor = (real + RHO) / power, -imaginary / power
        return fourier.inverse(fourier.multiply(factor, fourier.forward(blurred)))


RHO = 0.01


@pytest.fixture(scope="module", params=[1, 16], ids=["whole", "split"])
def deconvolution(request: pytest.FixtureRequest) -> tuple[tuple[int, int], bytes]:
    """The divisors of picture sizes, and that step as a graph for any such size and any kernel."""
    buffer, radices = io.BytesIO(), (request.param, min(request.param, 4))
    sides = {2: radices[0] * torch.export.Dim("H"), 3: radices[1] * torch.export.Dim("W")}
    odd = {2: torch.export.Dim("kh", min=1), 3: torch.export.Dim("kw", min=1)}
    program = torch.onnx.export(
        _Deconvolution(request.param).eval(),
        (
            _random(1, 1, 32, 31 // radices[1] * radices[1]),
            torch.from_numpy(_kernel(5, 7))[None, None],
        ),
        dynamo=True,
        opset_version=OPSET,
        input_names=["blurred", "kernel"],
        dynamic_shapes=(sides, odd),
        verbose=False,
    )
    assert program is not None
    program.save(buffer)
    return radices, buffer.getvalue()


@pytest.mark.parametrize("size", [(255, 255), (481, 321), (1080, 1920)])
def test_the_exported_deconvolution_equals_numpys_fft(
    size: tuple[int, int], deconvolution: tuple[tuple[int, int], bytes]
) -> None:
    radices, graph = deconvolution
    size = _divisible(size, radices)
    blurred, kernel = _random(1, 1, *size).numpy(), _kernel(25, 19)
    shifted = np.zeros(size)
    shifted[:25, :19] = kernel
    transfer = np.fft.rfft2(np.roll(shifted, (-12, -9), (0, 1)))
    spectrum = np.fft.rfft2(blurred[0, 0].astype(np.float64))
    solution = (transfer.conj() + RHO) * spectrum / (np.abs(transfer) ** 2 + RHO)
    expected = np.fft.irfft2(solution, s=size)
    session = onnxruntime.InferenceSession(graph)
    (actual,) = session.run(None, {"blurred": blurred, "kernel": kernel[None, None]})
    assert np.abs(actual[0, 0] - expected).max() <= 1e-4 * np.abs(expected).max()


def _divisible(size: tuple[int, int], radices: tuple[int, int]) -> tuple[int, int]:
    return size[0] // radices[0] * radices[0], size[1] // radices[1] * radices[1]


def test_the_deconvolution_builds_into_an_engine(
    deconvolution: tuple[tuple[int, int], bytes],
) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    tensorrt = TensorRt("tensorrt_rtx", trt)
    messages = Messages(tensorrt)
    builder = trt.Builder(messages.logger)
    radices, graph = deconvolution
    network = parse(tensorrt, builder, messages, graph, Path("deconvolution.onnx"))
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    best, most = _divisible((481, 321), radices), _divisible((1080, 1920), radices)
    profile.set_shape("blurred", (1, 1, 64, 64), (1, 1, *best), (1, 1, *most))
    profile.set_shape("kernel", (1, 1, 1, 1), (1, 1, 19, 19), (1, 1, 41, 41))
    config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config) is not None, messages.reason()


def test_a_gpu_without_matrix_products_in_fp32_is_named(
    deblur_file: Path, tmp_path: Path, quick_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("build", deblur_file, "-o", tmp_path / "deblur.engine", "--target")
    fails(quick_cli(*words, "sm75,sm89"), "leave that out of --target")
    result = quick_cli(*words, "sm86,sm89,sm120")
    assert result.code == 0, result.err


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("sides", [(1, 1), (5, 3), (9, 15)])
def test_deconvolution_by_matrices_equals_that_of_the_network(
    sides: tuple[int, int], split: bool, trained: TrainedModel
) -> None:
    network = trained.model.reconstruction
    assert isinstance(network, UnfoldedDeconvolution)
    image, level = _random(2, 3, 24, 40), torch.full((2, 1, 24, 40), 0.02)
    kernel = torch.from_numpy(_kernel(*sides))[None, None]
    with torch.no_grad():
        expected = network(image, level, kernel)
        by_matrices = MatrixDeconvolution(network, split)
        actual = by_matrices(image, level, kernel)
    assert by_matrices._radix == (16 if split else 1)
    assert len(actual) == len(expected)
    assert float((expected[-1] - image).abs().max()) > 0.01
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize(("size", "sides"), [((24, 40), (5, 3)), ((61, 33), (1, 9))])
def test_the_deblurring_file_equals_torch(
    device: str,
    size: tuple[int, int],
    sides: tuple[int, int],
    trained: TrainedModel,
    deblur_file: Path,
) -> None:
    image, kernel = _random(1, 3, *size), _kernel(*sides)
    enhancer = hyperguide.load(deblur_file, device=device, threads=1)
    result = enhancer(image[0].permute(1, 2, 0).numpy(), kernel=kernel)
    multiple = trained.model.size_multiple
    margins = [(0, 0), (0, 0), *((0, -side % multiple) for side in size)]
    padded = torch.from_numpy(np.pad(image.numpy(), margins, "symmetric"))
    with torch.no_grad():
        expected = trained.model.restore(padded, torch.from_numpy(kernel)[None, None])
    restored = expected.restored[0, :, : size[0], : size[1]].clamp(0, 1)
    np.testing.assert_allclose(result.image, restored.permute(1, 2, 0), atol=1e-4)
    level = expected.maps[-1][0, 0, : size[0], : size[1]]
    np.testing.assert_allclose(result.guidance, level, atol=1e-5)


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_a_blurred_picture_in_parts_is_that_of_the_whole(
    device: str, deblur_file: Path, astronaut: np.ndarray
) -> None:
    """The maps vary, so that tiles with maps of their own would weigh the noise differently."""
    kernel = _kernel(9, 7)
    rows = np.tile(astronaut[:40, :500], (1, 2, 1)).astype(np.float32) / 255
    noise = np.random.default_rng(0).normal(0, 0.02, rows.shape)
    blurred = (cv2.filter2D(rows, -1, kernel[::-1, ::-1]) + noise).clip(0, 1).astype(np.float32)
    reports: list[float] = []
    whole = hyperguide.load(deblur_file, device=device, threads=1, tile=None)
    parts = hyperguide.load(deblur_file, device=device, threads=1, tile=160)
    ramp = np.linspace(0.03, 0.04, 1000) * np.ones((40, 1))
    scale = np.linspace(0.8, 1.25, 1000) * np.ones((40, 1))
    for dials in ({}, {"guidance": ramp}, {"guidance": 0.05}, {"guidance_scale": scale}):
        expected = whole(blurred, kernel=kernel, **dials)
        result = parts(blurred, kernel=kernel, **dials, report=reports.append)
        assert -10 * np.log10(np.mean((result.image - expected.image) ** 2)) >= 60
        np.testing.assert_allclose(result.guidance, expected.guidance, atol=1e-5)
        assert reports == sorted(reports)
        assert reports.pop() == 1
        assert len(reports) >= 6
        reports.clear()


def test_a_blurred_picture_is_cut_where_memory_is_short(
    deblur_file: Path, astronaut: np.ndarray
) -> None:
    rows, kernel = np.tile(astronaut[:24, :500], (1, 2, 1)), _kernel(5, 5)
    for limit, cut in ((None, False), (1, True)):
        reports: list[float] = []
        enhancer = hyperguide.load(deblur_file, device="cpu", threads=1, max_memory=limit)
        enhancer(rows, kernel=kernel, report=reports.append)
        assert (len(reports) > 2) == cut


def test_tiles_that_see_the_whole_blurred_picture_give_the_whole_result(
    deblur_file: Path, astronaut: np.ndarray
) -> None:
    picture, kernel = astronaut[:40, :200], _kernel(9, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole, parts = (
            hyperguide.load(deblur_file, device="cpu", threads=1, tile=tile)(picture, kernel=kernel)
            for tile in (None, 120)
        )
    assert np.abs(parts.image.astype(int) - whole.image).max() <= 1
    np.testing.assert_allclose(parts.guidance, whole.guidance, atol=1e-5)


def test_without_a_kernel_the_picture_counts_as_sharp(deblur_file: Path) -> None:
    enhancer = hyperguide.load(deblur_file)
    image = (255 * _random(24, 32, 3)).byte().numpy()
    sharp = enhancer(image, kernel=np.ones((1, 1))).image
    np.testing.assert_array_equal(enhancer(image).image, sharp)
    assert (enhancer(image, kernel=_kernel(5, 5)).image != sharp).any()


def test_the_deblurring_file_keeps_the_contract(deblur_file: Path, quick_cli: Cli) -> None:
    model = onnx.load(deblur_file)
    assert model.graph.input[-1].name == "kernel"
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not {"DFT", "STFT", "Loop", "If"} & {node.op_type for node in model.graph.node}
    for device in ("cpu", "openvino"):
        assert quick_cli("verify", deblur_file, "--device", device).code == 0


@pytest.mark.usefixtures("few_crops")
@pytest.mark.parametrize("precision", ["fp16", pytest.param("int8", marks=pytest.mark.long)])
def test_lower_precision_of_a_deblurring_pair(
    precision: Literal["fp16", "int8"],
    trained: TrainedModel,
    deblur_file: Path,
    photos: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "lower.onnx"
    lower = Lower(precision, [photos], steps=1, accept_loss=True)
    exported = export_model(trained, path, lower=lower)
    assert exported.loss is not None
    image = (255 * _random(24, 32, 3)).byte().numpy()
    result = hyperguide.load(path, device="cpu")(image, kernel=_kernel(3, 5))
    assert result.image.shape == image.shape
    operators = read_model_file(path).info.cost["operators"]
    floats = read_model_file(deblur_file).info.cost["operators"]["fp32"]
    # Includes the denoisers of both stages, except the convolutions that enlarge and read the map,
    # and in int8 each denoiser's last one.
    in_floats = 3 if precision == "fp16" else 5
    assert operators[precision]["Conv"] >= floats["Conv"] - in_floats > 8
    if precision == "fp16":
        # Fourier transforms stay as they are, because their sums do not fit into fp16.
        assert operators["fp32"]["MatMul"] == floats["MatMul"]
        assert "Conv" not in operators["fp32"]
        full = hyperguide.load(deblur_file, device="cpu")(image, kernel=_kernel(3, 5))
        assert np.abs(result.image.astype(int) - full.image).max() <= 2


def test_the_command_line_takes_a_kernel(deblur_file: Path, quick_cli: Cli, tmp_path: Path) -> None:
    image, kernel = (255 * _random(24, 32, 3)).byte().numpy(), _kernel(5, 7)
    write_picture(tmp_path / "in.png", image)
    np.save(tmp_path / "kernel.npy", kernel)
    words = ("enhance", "-i", tmp_path / "in.png", "-m", deblur_file)
    result = quick_cli(*words, "-o", tmp_path / "out.png", "--kernel", tmp_path / "kernel.npy")
    assert result.code == 0, result.err
    expected = hyperguide.load(deblur_file)(image, kernel=kernel).image
    np.testing.assert_array_equal(read_picture(tmp_path / "out.png"), expected)
    missing = quick_cli(*words, "-o", tmp_path / "a.png", "--kernel", tmp_path / "none.npy")
    fails(missing, "There is no kernel")
    unknown = quick_cli(*words, "-o", tmp_path / "a.png", "--kernel", tmp_path / "k.jpeg")
    fails(unknown, "is no kernel file", ".npy")


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (np.ones((2, 3)) / 6, "pad it with zeros"),
        (np.ones((3, 3)), "sums up to 9"),
        (-np.ones((3, 3)), "negative"),
        (np.ones(3) / 3, "not a matrix"),
        (np.ones((33, 3)) / 99, "larger than the picture of 32x24"),
    ],
)
def test_a_kernel_that_cannot_be_used_says_why(
    kernel: np.ndarray, words: str, deblur_file: Path
) -> None:
    with pytest.raises(HyperguideError, match=words):
        hyperguide.load(deblur_file)(np.zeros((24, 32, 3), np.uint8), kernel=kernel)


def test_other_tasks_take_no_kernel() -> None:
    with pytest.raises(HyperguideError, match="denoise model takes no kernel"):
        hyperguide.load("denoise")(np.zeros((8, 8, 3), np.uint8), kernel=np.ones((1, 1)))
