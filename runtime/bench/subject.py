"""One file on one device at one size: what a benchmark calls, and the check of its results."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from hyperguide.engines import (
    Device,
    Engine,
    Settings,
    TakesBytes,
    TakesGpuArrays,
    TellsTimes,
    fastest,
    open_engine,
)
from hyperguide.engines.opening import BuildProgress
from hyperguide.engines.proof import compare_golden
from hyperguide.enhancer import Enhancer
from hyperguide.inference.dials import check_dials
from hyperguide.memory import PeakMemory
from hyperguide.model_format.contract import ENHANCED, IMAGE, KERNEL
from hyperguide.model_format.engine_file import EngineFile, read_file
from hyperguide.model_format.model_file import ModelFile
from hyperguide.pixels import from_tensor, full_scale, layout_of, to_tensor
from hyperguide.psnr import psnr
from hyperguide.result import Result

from .clock import timed
from .machine import gpu_clock, gpu_memory

# Minimum PSNR in dB against another engine, by precision. Engines round differently before they
# quantise; wrong results are much farther off.
_AGREES = {"fp32": 60.0, "fp16": 40.0}
_AGREES_LOWER = 30.0


@dataclass(frozen=True)
class Spec:
    """What to measure.

    model: a file. label: its name in tables. batch: pictures per call.
    precision: `bf16` computes the file's fp32 operations in bf16.
    """

    model: Path
    label: str
    device: Device
    height: int
    width: int
    batch: int = 1
    precision: str = "fp32"

    @property
    def pixels(self) -> int:
        """Pixels of one call."""
        return self.batch * self.height * self.width


@dataclass(frozen=True)
class Verdict:
    """Whether a subject's results are correct.

    checked: what was compared; empty if nothing was.
    problem: a description of what is wrong; empty if nothing is.
    """

    checked: tuple[str, ...]
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing is wrong."""
        return bool(self.checked) and not self.problem


