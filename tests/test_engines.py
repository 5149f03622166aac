"""Every engine gives the results of plain ONNX Runtime, with all inputs and dials."""

from __future__ import annotations

import ctypes
import importlib.util
import re
import sys
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from importlib.machinery import ModuleSpec
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from made_models import write

import hyperguide
from conftest import TASKS, Cli, fails, printed_by
from hyperguide.arrays import GpuArray
from hyperguide.engines import Engine, OpenVino, Settings, devices, open_engine, opening
from hyperguide.engines.byte_graph import of_bytes
from hyperguide.engines.devices import PROVIDERS
from hyperguide.engines.libraries import OLDEST
from hyperguide.engines.onnx_runtime import OnnxRuntimeCuda
from hyperguide.enhancer import Enhancer
from hyperguide.errors import HyperguideError, UnavailableError
from hyperguide.export.model import seal
from hyperguide.model_format.bundled import bundled_models, bundled_path, model_path
from hyperguide.model_format.contract import DIALS
from hyperguide.model_format.model_file import ModelFile, read_model_file
from hyperguide.picture_files import encode_map, read_map, write_picture
from hyperguide.pixels import from_tensor, to_tensor
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.loader import Loader
from made_data import STAGE, small_preset

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
    ),
    pytest.mark.lowest,
]


def _pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shape", [(33, 47, 3), (2, 40, 64, 3), (33, 47), (33, 47, 4)])
def test_openvino_gives_the_bytes_of_onnx_runtime(task: str, shape: tuple[int, ...]) -> None:
    pixels = _pixels(*shape)
    expected, actual = (
        hyperguide.load(task, device=device, threads=1)(pixels) for device in ("cpu", "openvino")
    )
    assert actual.image.shape == expected.image.shape
    assert actual.image.dtype == np.uint8
    assert actual.image.flags["C_CONTIGUOUS"]
    # Sums in another order may be rounded to the other side of a half.
    apart = np.abs(actual.image.astype(int) - expected.image)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.001
    # The rain map is a steep function of the sums in its last layer.
    np.testing.assert_allclose(actual.guidance, expected.guidance, atol=3e-5)


@pytest.mark.parametrize(
    "path", [p for p in bundled_models() if p.stem.endswith("int8")], ids=lambda path: path.stem
)
def test_openvino_gives_the_same_for_bytes_and_floats_in_int8(path: Path) -> None:
    """Bytes and floats have separate graphs, as do batches; OpenVINO may take bytes as quantised.

    When it did, the rain map was off by 0.008 on average.
    """
    pixels = _pixels(45, 67, read_model_file(path).info.channels)
    with hyperguide.load(path, device="openvino", threads=1) as enhancer:
        of_bytes = enhancer(pixels)
        of_floats = enhancer(pixels * np.float32(1 / 255))
        of_batch = enhancer(np.stack([pixels, pixels[::-1]]))
    np.testing.assert_array_equal(of_bytes.guidance, of_floats.guidance)
    apart = np.abs(of_bytes.image - of_floats.image * 255)
    assert apart.max() < 0.501  # of a level; rounding accounts for a half
    np.testing.assert_array_equal(of_batch.guidance[0], of_bytes.guidance)
    np.testing.assert_array_equal(of_batch.image[0], of_bytes.image)


