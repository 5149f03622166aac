"""Sessions for single sizes of pictures; the CPU provider stands in for the GPU's."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import hyperguide
from hyperguide.engines.byte_graph import of_bytes
from hyperguide.engines.devices import PROVIDERS
from hyperguide.engines.fixed_sizes import Key
from hyperguide.engines.onnx_runtime import OnnxRuntimeCpu, OnnxRuntimeCuda
from hyperguide.enhancer import Enhancer
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import bundled_path, model_path
from hyperguide.model_format.model_file import read_model_file


@pytest.fixture(autouse=True)
def cpu_as_gpu(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Sessions that were started: the sides that were fixed, and the provider's settings."""
    started: list[dict[str, Any]] = []
    begin = onnxruntime.InferenceSession
    override = onnxruntime.SessionOptions.add_free_dimension_override_by_name
    fixed: dict[str, int] = {}

    def note(options: Any, name: str, length: int) -> None:
        fixed[name] = length
        override(options, name, length)

    def start(content: bytes, options: Any, providers: list[Any], **more: Any) -> Any:
        started.append({"sides": dict(fixed), "settings": dict(providers[0][1])})
        fixed.clear()
        return begin(content, options, ["CPUExecutionProvider"], **more)

    monkeypatch.setattr(OnnxRuntimeCuda, "memory", "cpu")
    monkeypatch.setitem(PROVIDERS, "cuda", "CPUExecutionProvider")
    monkeypatch.setattr(onnxruntime.SessionOptions, override.__name__, note)
    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    return started


def _picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), np.uint8)


@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("task", ["denoise", "dehaze", "deblur"])
def test_prepared_sizes_give_the_same_pictures(
    task: str, records: bool, cpu_as_gpu: list[dict[str, Any]]
) -> None:
    file = read_model_file(bundled_path(task, "fast"))
    strength = np.full((1, 1, 1, 1), 0.5, np.float32)
    dials = {"strength": strength, "guidance_in": np.full((1, 1, 64, 96), 0.05, np.float32)}
    dials["guidance_mix"] = np.linspace(0, 1, 64 * 96, dtype=np.float32).reshape(1, 1, 64, 96)
    if task == "deblur":
        dials["kernel"] = np.full((1, 1, 5, 7), 1 / 35, np.float32)
    with closing(OnnxRuntimeCuda(file, records=records)) as engine, engine.preparing():
        for turned in ({}, dials):
            for seed in range(2):
                pixels = _picture(64, 96, seed)
                planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / 255
                expected = OnnxRuntimeCpu(file, 1).run({"image": planes, **turned})
                found = engine.run_bytes(pixels, turned)
                rounded = np.round(expected["enhanced"] * 255).transpose(0, 2, 3, 1)
                assert np.abs(found["enhanced"] - rounded).max() <= 1
                np.testing.assert_allclose(found["guidance"], expected["guidance"], atol=1e-5)
                np.testing.assert_array_equal(engine.run_image(pixels, turned), found["enhanced"])
                floats = engine.run({"image": planes, **turned})
                np.testing.assert_allclose(floats["enhanced"], expected["enhanced"], atol=1e-4)
                timed, times = engine.run_timed({"image": pixels, **turned})
                np.testing.assert_array_equal(timed["enhanced"], found["enhanced"])
                assert times.compute > 0
        assert len(engine._fixed) == 4
    fixed = [start for start in cpu_as_gpu if start["sides"]]
    image = {"N": 1, "H": 64, "W": 96}
    assert [start["sides"] == image for start in fixed] == [True, True, False, False]
    assert all(start["sides"]["guidance_mix_W"] == 96 for start in fixed[2:])
    recorded = ["enable_cuda_graph" in start["settings"] for start in fixed]
    assert recorded == [records] * 4


