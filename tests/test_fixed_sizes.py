"""Sessions for single sizes of pictures; the CPU provider stands in for the GPU's."""

from __future__ import annotations

import warnings
from contextlib import closing
from typing import Any

import numpy as np
import onnxruntime
import pytest

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


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("task", ["denoise", "dehaze"])
def test_prepared_sizes_give_the_same_pictures(
    task: str, at_once: int, cpu_as_gpu: list[dict[str, Any]]
) -> None:
    file = read_model_file(bundled_path(task, "fast"))
    dials = {"strength": np.full((1, 1, 1, 1), 0.5, np.float32)}
    with closing(OnnxRuntimeCuda(file, at_once=at_once)) as engine, engine.preparing():
        for turned in ({}, dials):
            for seed in range(3):
                pixels = _picture(64, 96, seed)
                planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / 255
                expected = OnnxRuntimeCpu(file, 1).run({"image": planes, **turned})
                found = engine.run_bytes(pixels, turned)
                rounded = np.round(expected["enhanced"] * 255).transpose(0, 2, 3, 1)
                assert np.abs(found["enhanced"] - rounded).max() <= 1
                np.testing.assert_allclose(found["guidance"], expected["guidance"], atol=1e-5)
                np.testing.assert_array_equal(engine.run_image(pixels, turned), found["enhanced"])
                floats = engine.run({"image": planes, **turned})
                np.testing.assert_allclose(floats["enhanced"], expected["enhanced"], atol=1e-5)
                timed, times = engine.run_timed({"image": pixels, **turned})
                np.testing.assert_array_equal(timed["enhanced"], found["enhanced"])
                assert times.compute > 0
        assert len(engine._fixed) == 4
    fixed = [start for start in cpu_as_gpu if start["sides"]]
    assert [start["sides"] for start in fixed] == [{"N": 1, "H": 64, "W": 96}] * 4
    records = ["enable_cuda_graph" in start["settings"] for start in fixed]
    assert records == [at_once == 1] * 4


def test_results_are_not_overwritten_by_the_next_call() -> None:
    file = read_model_file(bundled_path("denoise", "fast"))
    with closing(OnnxRuntimeCuda(file)) as engine, engine.preparing():
        first = [engine.run_bytes(_picture(32, 64, 1), {}) for _ in range(2)][-1]
        kept = {name: value.copy() for name, value in first.items()}
        engine.run_bytes(_picture(32, 64, 2), {})
        for name, value in kept.items():
            np.testing.assert_array_equal(first[name], value)


def test_sessions_are_bounded_over_many_sizes(cpu_as_gpu: list[dict[str, Any]]) -> None:
    file = read_model_file(model_path("denoise-live"))
    with closing(OnnxRuntimeCuda(file)) as engine, engine.preparing():
        for number in range(100):
            for _ in range(2):
                engine.run_bytes(_picture(32, 32 + 32 * number), {})
            assert len(engine._fixed) <= 4
    assert sum(bool(start["sides"]) for start in cpu_as_gpu) == 100


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
    with closing(OnnxRuntimeCuda(file)) as engine:
        expected = engine.run_bytes(_picture(32, 64), {})
        with engine.preparing():
            with pytest.warns(RuntimeWarning, match="No CUDA graph is recorded: one step runs"):
                found = engine.run_bytes(_picture(32, 64), {})
            assert np.abs(found["enhanced"].astype(int) - expected["enhanced"]).max() <= 1
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                engine.run_bytes(_picture(64, 64), {})
        assert len(engine._fixed) == 2


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
    with closing(OnnxRuntimeCuda(file, at_once=2)) as engine:
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
