"""TensorRT engines on a fake GPU: the calls, their order, their errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_gpu import CUDA_PYTHON, STEP, FakeGpu

import hyperguide
from conftest import Cli, fails
from hyperguide import engines
from hyperguide.engines import devices, open_engine
from hyperguide.engines.tensorrt import TensorRtEngine
from hyperguide.engines.tensorrt import engine as tensorrt_engine
from hyperguide.engines.tensorrt.bindings import open_tensorrt
from hyperguide.engines.tensorrt.build import BuildOptions, build_engine
from hyperguide.errors import HyperguideError
from hyperguide.model_format.engine_file import EngineFile, read_engine, sidecar_path
from hyperguide.model_format.model_file import read_model_file

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")

SIZES = ((16, 16), (64, 64), (352, 512))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def built(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A frozen and a steerable engine of the same file."""
    folder = tmp_path_factory.mktemp("engines")
    paths = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        for name in ("frozen", "steerable"):
            paths[name] = folder / f"{name}.engine"
            options = BuildOptions(
                SIZES, (1, 1, 2), targets=("sm86", "sm89"), steerable=name == "steerable"
            )
            rtx = open_tensorrt("tensorrt_rtx")
            build_engine(read_model_file(exported), paths[name], options, rtx)
    return paths


Open = Callable[..., EngineFile]


def test_the_fake_gpu_has_only_functions_that_cuda_python_has() -> None:
    real = pytest.importorskip("cuda.bindings.driver", reason="cuda-python is not installed")
    assert not [name for name in CUDA_PYTHON if not hasattr(real, name)]
    assert hasattr(real.CUstreamCaptureMode, "CU_STREAM_CAPTURE_MODE_THREAD_LOCAL")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    fake = FakeGpu()
    fake.install(monkeypatch)
    monkeypatch.setattr(devices, "is_installed", lambda package: True)
    monkeypatch.setattr(devices, "_why_no_driver", lambda: None)
    return fake


