"""Files with byte inputs give exactly the bytes that files with float inputs give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import hyperguide
from conftest import Cli, fails
from hyperguide.engines import OnnxRuntimeCpu
from hyperguide.engines.proof import compare_golden
from hyperguide.engines.tensorrt.bindings import open_tensorrt
from hyperguide.engines.tensorrt.build import BuildOptions, build_engine
from hyperguide.errors import HyperguideError
from hyperguide.export.model import Lower, export_model
from hyperguide.model_format.engine_file import read_engine
from hyperguide.model_format.model_file import read_model_file
from hyperguide.picture_files import write_picture
from hyperguide.training.checkpoint import load_run

pytestmark = pytest.mark.usefixtures("few_crops")

every_engine = pytest.mark.parametrize("device", ["cpu", "openvino"])


def _open(path: Path, device: str) -> hyperguide.Enhancer:
    if device == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    return hyperguide.load(path, device=device, threads=1)


@pytest.fixture(scope="module")
def byte_file(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bytes") / "camera.onnx"
    export_model(load_run(run_folder), path, io="uint8")
    return path


@pytest.fixture(scope="module")
def int8_files(
    run_folder: Path, photos: Path, few_crops: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A float file and a byte file with the same weights."""
    folder = tmp_path_factory.mktemp("int8")
    files = {}
    for io in ("float", "uint8"):
        files[io] = folder / f"{io}.onnx"
        lower = Lower("int8", [photos], steps=0, accept_loss=True)
        export_model(load_run(run_folder), files[io], lower=lower, io=io)  # type: ignore[arg-type]
    return files


def _pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_a_host_that_knows_only_onnx_feeds_it_frames(byte_file: Path, exported: Path) -> None:
    session = onnxruntime.InferenceSession(byte_file)
    frames = _pixels(2, 64, 96, 3)
    enhanced, guidance = session.run(["enhanced", "guidance"], {"image": frames})
    expected = hyperguide.load(exported, device="cpu")(frames)
    assert enhanced.dtype == np.uint8
    np.testing.assert_array_equal(enhanced, expected.image)
    np.testing.assert_array_equal(guidance[:, 0], expected.guidance)
    assert np.abs(enhanced.astype(int) - frames).max() > 10


def test_every_byte_value_comes_back_at_strength_0(byte_file: Path) -> None:
    session = onnxruntime.InferenceSession(byte_file)
    frame = np.arange(64 * 96 * 3, dtype=np.int64).astype(np.uint8).reshape(1, 64, 96, 3)
    off = np.zeros((1, 1, 1, 1), np.float32)
    (enhanced,) = session.run(["enhanced"], {"image": frame, "strength": off})
    np.testing.assert_array_equal(enhanced, frame)


@every_engine
@pytest.mark.parametrize("shape", [(33, 47, 3), (2, 40, 64, 3), (33, 47), (33, 47, 4), (9, 9, 2)])
def test_pictures_of_every_layout_come_out_as_from_the_file_of_floats(
    shape: tuple[int, ...], device: str, byte_file: Path, exported: Path
) -> None:
    pixels = _pixels(*shape)
    dials = {"strength": 0.7, "guidance": 0.05, "guidance_mix": 0.5}
    for turned in ({}, dials):
        expected, actual = (_open(file, device)(pixels, **turned) for file in (exported, byte_file))
        # Means of three planes are taken of bytes, not floats; OpenVINO's own conversion divides.
        accepted = 1 if device == "openvino" or shape[-1] not in (3, 4) else 0
        assert np.abs(actual.image.astype(int) - expected.image).max() <= accepted
        np.testing.assert_allclose(actual.guidance, expected.guidance, atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_byte_files_refuse_pictures_of_other_depths_and_name_the_option(
    kind: type, byte_file: Path
) -> None:
    with pytest.raises(HyperguideError, match=r"pictures of bytes, not of .*--io float"):
        hyperguide.load(byte_file, device="cpu")(np.zeros((16, 16, 3), kind))


@every_engine
def test_verify_proves_byte_files(device: str, byte_file: Path, quick_cli: Cli) -> None:
    if device == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    result = quick_cli("verify", byte_file, "--device", device)
    assert result.code == 0, result.err
    compared = 2 if device == "openvino" else 1  # narrow pictures with ONNX Runtime too
    assert result.out.count(": ok") == compared
    assert quick_cli("info", byte_file).out.count("uint8") == 1


def test_verify_notices_a_byte_that_is_two_levels_off(byte_file: Path) -> None:
    """Golden samples of bytes are compared as fractions of their range."""
    file = read_model_file(byte_file)
    engine = OnnxRuntimeCpu(file)
    run = engine.run

    def off_by(levels: int) -> bool:
        def wrong(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            outputs = run(feeds)
            outputs["enhanced"] = outputs["enhanced"].copy()
            flat = outputs["enhanced"].reshape(-1)
            flat[7] = flat[7] - levels if flat[7] > 128 else flat[7] + levels
            return outputs

        engine.run = wrong  # type: ignore[method-assign]
        return all(deviation.passed for deviation in compare_golden(file, engine))

    assert off_by(0)
    assert off_by(1)
    assert not off_by(2)


def test_an_int8_file_of_bytes_equals_that_of_floats(int8_files: dict[str, Path]) -> None:
    pixels = _pixels(1, 40, 64, 3)
    expected, actual = (
        hyperguide.load(int8_files[io], device="cpu")(pixels).image for io in ("float", "uint8")
    )
    np.testing.assert_array_equal(actual, expected)
    assert read_model_file(int8_files["uint8"]).info.precision == "int8"


def test_tensorrt_engines_of_byte_files_take_bytes(
    byte_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plan = BuildOptions(((64, 64), (256, 256), (512, 1024)), targets=("sm89",))
    engine = tmp_path / "camera.engine"
    build_engine(read_model_file(byte_file), engine, plan, open_tensorrt("tensorrt_rtx"))
    info = read_engine(engine).sidecar
    assert info.profiles["image"].most == (1, 512, 1024, 3)
    assert info.model_info(engine).io == "uint8"


def test_the_command_line_exports_byte_files(
    run_folder: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    path = tmp_path / "camera.onnx"
    result = quick_cli("export", run_folder, "-o", path, "--io", "uint8")
    assert result.code == 0, result.err
    assert read_model_file(path).info.io == "uint8"
    photo = tmp_path / "deep.png"
    write_picture(photo, np.zeros((16, 16, 3), np.uint16))
    words = ("-i", photo, "-o", tmp_path / "out.png", "-m", path, "--device", "cpu")
    fails(quick_cli("enhance", *words), "takes pictures of bytes")
    assert not (tmp_path / "out.png").exists()