def test_with_known_sizes_no_shapes_are_computed(tmp_path: Path) -> None:
    """ONNX Runtime accepts lengths that no dimension has, so the operators are counted."""
    file = read_model_file(bundled_path("deblur", "fast"))
    image, kernel = np.zeros((1, 64, 96, 3), np.uint8), np.zeros((1, 1, 15, 15), np.float32)
    key = Key.of({"image": image, "kernel": kernel})
    counts = []
    for sides in ({}, key.sides):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        options.log_severity_level = 4
        for name, length in sides.items():
            options.add_free_dimension_override_by_name(name, length)
        content = of_bytes(file, dials=True, required=key.turned)
        onnxruntime.InferenceSession(content, options, [("CPUExecutionProvider", {})])
        nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
        counts.append((len(nodes), sum(node.op_type in ("Shape", "Range") for node in nodes)))
    assert counts[1][0] < 0.75 * counts[0][0]
    assert counts[0][1] > counts[1][1] == 0


def test_results_are_not_overwritten_by_the_next_call() -> None:
    file = read_model_file(bundled_path("denoise", "fast"))
    with closing(OnnxRuntimeCuda(file, records=True)) as engine, engine.preparing():
        first = [engine.run_bytes(_picture(32, 64, 1), {}) for _ in range(2)][-1]
        kept = {name: value.copy() for name, value in first.items()}
        engine.run_bytes(_picture(32, 64, 2), {})
        for name, value in kept.items():
            np.testing.assert_array_equal(first[name], value)


def test_sessions_are_bounded_over_many_sizes(cpu_as_gpu: list[dict[str, Any]]) -> None:
    """More sizes than are kept, in turn, start no session each time."""
    file = read_model_file(model_path("denoise-live"))
    with closing(OnnxRuntimeCuda(file)) as engine, engine.preparing():
        for number in range(100):
            engine.run_bytes(_picture(32, 32 + 32 * number), {})
            assert len(engine._fixed) <= 4
        for _ in range(3):
            for number in range(6):
                engine.run_bytes(_picture(64, 32 + 32 * number), {})
        for _ in range(80):
            engine.run_bytes(_picture(32, 32), {})
        assert len(engine._fixed) == 4
    starts = [start["sides"] for start in cpu_as_gpu if start["sides"]]
    assert len(starts) <= 4 + 100 // 64 + 4
    assert starts[-1] != {"N": 1, "H": 64, "W": 192}


def test_parts_of_large_pictures_are_not_prepared(cpu_as_gpu: list[dict[str, Any]]) -> None:
    file = read_model_file(model_path("denoise-live"))
    engine = OnnxRuntimeCuda(file)
    with closing(Enhancer(file, engine, tile=64)) as enhancer, enhancer.preparing():
        tiled = enhancer(_picture(200, 900)[0])
        assert len(engine._fixed) == 0
    with closing(Enhancer(file, OnnxRuntimeCpu(file, 1), tile=64)) as enhancer:
        apart = np.abs(tiled.image.astype(int) - enhancer(_picture(200, 900)[0]).image)
    assert apart.max() <= 1


def test_gray_pictures_are_prepared_too(cpu_as_gpu: list[dict[str, Any]]) -> None:
    with hyperguide.load("denoise", device="cpu", threads=1) as enhancer:
        gray = read_model_file(model_path("denoise-gray-fast"))
        engine = OnnxRuntimeCuda(gray)
        enhancer._open_gray = lambda: Enhancer(gray, engine)
        enhancer(_picture(32, 64)[0, ..., :1])
        assert len(engine._fixed) == 0
        with enhancer.stream(temporal=False) as stream:
            stream(_picture(32, 64)[0, ..., :1])
        assert len(engine._fixed) == 1