# Prints whether this thread's signal handlers have no separate stack in unmapped memory.
_SIGNAL_STACK = """
import ctypes, sys
import hyperguide

class Stack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

enhancers = [hyperguide.load("denoise", device="openvino", threads=1) for _ in range(2)]
for enhancer in enhancers:
    enhancer.close()
enhancers.clear()
stack = Stack()
assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
disabled = bool(stack.flags & 2)  # SS_DISABLE
with open("/proc/self/maps") as file:
    ranges = [[int(end, 16) for end in line.split()[0].split("-")] for line in file]
print(disabled or any(low <= stack.start < high for low, high in ranges))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="signal stacks are read from /proc")
def test_signals_have_a_stack_when_openvino_engines_are_gone() -> None:
    assert printed_by(_SIGNAL_STACK).strip() == "True"


@pytest.mark.parametrize(
    "dials",
    [
        {},
        {"strength": 0.5},
        {"guidance": 0.1},
        {"guidance": 0.1, "guidance_mix": 0.5, "guidance_scale": 2.0, "strength": 1.5},
        {"strength": np.linspace(0, 1, 33 * 47, dtype=np.float32).reshape(33, 47)},
    ],
)
def test_openvino_takes_every_dial(dials: dict[str, Any]) -> None:
    image = _pixels(33, 47, 3).astype(np.float32) / 255
    expected, actual = (
        hyperguide.load("denoise", device=device, threads=1)(image, **dials)
        for device in ("cpu", "openvino")
    )
    np.testing.assert_allclose(actual.image, expected.image, atol=1e-5)
    np.testing.assert_allclose(actual.guidance, expected.guidance, atol=1e-5)


def _turned_dials(file: ModelFile) -> list[dict[str, Any]]:
    """Dials as streams and masks turn them, for pictures of 64x48."""
    ramp = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    given = 0.9 * file.info.guidance.maximum * ramp[::-1]
    settings: list[dict[str, Any]] = [
        {"strength": 0.7},
        {"strength": ramp},
        {"guidance": given, "guidance_mix": 0.8},
        {"guidance": given, "guidance_mix": 0.8 * ramp.T.reshape(48, 64)},
        {"guidance": 0.1, "guidance_mix": 0.5, "guidance_scale": 1.4, "strength": 1.2},
    ]
    if file.info.task == "deblur":
        settings.append({"kernel": np.full((3, 5), 1 / 15), "guidance_scale": 0.8})
    return settings


def _two_pictures(file: ModelFile) -> np.ndarray:
    pixels = _pixels(48, 64, file.info.channels).reshape(48, 64, -1)
    return np.stack([pixels, pixels[::-1]])


@pytest.mark.parametrize(
    "path", [p for p in bundled_models() if not p.stem.endswith("int8")], ids=lambda path: path.stem
)
def test_pictures_stay_bytes_in_openvino_when_dials_are_turned(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against ONNX Runtime on floats."""
    file = read_model_file(path)
    exact = hyperguide.load(path, device="cpu", threads=1)
    bytes_only = hyperguide.load(path, device="openvino", threads=1)
    monkeypatch.setattr(OpenVino, "run", None)  # takes floats
    batch = _two_pictures(file)
    # The rain map is a steep function of the sums in its last layer.
    tolerance = 1e-4 if file.info.task == "derain" else 1e-5
    for dials in _turned_dials(file):
        for pixels in (batch[0], batch):
            expected, actual = exact(pixels, **dials), bytes_only(pixels, **dials)
            apart = np.abs(actual.image.astype(int) - expected.image)
            assert apart.max() <= 1, dials
            assert (apart > 0).mean() < 0.002, dials
            np.testing.assert_allclose(
                actual.guidance, expected.guidance, atol=tolerance, err_msg=str(dials)
            )


@pytest.mark.parametrize(
    "path", [p for p in bundled_models() if p.stem.endswith("int8")], ids=lambda path: path.stem
)
def test_dials_turn_bytes_as_they_turn_floats_in_int8(path: Path) -> None:
    """On OpenVINO alone: engines round differently before they quantise."""
    file = read_model_file(path)
    batch = _two_pictures(file)
    with hyperguide.load(path, device="openvino", threads=1) as enhancer:
        for dials in _turned_dials(file):
            floats = enhancer(batch * np.float32(1 / 255), **dials)
            for pixels, expected in ((batch[0], floats.image[0]), (batch, floats.image)):
                actual = enhancer(pixels, **dials)
                apart = np.abs(actual.image - expected * 255)
                assert apart.max() < 0.501, dials  # of a level; rounding accounts for a half
                maps = actual.guidance.reshape(-1, 48, 64)
                np.testing.assert_array_equal(maps, floats.guidance[: len(maps)])


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("task", TASKS)
def test_a_ramp_of_10_bits_keeps_its_levels_where_little_is_removed(task: str, device: str) -> None:
    ramp = np.broadcast_to(np.arange(1024, dtype=np.uint16)[:, None] * 64, (32, 1024, 3))
    result = hyperguide.load(task, device=device, threads=1)(ramp.copy(), strength=0.01)
    assert min(len(np.unique(result.image[16, :, plane])) for plane in range(3)) >= 1000


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("task", TASKS)
def test_a_map_that_was_saved_gives_the_same_picture_again(
    task: str, device: str, tmp_path: Path
) -> None:
    enhancer = hyperguide.load(task, device=device, threads=1)
    pixels = _pixels(64, 96, 3) // 4 + 80
    first = enhancer(pixels)
    assert first.guidance is not None
    write_picture(tmp_path / "map.png", encode_map(first.guidance, enhancer.info.guidance))
    saved = read_map(str(tmp_path / "map.png"), enhancer.info.guidance)
    again = enhancer(pixels, guidance=saved)
    assert np.abs(again.image.astype(int) - first.image).max() <= 1