@pytest.fixture
def fake_engine(gpu: FakeGpu, exported: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Read an engine file and let the fake GPU run it."""

    def prepare(path: Path, builder: str = "tensorrt_rtx") -> EngineFile:
        file = read_engine(path)
        rtx = open_tensorrt("tensorrt_rtx")
        fake = gpu.tensorrt(rtx.module, read_model_file(exported), file.sidecar.profiles)
        stand_in = replace(rtx, name=builder, module=fake)
        monkeypatch.setattr(tensorrt_engine, "open_tensorrt", lambda name: stand_in)
        return file

    return prepare


def _pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_a_tensorrt_engine_is_loaded_and_called_as_any_model(
    built: dict[str, Path], exported: Path, fake_engine: Open, gpu: FakeGpu
) -> None:
    fake_engine(built["frozen"])
    enhancer = hyperguide.load(built["frozen"])
    assert enhancer.engine.startswith("TensorRT-RTX")
    expected = hyperguide.load(exported, device="cpu")
    for shape in ((48, 64, 3), (2, 16, 16, 3), (101, 203, 3), (48, 64, 3)):
        pixels = _pixels(*shape)
        one, other = enhancer(pixels), expected(pixels)
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.guidance, other.guidance)
    assert gpu.depth == 0


def test_gpu_memory_is_kept_between_calls_and_freed_at_the_end(
    built: dict[str, Path], fake_engine: Open, gpu: FakeGpu
) -> None:
    with closing(TensorRtEngine(fake_engine(built["frozen"]))) as engine:
        image = np.zeros((1, 3, 128, 256), np.float32)
        engine.run({"image": image})
        before = gpu.calls.count("mem_alloc"), gpu.calls.count("pagelocked_empty")
        for rows in (128, 16, 64):
            engine.run({"image": image[:, :, :rows]})
        assert (gpu.calls.count("mem_alloc"), gpu.calls.count("pagelocked_empty")) == before
        engine.run({"image": np.zeros((2, 3, 352, 512), np.float32)})
        assert gpu.calls.count("mem_alloc") > before[0]
        assert len(gpu.memory) == 3  # picture, result, map
    assert not gpu.memory
    with pytest.raises(HyperguideError, match="was closed: load it again"):
        engine.run({"image": image})


def test_copies_and_computation_go_through_one_stream_in_order(
    built: dict[str, Path], fake_engine: Open, gpu: FakeGpu
) -> None:
    engine = TensorRtEngine(fake_engine(built["frozen"]))
    image = np.zeros((1, 3, 64, 64), np.float32)
    engine.run({"image": image})
    gpu.calls.clear()
    engine.run({"image": image})
    assert gpu.calls == [
        "memcpy_htod_async",
        "execute_async_v3",
        "memcpy_dtoh_async",
        "memcpy_dtoh_async",
        "synchronize",
    ]


def test_dials_are_inputs_of_a_steerable_engine_only(
    built: dict[str, Path], exported: Path, fake_engine: Open
) -> None:
    pixels = _pixels(48, 64, 3)
    dials: dict[str, Any] = {"strength": 0.5, "guidance": 0.1, "guidance_scale": 1.5}
    fake_engine(built["steerable"])
    steerable = hyperguide.load(built["steerable"])
    expected = hyperguide.load(exported, device="cpu")
    for turned in ({}, dials):
        one, other = steerable(pixels, **turned), expected(pixels, **turned)
        np.testing.assert_array_equal(one.image, other.image)
    fake_engine(built["frozen"])
    frozen = hyperguide.load(built["frozen"])
    with pytest.raises(HyperguideError, match="has no input 'strength': build it with --steerable"):
        frozen(pixels, strength=0.5)


def test_batches_and_pictures_beyond_the_profile_are_cut(
    built: dict[str, Path], exported: Path, fake_engine: Open
) -> None:
    fake_engine(built["frozen"])
    enhancer, expected = hyperguide.load(built["frozen"]), hyperguide.load(exported, device="cpu")
    for shape in ((5, 32, 48, 3), (400, 64, 3), (370, 600, 3)):
        pixels = _pixels(*shape)
        one, other = enhancer(pixels), expected(pixels)
        np.testing.assert_allclose(one.guidance, other.guidance, atol=3e-5)
        assert np.abs(one.image.astype(int) - other.image).max() <= 1


def test_pictures_outside_the_profile_are_refused_with_the_mend(
    built: dict[str, Path], fake_engine: Open
) -> None:
    fake_engine(built["frozen"])
    enhancer = hyperguide.load(built["frozen"], tile=None)
    with pytest.raises(HyperguideError, match=r"\(2, 3, 352, 512\): build it with other --shapes"):
        enhancer(_pixels(400, 64, 3))
    assert enhancer(_pixels(32, 64, 3)).image.shape == (32, 64, 3)


def test_frames_are_smoothed_by_engines_with_dials_only(
    built: dict[str, Path], exported: Path, fake_engine: Open
) -> None:
    frames = [_pixels(48, 64, 3), _pixels(48, 64, 3)]
    fake_engine(built["steerable"])
    with hyperguide.load(built["steerable"]).stream(0.5) as stream:
        smoothed = [stream(frame) for frame in frames]
    with hyperguide.load(exported, device="cpu").stream(0.5) as stream:
        for one, frame in zip(smoothed, frames, strict=True):
            np.testing.assert_array_equal(one.image, stream(frame).image)
    fake_engine(built["frozen"])
    frozen = hyperguide.load(built["frozen"])
    with pytest.raises(HyperguideError, match="build it with --steerable, or take smooth=0"):
        frozen.stream(0.5)
    assert frozen.stream().smooth == 0
    with frozen.stream() as stream:
        assert [stream(frame).image.shape for frame in frames] == [(48, 64, 3)] * 2


def test_repeated_calls_are_recorded_once_and_launched_as_one(
    built: dict[str, Path], exported: Path, fake_engine: Open, gpu: FakeGpu
) -> None:
    """With TensorRT; TensorRT-RTX does its own recording."""
    fake_engine(built["frozen"], "tensorrt")
    enhancer, expected = hyperguide.load(built["frozen"]), hyperguide.load(exported, device="cpu")
    kinds = []
    for number, rows in enumerate((64, 64, 64, 64, 32, 32, 64)):
        pixels = np.random.default_rng(number).integers(0, 256, (rows, 48, 3), np.uint8)
        gpu.calls.clear()
        np.testing.assert_array_equal(enhancer(pixels).image, expected(pixels).image)
        kinds.append("launch" if "cuGraphLaunch" in gpu.calls else "enqueue")
        recorded = "cuStreamBeginCapture" in gpu.calls
        assert recorded == (number in (1, 5)), number
    assert kinds == ["enqueue", *["launch"] * 3, "enqueue", "launch", "enqueue"]


def test_calls_that_cannot_be_recorded_are_enqueued_each_time(
    built: dict[str, Path], exported: Path, fake_engine: Open, gpu: FakeGpu
) -> None:
    fake_engine(built["frozen"], "tensorrt")
    gpu.may_record = False
    enhancer, expected = hyperguide.load(built["frozen"]), hyperguide.load(exported, device="cpu")
    pixels = _pixels(32, 48, 3)
    for _ in range(4):
        np.testing.assert_array_equal(enhancer(pixels).image, expected(pixels).image)
    assert gpu.calls.count("cuStreamBeginCapture") == 1
    assert "cuGraphLaunch" not in gpu.calls


def test_the_steps_of_a_call_are_timed_by_events(
    built: dict[str, Path], fake_engine: Open, gpu: FakeGpu
) -> None:
    engine = TensorRtEngine(fake_engine(built["steerable"]))
    image = np.random.default_rng(0).random((1, 3, 32, 48), np.float32)
    outputs, times = engine.run_timed({"image": image})
    np.testing.assert_array_equal(outputs["enhanced"], engine.run({"image": image})["enhanced"])
    inputs = 5  # the picture and four dials
    assert (times.copy_in, times.compute, times.copy_out) == (inputs * STEP, STEP, 2 * STEP)


def test_two_calls_at_once_have_a_cuda_stream_each(
    built: dict[str, Path], fake_engine: Open, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both calls wait inside the engine until the other has started too."""
    engine = TensorRtEngine(fake_engine(built["frozen"]))
    meeting = threading.Barrier(2, timeout=300)
    enqueue = gpu.enqueue

    def meet(step: Callable[[], None]) -> None:
        if not meeting.broken and not met.is_set():
            meeting.wait()
            met.set()
        enqueue(step)

    met = threading.Event()
    monkeypatch.setattr(gpu, "enqueue", meet)
    images = [np.full((1, 3, 32, 48), value, np.float32) for value in (0.2, 0.7)]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda image: engine.run({"image": image})["enhanced"], images))
    assert gpu.streams == 2
    for image, enhanced in zip(images, both, strict=True):
        np.testing.assert_array_equal(engine.run({"image": image})["enhanced"], enhanced)
    engine.close()
    assert not gpu.memory