def test_a_session_that_starts_holds_up_no_other_size(monkeypatch: pytest.MonkeyPatch) -> None:
    start, may_go, began = OnnxRuntimeCuda._start, threading.Event(), threading.Event()

    def slow(self: Any, content: bytes, sides: Any = None, settings: Any = None) -> Any:
        if sides:
            began.set()
            assert may_go.wait(60)
        return start(self, content, sides, settings)

    monkeypatch.setattr(OnnxRuntimeCuda, "_start", slow)
    file = read_model_file(model_path("denoise-live"))
    engine = OnnxRuntimeCuda(file)

    def prepared() -> np.ndarray:
        with engine.preparing():
            return engine.run_bytes(_picture(32, 64), {})["enhanced"]

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(prepared)
        assert began.wait(60)
        engine.run_bytes(_picture(32, 96), {})
        prepared()  # by the session for all sizes
        engine.close()
        may_go.set()
        with pytest.raises(HyperguideError, match="was closed"):
            first.result(60)
    assert len(engine._fixed) == 0  # none is kept after closing


def test_only_sizes_that_were_prepared_have_sessions_of_their_own(
    cpu_as_gpu: list[dict[str, Any]],
) -> None:
    file = read_model_file(model_path("denoise-live"))
    engine = OnnxRuntimeCuda(file)
    with closing(Enhancer(file, engine)) as enhancer:
        for _ in range(3):
            enhancer(_picture(32, 64)[0])
        assert len(engine._fixed) == 0
        enhancer.warmup(32, 64)
        assert len(engine._fixed) == 1
        enhancer(_picture(64, 64)[0])
        assert len(engine._fixed) == 1
        with enhancer.stream() as stream:
            for _ in range(3):
                stream(_picture(64, 64)[0])
        assert len(engine._fixed) == 3  # its first frame, and those with the map before
    assert [start["sides"].get("H") for start in cpu_as_gpu if start["sides"]] == [32, 64, 64]


def test_a_graph_that_cannot_be_recorded_is_told_once_and_done_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = OnnxRuntimeCuda._start

    def refuse(self: Any, content: bytes, sides: Any = None, settings: Any = None) -> Any:
        if settings:
            raise HyperguideError("one step runs on the CPU")
        return start(self, content, sides, settings)

    monkeypatch.setattr(OnnxRuntimeCuda, "_start", refuse)
    file = read_model_file(bundled_path("denoise", "fast"))
    with closing(OnnxRuntimeCuda(file, records=True)) as engine:
        expected = engine.run_bytes(_picture(32, 64), {})
        with engine.preparing():
            with pytest.warns(RuntimeWarning, match=r"No CUDA graph .* one step runs on the CPU"):
                found = engine.run_bytes(_picture(32, 64), {})
            assert np.abs(found["enhanced"].astype(int) - expected["enhanced"]).max() <= 1
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                engine.run_bytes(_picture(32, 64), {})
        assert len(engine._fixed) == 1


def test_a_size_for_which_no_session_starts_uses_that_for_all_sizes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = OnnxRuntimeCuda._start

    def refuse(self: Any, content: bytes, sides: Any = None, settings: Any = None) -> Any:
        if sides:
            raise HyperguideError("no memory")
        return start(self, content, sides, settings)

    monkeypatch.setattr(OnnxRuntimeCuda, "_start", refuse)
    file = read_model_file(bundled_path("denoise", "fast"))
    with closing(OnnxRuntimeCuda(file)) as engine:
        expected = engine.run_bytes(_picture(32, 64), {})["enhanced"]
        with engine.preparing():
            found = engine.run_bytes(_picture(32, 64), {})["enhanced"]
        np.testing.assert_array_equal(found, expected)


def test_keys_name_the_sides_of_both_kinds_of_pictures() -> None:
    in_bytes = Key.of({"image": np.zeros((2, 8, 16, 3), np.uint8)})
    planes = Key.of({"image": np.zeros((2, 3, 8, 16), np.float32)})
    assert in_bytes.sides == planes.sides == {"N": 2, "H": 8, "W": 16}
    assert in_bytes.outputs["guidance"] == planes.outputs["guidance"]
    assert "finite" in in_bytes.outputs
    assert "finite" not in planes.outputs