def test_a_model_file_may_be_replaced_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(bundled_path("denoise", "fast").read_bytes())
    for device in ("cpu", "openvino"):
        enhancer = hyperguide.load(path, device=device, threads=1)
        before = enhancer(_pixels(32, 48, 3)).image
        path.write_bytes(b"something else")
        np.testing.assert_array_equal(enhancer(_pixels(32, 48, 3)).image, before)
        softer = enhancer(_pixels(32, 48, 3), strength=0.5).image  # compiled by OpenVINO only now
        assert not np.array_equal(softer, before)
        path.write_bytes(bundled_path("denoise", "fast").read_bytes())


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_an_engine_computes_as_many_calls_at_once_as_asked_for(device: str) -> None:
    """Compares concurrent calls with single ones."""
    enhancer = hyperguide.load("denoise", device=device, threads=1, at_once=3)
    pictures = [_pixels(48, 64, 3, seed=i) for i in range(9)]
    expected = [enhancer(picture).image for picture in pictures]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda picture: enhancer(picture).image, pictures))
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    if device == "openvino":
        idle = enhancer._runner.engine._idle("picture")  # type: ignore[attr-defined]
        assert idle.qsize() == 3
    for wrong in ({"at_once": 0}, {"threads": -1}):
        with pytest.raises(HyperguideError, match="at least"):
            hyperguide.load("denoise", device=device, **wrong)


def test_cores_are_shared_among_the_calls_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert [Settings(at_once=n).threads_of_call for n in (1, 2, 4, 16, 99)] == [0, 8, 4, 1, 1]
    assert Settings(threads=3, at_once=4).threads_of_call == 3


def test_two_enhancers_at_once_do_not_mix() -> None:
    names = ("denoise", "derain", "dehaze")
    enhancers = [
        hyperguide.load(name, device=device, threads=1)
        for name in names
        for device in ("cpu", "openvino")
    ]
    pixels = _pixels(48, 64, 3)
    expected = [enhancer(pixels).image for enhancer in enhancers]
    with ThreadPoolExecutor(len(enhancers)) as pool:
        for _ in range(3):
            results = list(pool.map(lambda enhancer: enhancer(pixels).image, enhancers))
            for one, other in zip(results, expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_results_are_not_overwritten_by_later_calls_and_other_threads() -> None:
    enhancer = hyperguide.load("denoise", device="openvino", threads=1)
    pictures = [_pixels(16 * (i % 3 + 1), 32, 3, seed=i) for i in range(24)]
    expected = [enhancer(picture).image for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda picture: enhancer(picture).image, pictures))
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_defaults_the_dials_must_be_given() -> None:
    file = read_model_file(bundled_path("denoise", "fast"))
    before = onnx.load_from_string(file.content)
    after = onnx.load_from_string(file.with_inputs())
    names = {tensor.name for tensor in after.graph.initializer}
    assert names == {tensor.name for tensor in before.graph.initializer} - DIALS.keys()
    del before.graph.initializer[:], after.graph.initializer[:]
    assert before == after


def test_auto_takes_onnx_runtime_for_fp32_files_and_says_why() -> None:
    enhancer = hyperguide.load("denoise")
    assert enhancer.engine == "ONNX Runtime, CPU"
    assert enhancer.why == "there is no NVIDIA driver on this machine"
    assert hyperguide.load("denoise", device="openvino").why == "it was asked for"


def test_auto_goes_on_where_an_engine_is_missing_or_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(model: ModelFile, threads: int) -> Engine:
        raise HyperguideError("ONNX Runtime is out of order.")

    monkeypatch.setattr(opening, "OnnxRuntimeCpu", refuse)
    enhancer = hyperguide.load("denoise")
    assert enhancer.engine == "OpenVINO, CPU"
    assert enhancer.why.endswith("; ONNX Runtime is out of order")
    with pytest.raises(HyperguideError, match="out of order"):
        hyperguide.load("denoise", device="cpu")
    monkeypatch.setattr(devices, "is_installed", lambda package: False)
    with pytest.raises(HyperguideError, match=r"No engine here runs .*hyperguide\[cpu\]"):
        hyperguide.load("denoise")