def test_no_more_than_two_calls_at_once_are_worth_making(
    built: dict[str, Path], exported: Path, fake_engine: Open
) -> None:
    fake_engine(built["frozen"])
    assert hyperguide.load(built["frozen"], at_once=9).at_once == 2
    assert hyperguide.load(built["frozen"]).at_once == 1
    assert hyperguide.load(exported, device="cpu", at_once=9).at_once == 9


class OnGpu:
    """A picture in the fake's memory, offered as by another library."""

    def __init__(self, gpu: FakeGpu, values: np.ndarray, **told: Any) -> None:
        self.gpu, address = gpu, gpu.allocate(values.nbytes)
        gpu.memory[address][:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.__cuda_array_interface__ = {
            "shape": values.shape, "typestr": values.dtype.str, "data": (address, False),
            "version": 3, "strides": None,
        } | told  # fmt: skip


def _held(gpu: FakeGpu, array: Any) -> np.ndarray:
    told = array.__cuda_array_interface__
    held = gpu.memory[told["data"][0]].view(told["typestr"])
    return held[: int(np.prod(told["shape"]))].reshape(told["shape"])


def test_pictures_in_the_memory_of_the_gpu_stay_there(
    built: dict[str, Path], exported: Path, fake_engine: Open, gpu: FakeGpu
) -> None:
    fake_engine(built["steerable"])
    enhancer = hyperguide.load(built["steerable"])
    expected = hyperguide.load(exported, device="cpu")
    pixels = np.random.default_rng(1).random((32, 48, 3), np.float32)
    planes = pixels.transpose(2, 0, 1)
    gpu.calls.clear()
    for image, dials in ((planes, {}), (planes[None], {"strength": 0.5, "guidance": 0.2})):
        result = enhancer.on_gpu(OnGpu(gpu, image), **dials)
        wanted = expected(pixels, **dials)
        assert result.image.shape == image.shape
        enhanced = _held(gpu, result.image).reshape(planes.shape).transpose(1, 2, 0)
        np.testing.assert_array_equal(enhanced, wanted.image)
        np.testing.assert_array_equal(_held(gpu, result.guidance).reshape(32, 48), wanted.guidance)
    assert "memcpy_dtoh_async" not in gpu.calls
    assert "Context.synchronize" not in gpu.calls
    enhancer.on_gpu(OnGpu(gpu, planes, stream=5))
    assert "Context.synchronize" in gpu.calls
    before = len(gpu.memory)
    del result
    assert len(gpu.memory) == before - 2  # unused results return to the pool


def test_pictures_in_the_memory_of_the_gpu_that_do_not_fit_are_refused(
    built: dict[str, Path], exported: Path, fake_engine: Open, gpu: FakeGpu
) -> None:
    fake_engine(built["frozen"])
    enhancer = hyperguide.load(built["frozen"])
    image = np.zeros((3, 32, 48), np.float32)
    for odd, reason in (
        (OnGpu(gpu, image[:, :30, :46]), "multiples of 16, not 46x30: pad it first"),
        (OnGpu(gpu, image.astype(np.float64)), "CxHxW of float32 with 3 channel"),
        (OnGpu(gpu, image[:2]), "CxHxW of float32 with 3 channel"),
        (OnGpu(gpu, image, strides=(4, 144, 12)), "must be contiguous"),
    ):
        with pytest.raises(HyperguideError, match=reason):
            enhancer.on_gpu(odd)
    with pytest.raises(HyperguideError, match="has no input 'strength'"):
        enhancer.on_gpu(OnGpu(gpu, image), strength=0.5)
    with pytest.raises(HyperguideError, match="ndarray is no array in a GPU's memory: call the"):
        enhancer.on_gpu(image)
    with pytest.raises(HyperguideError, match="takes no pictures from a GPU's memory"):
        hyperguide.load(exported, device="cpu").on_gpu(OnGpu(gpu, image))


def test_any_failing_driver_call_is_reported_and_leaves_nothing_allocated(
    built: dict[str, Path], fake_engine: Open, gpu: FakeGpu
) -> None:
    """Make each call of the driver and of TensorRT fail in turn."""
    file = fake_engine(built["frozen"])
    image = np.zeros((1, 3, 32, 48), np.float32)
    for number in range(100):
        gpu.calls.clear()
        gpu.fail_at = number
        engine = None
        try:
            engine = TensorRtEngine(file)
            engine.run({"image": image})
        except HyperguideError as error:
            assert "failed on purpose" in str(error)  # noqa: PT017
        else:
            break
        finally:
            failed, gpu.fail_at = gpu.calls[-1], None
            if engine is not None:
                assert engine.run({"image": image})["enhanced"].shape == image.shape, failed
                engine.close()
        assert gpu.depth == 0, failed
        assert not gpu.memory, failed
    assert number > 12


def test_threads_take_turns_and_each_has_the_context(
    built: dict[str, Path], exported: Path, fake_engine: Open
) -> None:
    fake_engine(built["frozen"])
    enhancer, expected = hyperguide.load(built["frozen"]), hyperguide.load(exported, device="cpu")
    pictures = [_pixels(16 * (1 + i % 3), 32, 3) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda picture: enhancer(picture).image, pictures))
    for picture, result in zip(pictures, results, strict=True):
        np.testing.assert_array_equal(result, expected(picture).image)