class Subject:
    """A loaded file with a frame of bytes to enhance, ready to be called.

    at_once: maximum concurrent calls. threads: per call; 0 takes one per core.
    load_seconds: time to load the file. first_seconds: time of the first call.
    call_seconds: time of the second call.
    gpu: the index of the GPU that it runs on; None for the CPU.
    peak_memory: peak bytes of loading and the first call; None if the system does not report it.
        gpu_memory: GPU bytes that they took, including what other processes took meanwhile; for
        the first subject of a process also what CUDA itself takes, half a gigabyte.
    Raises HyperguideError if the file or its engine cannot be loaded or called.
    """

    def __init__(
        self,
        spec: Spec,
        frame: np.ndarray,
        at_once: int = 1,
        threads: int = 0,
        trust: bool = False,
        building: BuildProgress = lambda phase, done, steps: None,
    ) -> None:
        self.spec = spec
        settings = Settings(threads, at_once, bf16=spec.precision == "bf16", report=building)
        memory, before = PeakMemory(), gpu_memory(spec.device.index)
        began = time.perf_counter()
        self.file = read_file(spec.model, trust)
        self.engine: Engine
        if spec.device.kind == "auto":
            self.engine, _ = fastest(self.file, settings)
        else:
            self.engine = open_engine(self.file, spec.device, settings)
        self._enhancer = Enhancer(self.file, self.engine, tile=None, at_once=at_once)
        self.load_seconds = time.perf_counter() - began
        self.gpu = spec.device.index if isinstance(self.engine, TakesGpuArrays) else None
        self.frame = _shaped(frame, spec, self.file.info.channels)
        self.dials: dict[str, Any] = {}
        if KERNEL in self.file.inputs:  # without a kernel it would have less to do
            self.dials["kernel"] = np.full((15, 15), 1 / 225, np.float32)
        with self._enhancer.preparing():
            self._first, self.first_seconds = timed(self.call)
        self.peak_memory = memory.taken()
        after = None if self.gpu is None else gpu_memory(self.gpu)
        self.gpu_memory = None if before is None or after is None else after - before
        self._last = self._first
        # The first call prepares what later ones reuse.
        self.call_seconds = timed(self.call)[1]

    def call(self) -> Result:
        """Enhance the frame, or the batch."""
        self._last = result = self._enhancer(self.frame, **self.dials)
        return result

    def verify(self) -> Verdict:
        """Check golden samples, and the frame against ONNX Runtime's CPU engine."""
        deviations = compare_golden(self.file, self.engine)
        bad = [d for d in deviations if not d.passed]
        checked = ["golden samples"]
        if bad:
            text = " and ".join(
                f"{d.output} is off by {d.worst:.1e} of {d.tolerance:.0e}" for d in bad
            )
            return Verdict(tuple(checked), f"{text} in the golden samples")
        other = self._on_another_engine()
        if other is None:
            return Verdict(tuple(checked))
        checked.append("the frame on ONNX Runtime, CPU")
        found = psnr(self._first.image, other, full_scale(other.dtype))
        least = _AGREES.get(self.file.info.precision, _AGREES_LOWER)
        if self.spec.precision == "bf16":
            least = _AGREES_LOWER
        if not found >= least:
            return Verdict(tuple(checked), f"the frame differs from ONNX Runtime's, {found:.1f} dB")
        return Verdict(tuple(checked))

    def still_right(self) -> Verdict:
        """Compare the latest call's result with the first one's; they may differ by one level."""
        difference = np.abs(self._last.image.astype(int) - self._first.image)
        if difference.max() <= 1:
            return Verdict(("the last call against the first",))
        return Verdict(
            ("the last call against the first",),
            f"calls on the same frame differ by {difference.max()} levels",
        )

    def gpu_clock(self) -> float | None:
        """The clock of the subject's GPU in MHz while calls run; None on the CPU."""
        if self.gpu is None:
            return None
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(gpu_clock, self.gpu)
            while not asked.done():
                self.call()
            return asked.result()

    def stages(self, repeats: int = 5) -> dict[str, float]:
        """The median seconds of each stage of a call.

        `pre` and `post` convert the picture's bytes to and from floats; `engine` is the engine's
        call, which on a GPU is split into `copy in`, `compute` and `copy out`. Engines
        and files that convert bytes themselves have only one stage on a CPU.
        """
        of_bytes = self.file.info.io == "uint8"
        takes_bytes = of_bytes or isinstance(self.engine, TakesBytes)
        tells_times = self.engine if isinstance(self.engine, TellsTimes) else None
        if takes_bytes and not tells_times:
            return {"engine": median(timed(self.call)[1] for _ in range(repeats))}
        layout = layout_of(self.frame)
        sizes = self.file.info.sizes
        whole = slice(None)
        dials = check_dials(layout.size(self.frame), self.file.info.guidance, **self.dials)
        feeds = dials.feeds(whole, whole, sizes)
        _, height, width = layout.size(self.frame)
        found: dict[str, list[float]] = {}
        for _ in range(repeats):
            began = time.perf_counter()
            if takes_bytes:
                feeds[IMAGE] = sizes.pad(layout.pixels(self.frame), rows_axis=1)
            else:
                tensor, _ = to_tensor(self.frame, self.file.info.channels)
                feeds[IMAGE] = sizes.pad(tensor)
            ready = time.perf_counter()
            times: dict[str, float] = {}
            if tells_times:
                outputs, on_gpu = tells_times.run_timed(feeds)
                times |= {
                    "copy in": on_gpu.copy_in / 1000,
                    "compute": on_gpu.compute / 1000,
                    "copy out": on_gpu.copy_out / 1000,
                }
            else:
                outputs = self.engine.run(feeds)
                times["engine"] = time.perf_counter() - ready
            computed = time.perf_counter()
            if takes_bytes:
                np.ascontiguousarray(outputs[ENHANCED][:, :height, :width])
            else:
                from_tensor(outputs[ENHANCED][..., :height, :width], self.frame, layout)
            times |= {"pre": ready - began, "post": time.perf_counter() - computed}
            for name, value in times.items():
                found.setdefault(name, []).append(value)
        return {name: median(values) for name, values in found.items()}

    def close(self) -> None:
        """Release what the engine holds."""
        self._enhancer.close()

    def _on_another_engine(self) -> np.ndarray | None:
        """The frame enhanced by ONNX Runtime's CPU engine; None if it is the same or absent."""
        if isinstance(self.file, EngineFile) or self.engine.name == "ONNX Runtime, CPU":
            return None
        assert isinstance(self.file, ModelFile)
        try:
            engine = open_engine(self.file, Device("cpu"))
        except Exception:  # it is not installed; the golden samples must suffice
            return None
        with Enhancer(self.file, engine, tile=None) as enhancer:
            return enhancer(self.frame, **self.dials).image


def _shaped(frame: np.ndarray, spec: Spec, channels: int) -> np.ndarray:
    """The frame in the subject's size, channels and batch."""
    size = (spec.width, spec.height)
    fitted = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    if channels == 1:
        fitted = cv2.cvtColor(fitted, cv2.COLOR_RGB2GRAY)[..., None]
    if spec.batch == 1:
        return fitted
    return np.stack([np.roll(fitted, 16 * i, axis=1) for i in range(spec.batch)])


def synthetic_frame() -> np.ndarray:
    """A frame of 1920x1080 with edges, gradients, texture and noise, RGB bytes."""
    rng = np.random.default_rng(0)
    height, width = 1080, 1920
    coarse = rng.uniform(40, 200, (9, 16, 3)).astype(np.float32)
    frame = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(60):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        color = tuple(map(float, rng.uniform(20, 235, 3)))
        cv2.circle(frame, (x, y), int(rng.integers(8, 120)), color, -1, cv2.LINE_8)
    y, x = np.mgrid[:height, :width]
    frame += 12 * np.sin(x / 3 + y / 7)[..., None] * (x > width // 2)[..., None]
    noisy = frame + rng.normal(0, 12, frame.shape)
    return np.rint(noisy.clip(0, 255)).astype(np.uint8)