def test_pictures_in_an_engines_own_memory_are_bound_without_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Uses ONNX Runtime's I/O binding, with CPU memory in place of a GPU's."""
    file = read_model_file(bundled_path("denoise", "fast"))
    monkeypatch.setattr(OnnxRuntimeCuda, "memory", "cpu")
    monkeypatch.setitem(PROVIDERS, "cuda", "CPUExecutionProvider")
    engine = OnnxRuntimeCuda(file)
    image = np.random.default_rng(0).random((1, 3, 32, 48), np.float32)
    dials = {"strength": np.full((1, 1, 1, 1), 0.5, np.float32)}
    given = GpuArray(image.ctypes.data, image.shape, image.dtype, image)
    for feeds in ({}, dials):
        results = engine.run_on_gpu(given, feeds)
        expected = engine.run({"image": image, **feeds})
        for name, result in results.items():
            pointer = ctypes.cast(result.address, ctypes.POINTER(ctypes.c_float))
            held = np.ctypeslib.as_array(pointer, result.shape)
            np.testing.assert_array_equal(held, expected[name])
        outputs, times = engine.run_timed({"image": image, **feeds})
        for name, output in outputs.items():
            np.testing.assert_array_equal(output, expected[name])
        assert min(times.copy_in, times.compute, times.copy_out) > 0
        assert times.compute == max(times.copy_in, times.compute, times.copy_out)


@pytest.mark.parametrize("name", [path.stem for path in bundled_models()])
def test_bytes_are_converted_on_the_gpu_as_the_runtime_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph passes ONNX's checker and matches the runtime's conversions bit for bit.

    Runs on the CPU in place of a GPU.
    """
    monkeypatch.setattr(OnnxRuntimeCuda, "memory", "cpu")
    monkeypatch.setitem(PROVIDERS, "cuda", "CPUExecutionProvider")
    file = read_model_file(model_path(name))
    for has_dials, inputs in ((False, ["image"]), (True, list(file.inputs))):
        graph = onnx.load_from_string(of_bytes(file, has_dials))
        onnx.checker.check_model(graph, full_check=True)
        assert [value.name for value in graph.graph.input] == inputs
    shape = (2, 64, 96, file.info.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    tensor, layout = to_tensor(pixels, file.info.channels)
    given = np.linspace(0, 0.1, 64 * 96, dtype=np.float32).reshape(1, 1, 64, 96)
    turned = {
        "guidance_in": given,
        "guidance_mix": 8 * given,
        "strength": np.full((1, 1, 1, 1), 0.7, np.float32),
    }
    with closing(OnnxRuntimeCuda(file)) as engine:
        for dials in ({}, turned):
            expected = engine.run({"image": tensor, **dials})
            timed, _ = engine.run_timed({"image": pixels, **dials})
            for outputs in (engine.run_bytes(pixels, dials), timed):
                planes = from_tensor(expected["enhanced"], pixels, layout)
                np.testing.assert_array_equal(outputs["enhanced"], planes)
                np.testing.assert_allclose(outputs["guidance"], expected["guidance"], atol=1e-6)
            np.testing.assert_array_equal(engine.run_image(pixels, dials), outputs["enhanced"])
            alone = engine.run_image(tensor, dials)
            np.testing.assert_array_equal(alone, expected["enhanced"])
    with pytest.raises(HyperguideError, match="was closed"):
        engine.run_bytes(pixels, {})


def test_pixels_of_nan_are_refused_though_the_engine_takes_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(OnnxRuntimeCuda, "memory", "cpu")
    monkeypatch.setitem(PROVIDERS, "cuda", "CPUExecutionProvider")
    file = read_model_file(bundled_path("denoise", "fast"))
    graph = onnx.load_from_string(file.content)
    bias = next(i for i in graph.graph.initializer if i.name == "reconstruction.tail.bias")
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] = np.nan
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    spoilt = replace(file, content=graph.SerializeToString())
    with closing(OnnxRuntimeCuda(spoilt)) as engine:
        outputs = engine.run_bytes(np.zeros((1, 32, 48, 3), np.uint8), {})
        assert np.isnan(outputs["guidance"]).any()
        enhancer = Enhancer(spoilt, engine)
        for with_map in (True, False):
            with pytest.raises(HyperguideError, match="computed NaN or infinity"):
                enhancer(np.zeros((32, 48, 3), np.uint8), with_map=with_map)


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_picture_without_its_map_is_the_same(device: str, kind: type) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 37, 50, 3)).astype(kind)
    if kind is np.float32:
        pictures /= 255
    dials = {"strength": 0.7, "guidance": 0.02, "guidance_mix": 0.5}
    with hyperguide.load("denoise", device=device, threads=1) as enhancer:
        for image in (pictures[0], pictures):
            for turned in ({}, dials):
                both = enhancer(image, **turned)
                alone = enhancer(image, **turned, with_map=False)
                assert both.guidance is not None
                assert alone.guidance is None
                np.testing.assert_array_equal(alone.image, both.image)
        tiled = hyperguide.load("denoise", device=device, threads=1, tile=32)
        assert tiled(pictures[0], with_map=False).guidance is None