@pytest.mark.parametrize("name", ["frozen", "steerable"])
def test_verify_proves_engines(
    name: str, built: dict[str, Path], fake_engine: Open, quick_cli: Cli
) -> None:
    fake_engine(built[name])
    result = quick_cli("verify", built[name])
    assert result.code == 0, result.err
    assert "tensorrt_rtx" in result.out
    assert "sm86, sm89" in result.out
    assert result.out.count(": ok") == 1
    assert "cpu: not run" in result.out
    edited = json.loads(sidecar_path(built[name]).read_text())
    edited["metadata"]["hyperguide.tier"] = "paper"
    sidecar_path(built[name]).write_text(json.dumps(edited))
    try:
        fails(quick_cli("verify", built[name]), "the metadata was edited")
    finally:
        edited["metadata"]["hyperguide.tier"] = "fast"
        sidecar_path(built[name]).write_text(json.dumps(edited, indent=1))


def test_verify_catches_an_engine_that_computes_something_else(
    built: dict[str, Path], fake_engine: Open, quick_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red and blue are swapped, as a wrongly compiled engine might do."""
    fake_engine(built["frozen"])
    run = TensorRtEngine.run

    def exchanged(engine: TensorRtEngine, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = run(engine, feeds)
        return outputs | {"enhanced": outputs["enhanced"][:, ::-1]}

    monkeypatch.setattr(TensorRtEngine, "run", exchanged)
    result = quick_cli("verify", built["frozen"])
    fails(result, "is not computed right on this machine by --device tensorrt")
    assert "FAILED" in result.out


def test_an_engine_for_another_gpu_or_version_names_both(
    built: dict[str, Path], fake_engine: Open, gpu: FakeGpu
) -> None:
    file = fake_engine(built["frozen"])
    gpu.capability = (7, 5)
    with pytest.raises(HyperguideError, match=r"for GPUs of sm86, sm89, GPU 0 is one of sm75"):
        TensorRtEngine(file)
    gpu.capability = (8, 9)
    older = replace(file, sidecar=replace(file.sidecar, version="1.0.0"))
    with pytest.raises(HyperguideError, match=r"built with tensorrt_rtx 1\.0\.0, here is 1\."):
        TensorRtEngine(older)
    with pytest.raises(HyperguideError, match="There is no GPU 3: this machine has 1"):
        TensorRtEngine(file, 3)
    with pytest.raises(HyperguideError, match="cannot load"):
        TensorRtEngine(replace(file, content=b""))


def test_without_a_gpu_every_device_says_what_it_lacks(
    built: dict[str, Path], exported: Path, quick_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = quick_cli("verify", exported)
    assert result.code == 0
    lines = {line.partition(":")[0]: line for line in result.out.splitlines()}
    for kind in ("cuda", "ort-tensorrt", "tensorrt"):
        assert lines[kind].endswith("not run, there is no NVIDIA driver on this machine")
    result = quick_cli("verify", built["frozen"])
    fails(result, "was not run: it needs a GPU")
    assert "tensorrt: not run, " in result.out
    for device in ("cuda", "tensorrt:1", "cpu"):
        with pytest.raises(HyperguideError, match=f"No engine for --device {device}: "):
            open_engine(read_engine(built["frozen"]), device)
    monkeypatch.setattr(devices, "_why_no_driver", lambda: None)
    for kind, mend in (("cuda", "hyperguide[gpu]"), ("tensorrt", "pip install pycuda")):
        assert mend in str(engines.why_not(kind, read_model_file(exported)))


def test_an_engine_of_somebody_else_is_loaded_if_the_user_says_so(
    built: dict[str, Path],
    fake_engine: Open,
    tmp_path: Path,
    quick_cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_engine(built["frozen"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    fails(quick_cli("verify", built["frozen"]), "add --trust")
    assert quick_cli("verify", built["frozen"], "--trust").code == 0
    with pytest.raises(HyperguideError, match="--trust"):
        hyperguide.load(built["frozen"])
    assert hyperguide.load(built["frozen"], trust=True).info.task == "denoise"
    assert json.loads(sidecar_path(built["frozen"]).read_text())["steerable"] is False
