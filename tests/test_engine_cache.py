"""`--device tensorrt` with a model file: its engine is built once and cached."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_gpu import FakeGpu

import hyperguide
from conftest import Cli, fails
from hyperguide.engines import TellsTimes, devices
from hyperguide.engines.tensorrt import cache, engine
from hyperguide.engines.tensorrt.bindings import TensorRt, open_tensorrt
from hyperguide.engines.tensorrt.build import BuildOptions
from hyperguide.engines.tensorrt.cuda import Gpu
from hyperguide.errors import HyperguideError, UnavailableError
from hyperguide.model_format.engine_file import Profile
from hyperguide.model_format.model_file import ModelFile, read_model_file
from hyperguide.storage.file_lock import file_lock

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "hyperguide" / "engines"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, exported: Path, own_cache: Path) -> FakeGpu:
    """A fake GPU of sm89: engines are really built, and then run by the fake."""
    fake = FakeGpu()
    fake.install(monkeypatch)
    monkeypatch.setattr(devices, "is_installed", lambda package: True)
    monkeypatch.setattr(devices, "_why_no_driver", lambda: None)
    real = open_tensorrt("tensorrt_rtx")
    kinds = {}
    for steerable in (False, True):
        file = read_model_file(exported)
        names = file.inputs if steerable else ("image",)
        one = (1, 1, 1, 1)
        kinds[steerable] = {
            name: Profile(one, one, (4, 3 if name == "image" else 1, 4096, 4096)) for name in names
        }

    class Engine(engine.TensorRtEngine):
        def __init__(self, file: Any, index: int) -> None:
            inputs = kinds[file.sidecar.steerable]
            stand_in = replace(real, module=fake.tensorrt(real.module, _model, inputs))
            monkeypatch.setattr(engine, "open_tensorrt", lambda name: stand_in)
            super().__init__(file, index)

    _model = read_model_file(exported)
    monkeypatch.setattr(cache, "open_tensorrt", lambda: real)
    monkeypatch.setattr(cache, "TensorRtEngine", Engine)
    return fake


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[BuildOptions]:
    """The builds so far, in order."""
    done: list[BuildOptions] = []
    compile_engine = cache.compile_engine

    def counted(file: ModelFile, plan: BuildOptions, *more: Any) -> Any:
        done.append(plan)
        return compile_engine(file, plan, *more)

    monkeypatch.setattr(cache, "compile_engine", counted)
    return done


def _pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)


def test_an_engine_is_built_when_first_needed_and_found_again(
    exported: Path, gpu: FakeGpu, builds: list[BuildOptions], own_cache: Path
) -> None:
    phases: list[str] = []

    def load(report: Callable[..., None] = lambda *step: None) -> hyperguide.Enhancer:
        return hyperguide.load(exported, device="tensorrt", building=report)

    expected = hyperguide.load(exported, device="cpu")
    with load(lambda phase, done, steps: phases.append(phase)) as enhancer:
        np.testing.assert_array_equal(enhancer(_pixels()).image, expected(_pixels()).image)
        assert [plan.steerable for plan in builds] == [False]
        assert builds[0].targets == ("sm89",)
        assert phases
        turned = {"strength": 0.5, "guidance_scale": 2.0}
        one, other = enhancer(_pixels(), **turned), expected(_pixels(), **turned)
        np.testing.assert_array_equal(one.image, other.image)
        assert [plan.steerable for plan in builds] == [False, True]
    assert not gpu.memory
    again = load()
    again(_pixels())
    again(_pixels(), **turned)
    assert len(builds) == 2
    assert len(list(own_cache.glob("*.engine"))) == 2


def test_other_weights_gpus_and_versions_have_engines_of_their_own(
    exported: Path, gpu: FakeGpu, own_cache: Path
) -> None:
    file, tensorrt = read_model_file(exported), open_tensorrt("tensorrt_rtx")
    card = cache.Gpu(0)
    plan = BuildOptions(((16, 16), (64, 64), (128, 128)))
    changed = bytearray(file.content)
    changed[-1] ^= 1

    class Newer(TensorRt):
        version = "99.0"

    other_gpu = cache.Gpu(0)
    other_gpu.name = "NVIDIA Fake 4080"
    keys = [
        cache._key(file, plan, tensorrt, card),
        cache._key(replace(file, content=bytes(changed)), plan, tensorrt, card),
        cache._key(file, replace(plan, steerable=True), tensorrt, card),
        cache._key(file, replace(plan, sizes=((16, 16), (64, 64), (128, 256))), tensorrt, card),
        cache._key(file, plan, Newer(tensorrt.name, tensorrt.module), card),
        cache._key(file, plan, tensorrt, other_gpu),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == cache._key(read_model_file(exported), plan, tensorrt, cache.Gpu(0))


def test_a_damaged_engine_is_built_again(
    exported: Path, gpu: FakeGpu, builds: list[BuildOptions], own_cache: Path
) -> None:
    hyperguide.load(exported, device="tensorrt").close()
    (path,) = own_cache.glob("*.engine")
    path.write_bytes(path.read_bytes()[:-100])
    hyperguide.load(exported, device="tensorrt").close()
    assert len(builds) == 2
    hyperguide.load(exported, device="tensorrt").close()
    assert len(builds) == 2


@pytest.mark.parametrize("trouble", ["a file in its place", "a full disk"])
def test_a_cache_that_cannot_be_written_costs_a_warning_only(
    trouble: str,
    exported: Path,
    gpu: FakeGpu,
    builds: list[BuildOptions],
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trouble == "a full disk":

        def refuse(*anything: Any) -> None:
            raise HyperguideError("No space left on device.")

        monkeypatch.setattr(cache, "write_engine", refuse)
    else:
        own_cache.parent.parent.write_text("no folder")
    with pytest.warns(UserWarning, match="is not kept, so the next start builds it again"):
        enhancer = hyperguide.load(exported, device="tensorrt")
    expected = hyperguide.load(exported, device="cpu")
    np.testing.assert_array_equal(enhancer(_pixels()).image, expected(_pixels()).image)
    assert len(builds) == 1


def test_two_calls_at_once_build_one_engine(
    exported: Path, gpu: FakeGpu, builds: list[BuildOptions], own_cache: Path
) -> None:
    """Both wait for the lock; the second then uses the engine that the first has built."""
    file = read_model_file(exported)
    waiting = threading.Event()

    def report(phase: str, done: int, steps: int) -> None:
        if phase == "waiting":
            waiting.set()

    own_cache.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(cache, "_key", lambda *parts: "one")
        with file_lock(own_cache / "one.lock"):
            both = [pool.submit(cache.cached_engine, file, 0, False, report) for _ in range(2)]
            assert waiting.wait(300)
            assert not builds
        engines = [future.result(300) for future in both]
    assert len(builds) == 1
    assert engines[0].content == engines[1].content


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "held.lock"
    child = os.fork()
    if child == 0:  # takes the lock and dies without releasing it
        held = file_lock(path)
        held.__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    waited: list[int] = []
    with file_lock(path, lambda: waited.append(1)):
        pass
    assert not waited


def test_auto_takes_a_gpu_only_if_it_computes_right(
    exported: Path, gpu: FakeGpu, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enhancer = hyperguide.load(exported)
    assert enhancer.engine.startswith("TensorRT-RTX")
    assert enhancer.why == "the fastest"
    opened = enhancer._runner.engine
    enhancer.close()
    with pytest.raises(HyperguideError, match="was closed"):
        opened.run({"image": np.zeros((1, 3, 32, 48), np.float32), "strength": np.ones(1)})
    run = engine.TensorRtEngine.run

    def exchanged(self: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = run(self, feeds)
        return outputs | {"enhanced": outputs["enhanced"][:, ::-1]}

    monkeypatch.setattr(engine.TensorRtEngine, "run", exchanged)
    monkeypatch.setattr(devices, "_why_no_provider", lambda kind: "not in this onnxruntime")
    enhancer = hyperguide.load(exported)
    assert enhancer.engine == "ONNX Runtime, CPU"
    assert "wrong" in enhancer.why
    assert "not in this onnxruntime" in enhancer.why
    assert not gpu.memory

    def fails(self: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        run(self, feeds)
        raise HyperguideError("the launch failed.")

    monkeypatch.setattr(engine.TensorRtEngine, "run", fails)
    assert "the launch failed" in hyperguide.load(exported).why
    assert not gpu.memory


def test_verify_runs_a_model_file_on_tensorrt_too(
    exported: Path, gpu: FakeGpu, own_cache: Path, quick_cli: Cli
) -> None:
    result = quick_cli("verify", exported, "--device", "tensorrt")
    assert result.code == 0, result.err
    assert "TensorRT-RTX" in result.out
    assert ": ok" in result.out


def test_tensorrt_rtx_says_that_it_is_not_for_this_gpu(
    exported: Path,
    gpu: FakeGpu,
    builds: list[BuildOptions],
    quick_cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On an H200 (sm90) its engines build but are then refused; the file itself is valid."""
    gpu.capability = (9, 0)
    with pytest.raises(UnavailableError, match=r"does not run on an .* \(sm90\): take --device"):
        hyperguide.load(exported, device="tensorrt")(_pixels())
    assert not builds
    monkeypatch.setattr("hyperguide.cli.verify.KINDS", ("cpu", "tensorrt"))
    result = quick_cli("verify", exported)
    assert result.code == 0, result.err
    assert "tensorrt: not run, TensorRT-RTX" in result.out
    fails(quick_cli("verify", exported, "--device", "tensorrt"), "sm90", "--device cuda")


def test_a_pycuda_that_does_not_load_is_one_sentence(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)  # makes its import raise ImportError
    with pytest.raises(UnavailableError, match=r"pycuda is installed but does not load, .*pip"):
        Gpu(0)


def test_a_cached_engine_tells_the_times_of_its_steps(
    exported: Path, gpu: FakeGpu, own_cache: Path
) -> None:
    file = read_model_file(exported)
    image = np.random.default_rng(0).random((1, 3, 32, 48), np.float32)
    with closing(cache.CachedTensorRt(file)) as engine:
        assert isinstance(engine, TellsTimes)
        outputs, times = engine.run_timed({"image": image})
        assert times.copy_out == 2 * times.compute > 0  # the picture and the map
        np.testing.assert_array_equal(outputs["enhanced"], engine.run({"image": image})["enhanced"])