def test_a_map_of_nan_is_refused_by_openvino_even_if_it_is_not_wanted() -> None:
    file = read_model_file(bundled_path("denoise", "fast"))
    graph = onnx.load_from_string(file.content)
    for node in graph.graph.node:
        node.output[:] = ["own" if name == "guidance" else name for name in node.output]
        node.input[:] = ["own" if name == "guidance" else name for name in node.input]
    nan = onnx.numpy_helper.from_array(np.full((1, 1, 1, 1), np.nan, np.float32), "nan")
    graph.graph.initializer.append(nan)
    graph.graph.node.append(onnx.helper.make_node("Mul", ["own", "nan"], ["guidance"]))
    broken = replace(file, content=graph.SerializeToString())
    colored = np.arange(32 * 48 * 3, dtype=np.uint8).reshape(32, 48, 3)
    with closing(OpenVino(broken, threads=1)) as engine:
        enhancer = Enhancer(broken, engine)
        for with_map in (True, False):
            with pytest.raises(HyperguideError, match="computed NaN or infinity"):
                enhancer(colored, with_map=with_map)


def test_a_strict_gpu_leaves_nothing_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks the options passed to ONNX Runtime, which cannot start without a GPU."""
    file = read_model_file(bundled_path("denoise", "fast"))
    told: dict[bool, list[Any]] = {}
    for strict in (False, True):

        def start(
            content: bytes, options: Any, providers: list[Any], strict: bool = strict, **more: Any
        ) -> Any:
            key = "session.disable_cpu_ep_fallback"
            told[strict] = [_entry(options, key), [name for name, *_ in map(_tuple, providers)]]
            raise RuntimeError("no GPU")

        monkeypatch.setattr("onnxruntime.InferenceSession", start)
        with pytest.raises(UnavailableError, match="CUDA 0 does not start: no GPU"):
            OnnxRuntimeCuda(file, strict=strict)
    assert told[False] == [None, ["CUDAExecutionProvider", "CPUExecutionProvider"]]
    assert told[True] == ["1", ["CUDAExecutionProvider"]]


def test_a_gpu_finds_cudas_libraries_in_their_packages_and_says_why_it_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Imitates what ONNX Runtime 1.31 prints and raises on a GPU machine without TensorRT."""
    loaded: list[str] = []

    def preload() -> None:
        loaded.append("libraries")
        print("Failed to load libcufft.so.12")

    def start(*given: Any, **more: Any) -> Any:
        assert loaded == ["libraries"]
        assert more == {"enable_fallback": 0}  # otherwise it prints and falls back to the CPU
        raise RuntimeError(
            "/onnxruntime_src/onnxruntime/python/onnxruntime_pybind_state.cc:729 void onnxruntime::"
            "python::RegisterTensorRTPluginsAsCustomOps(PySessionOptions&, const onnxruntime::"
            "ProviderOptions&) Please install TensorRT libraries\n"
        )

    monkeypatch.setattr("onnxruntime.preload_dlls", preload, raising=False)
    monkeypatch.setattr("onnxruntime.InferenceSession", start)
    file = read_model_file(bundled_path("denoise", "fast"))
    with pytest.raises(UnavailableError, match=r"CUDA 0 does not start: Please install TensorRT"):
        OnnxRuntimeCuda(file)
    assert capfd.readouterr().out == ""


def _tuple(provider: Any) -> tuple[Any, ...]:
    return provider if isinstance(provider, tuple) else (provider,)


def _entry(options: Any, key: str) -> str | None:
    try:
        return str(options.get_session_config_entry(key))
    except RuntimeError:  # not set
        return None


def _computes_bf16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_floats_are_computed_in_bf16_on_request_only() -> None:
    if not _computes_bf16():
        with pytest.raises(HyperguideError, match="This processor does not compute in bf16"):
            hyperguide.load("denoise", precision="bf16", threads=1)
        pytest.skip("this processor does not compute in bf16")
    pixels = _pixels(64, 96, 3)
    exact = hyperguide.load("denoise", device="openvino", threads=1)
    rounded = hyperguide.load("denoise", precision="bf16", threads=1)
    assert rounded.engine == "OpenVINO, CPU in bf16"
    assert "only openvino computes fp32 files in bf16" in rounded.why
    one, other = (e(pixels.astype(np.float32) / 255).image for e in (exact, rounded))
    assert 1e-5 < np.abs(one - other).max() < 0.05
    with pytest.raises(HyperguideError, match="only openvino computes fp32 files in bf16"):
        hyperguide.load("denoise", precision="bf16", device="cpu")


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_a_closed_enhancer_says_so(device: str) -> None:
    with hyperguide.load("denoise", device=device, threads=1) as enhancer:
        enhancer(_pixels(16, 16, 3))
        gray = enhancer(_pixels(16, 16))
    assert gray.image.shape == (16, 16)
    for picture in (_pixels(16, 16, 3), _pixels(16, 16)):
        for strength in (1, 0):
            with pytest.raises(HyperguideError, match="was closed: load it again"):
                enhancer(picture, strength=strength)
    unused = hyperguide.load("denoise", device=device, threads=1)
    unused.close()
    with pytest.raises(HyperguideError, match="was closed: load it again"):
        unused(_pixels(16, 16))  # would have opened another engine


_SIZES = """
import numpy as np, hyperguide
from hyperguide.memory import used_bytes
enhancer = hyperguide.load("denoise", device="openvino", threads=1)
rng = np.random.default_rng(0)
for count in (40, 120):
    for _ in range(count):
        enhancer(np.zeros((*rng.integers(16, 200, 2), 3), np.uint8))
    print(used_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's tables")
def test_openvino_keeps_no_memory_for_every_size() -> None:
    before, after = map(int, printed_by(_SIZES).split())
    assert after - before < 60 << 20, (before, after)


def test_tensors_of_the_host_are_taken_by_dlpack() -> None:
    enhancer = hyperguide.load("denoise", device="cpu", threads=1)
    pixels = _pixels(32, 48, 3)
    expected = enhancer(pixels)
    result = enhancer(torch.from_numpy(pixels))
    np.testing.assert_array_equal(result.image, expected.image)
    assert torch.equal(torch.from_dlpack(result.image), torch.from_numpy(expected.image))
    for other in ([[0.5]], "photo.png", torch.zeros(4, 4, dtype=torch.bfloat16)):
        with pytest.raises(HyperguideError, match="must be a numpy array or speak DLPack"):
            enhancer(other)


@pytest.mark.parametrize("device", ["auto", "cpu", "openvino"])
def test_verify_runs_on_every_device(device: str, cli: Cli) -> None:
    result = cli("verify", "denoise", "--device", device)
    assert result.code == 0, result.err
    assert ("OpenVINO" in result.out) == (device == "openvino")


def test_auto_takes_openvino_for_int8_only_if_it_computes_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = bundled_path("denoise", "fast", "int8")
    pixels = _pixels(40, 64, 3)
    assert hyperguide.load(path, threads=1).engine == "OpenVINO, CPU"
    run = OpenVino.run

    def off(self: OpenVino, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: values + 0.5 for name, values in run(self, feeds).items()}

    monkeypatch.setattr(OpenVino, "run", off)
    enhancer = hyperguide.load(path, threads=1)
    assert enhancer.engine == "ONNX Runtime, CPU"
    assert f"OpenVINO, CPU computes {path} wrong" in enhancer.why
    expected = hyperguide.load(path, device="cpu", threads=1)(pixels).image
    np.testing.assert_array_equal(enhancer(pixels).image, expected)


def test_an_unknown_device_names_those_that_there_are() -> None:
    for device in ("npu", "cpu:1", "cuda:x", "cuda:", ":0", ""):
        with pytest.raises(HyperguideError, match=r"Unknown device.*cpu \| openvino \| cuda\[:N\]"):
            hyperguide.load("denoise", device=device)


@pytest.mark.parametrize(("device", "package"), [("cpu", "onnxruntime"), ("openvino", "openvino")])
def test_an_engine_that_is_missing_is_named_with_its_extra(
    device: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str) -> ModuleSpec | None:
        return None if name == package else ModuleSpec(name, None)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(HyperguideError, match=f"pip install 'hyperguide\\[{device}\\]'"):
        hyperguide.load("denoise", device=device)


@pytest.mark.parametrize(("device", "package"), [("cpu", "onnxruntime"), ("openvino", "openvino")])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("raise ImportError('libengine.so.1: no such file')", r"not load, libengine.*reinstall"),
        ("__version__ = '1.9.0-dev'", r"1\.9\.0-dev is too old, .* --upgrade"),
        ("__version__ = '2099.1'", r"2099\.1 is installed but has no \w+: .* --force-reinstall"),
    ],
)
def test_an_engine_that_is_damaged_or_too_old_says_so_and_auto_takes_another(
    device: str,
    package: str,
    content: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / f"{package}.py").write_text(content)
    importlib.import_module(package)  # so that it is restored after the test
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package)
    sentence = rf"{package} .*{sentence} 'hyperguide\[{device}\]'"
    with pytest.raises(UnavailableError, match=sentence):
        hyperguide.load("denoise", device=device)
    # int8 files prefer OpenVINO, float files prefer ONNX Runtime.
    enhancer = hyperguide.load("denoise", precision="fp32" if device == "cpu" else "int8")
    assert enhancer.engine == ("OpenVINO, CPU" if device == "cpu" else "ONNX Runtime, CPU")
    assert re.search(sentence, enhancer.why)


def test_engines_are_as_new_as_the_package_requires() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    required = str(project["optional-dependencies"])
    for module, oldest in OLDEST.items():
        assert re.search(rf"\b{module.replace('_', '-')}[-\w]*>={re.escape(oldest)}\b", required)


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_a_file_that_the_engine_rejects_is_one_sentence(
    device: str, cli: Cli, tmp_path: Path
) -> None:
    proto = onnx.load(bundled_path("denoise", "fast"))
    last = next(node for node in proto.graph.node if "enhanced" in node.output)
    del last.input[:], last.attribute[:]
    last.op_type = "Mul"  # of a picture and an integer, which have no common type
    last.input.extend(["image", "whole"])
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(2), "whole"))
    seal(proto)
    onnx.save(proto, tmp_path / "broken.onnx")
    with pytest.raises(HyperguideError, match=r"rejects .*broken\.onnx"):
        open_engine(read_model_file(tmp_path / "broken.onnx"), device)
    picture = tmp_path / "in.png"
    write_picture(picture, _pixels(8, 8, 3))
    words = ("-m", tmp_path / "broken.onnx", "--device", device)
    fails(cli("enhance", "-i", picture, "-o", tmp_path / "out.png", *words), "broken.onnx")


def test_training_beside_openvino_forks_no_workers(photos: Path, tmp_path: Path) -> None:
    hyperguide.load("denoise", device="openvino")
    drawn = []
    for workers in (0, 2):
        data = open_data(small_preset(), [photos])
        with Loader(data, repeat(("train", 0, STAGE)), workers, seed=0) as loader:
            assert not loader.processes
            drawn.append(next(loader).sample.degraded)
    assert torch.equal(*drawn)


def test_a_file_that_is_too_new_for_an_engine_goes_to_the_next(tmp_path: Path) -> None:
    model = onnx.load(bundled_path("denoise", "fast"))
    model.ir_version = 99
    path = write(tmp_path / "new.onnx", model)
    with pytest.raises(HyperguideError, match=r"ONNX Runtime rejects.*IR version"):
        open_engine(read_model_file(path), "cpu")
    assert open_engine(read_model_file(path)).name == "OpenVINO, CPU"
