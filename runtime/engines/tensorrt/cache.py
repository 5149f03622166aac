"""TensorRT engines for this machine's GPU, built once per model file and cached for the user."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hyperguide.arrays import GpuArray
from hyperguide.engines.engine import Times, closed
from hyperguide.errors import HyperguideError, UnavailableError
from hyperguide.model_format.contract import IMAGE, KERNEL
from hyperguide.model_format.engine_file import (
    SUFFIX,
    EngineFile,
    cache_folder,
    digest,
    read_engine,
    write_engine,
)
from hyperguide.model_format.model_file import ModelFile
from hyperguide.storage.file_lock import file_lock
from hyperguide.storage.paths import exists, make_folder

from .bindings import TensorRt, open_tensorrt
from .build import BuildOptions, BuildProgress, compile_engine, default_sizes
from .cuda import Gpu
from .engine import TensorRtEngine

# Smallest, best and largest number of pictures in a call.
_BATCHES = (1, 1, 4)


class CachedTensorRt:
    """A model file on TensorRT.

    It has two engines: one that takes only a picture, and one whose dials are inputs, which is
    built on the first call with dials.
    """

    def __init__(
        self,
        model: ModelFile,
        index: int = 0,
        report: BuildProgress = lambda phase, done, steps: None,
    ) -> None:
        """Find or build the engine of a model file.

        report: called while TensorRT builds, which can take minutes.
        Raises HyperguideError if TensorRT rejects the file or finds no GPU.
        """
        self._model = model
        self._index = index
        self._report = report
        self._engines: dict[bool, TensorRtEngine] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.name = self._engine(steerable=False).name

    @property
    def largest(self) -> tuple[int, int, int]:
        """See `Engine.largest`."""
        return self._engine(steerable=False).largest

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        return self._engine(bool(feeds.keys() - {IMAGE, KERNEL})).run(feeds)

    def run_timed(self, feeds: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Times]:
        """Run once and return how long each step took; see `TellsTimes.run_timed`."""
        return self._engine(bool(feeds.keys() - {IMAGE, KERNEL})).run_timed(feeds)

    def run_on_gpu(self, image: GpuArray, dials: Mapping[str, np.ndarray]) -> dict[str, GpuArray]:
        """Run once in GPU memory; see `TakesGpuArrays.run_on_gpu`."""
        return self._engine(bool(dials.keys() - {KERNEL})).run_on_gpu(image, dials)

    def close(self) -> None:
        """Free the GPU memory."""
        with self._lock:
            self._closed = True
        for engine in self._engines.values():
            engine.close()

    def _engine(self, steerable: bool) -> TensorRtEngine:
        with self._lock:
            if self._closed:
                raise closed(self._model.path)
            if steerable not in self._engines:
                file = cached_engine(self._model, self._index, steerable, self._report)
                self._engines[steerable] = TensorRtEngine(file, self._index)
            return self._engines[steerable]


def cached_engine(
    model: ModelFile, index: int, steerable: bool, report: BuildProgress
) -> EngineFile:
    """The engine of a model file for a GPU, from the cache or newly built.

    Two processes do not build the same engine at once: the second waits. If the cache cannot be
    written, a warning is issued and the next start builds again.

    Raises UnavailableError if TensorRT-RTX does not support this GPU; it supports none for data
    centres.
    """
    tensorrt, gpu = open_tensorrt(), Gpu(index)
    if tensorrt.is_rtx and gpu.capability not in tensorrt.targets:
        raise UnavailableError(
            f"TensorRT-RTX {tensorrt.version} does not run on an {gpu.name} ({gpu.capability}): "
            "take --device cuda, or pip install 'hyperguide[tensorrt]'."
        )
    options = BuildOptions(
        default_sizes(model.info.size_multiple),
        _BATCHES,
        targets=(gpu.capability,) if tensorrt.is_rtx else (),
        steerable=steerable,
        gpu=index,
    )
    path = cache_folder() / "engines" / f"{_key(model, options, tensorrt, gpu)}{SUFFIX}"
    with ExitStack() as held:
        # A folder that cannot be written is not fatal: `_build` warns.
        with suppress(HyperguideError, OSError):
            make_folder(path.parent)
            waits = file_lock(path.with_suffix(".lock"), lambda: report("waiting", 0, 1))
            held.enter_context(waits)
        return _read(path) or _build(model, path, options, tensorrt, report)


def _key(model: ModelFile, options: BuildOptions, tensorrt: TensorRt, gpu: Gpu) -> str:
    """A cache key that covers everything that affects the engine."""
    parts = [
        digest(model.content),
        repr(sorted(asdict(options).items())),
        tensorrt.name,
        tensorrt.version,
        gpu.capability,
        gpu.name,
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(path: Path) -> EngineFile | None:
    """Read an engine from the cache; None if it is missing or damaged."""
    if not exists(path):
        return None
    try:
        return read_engine(path)
    except HyperguideError:  # damaged: built again
        return None


def _build(
    model: ModelFile, path: Path, options: BuildOptions, tensorrt: TensorRt, report: BuildProgress
) -> EngineFile:
    """Build an engine and cache it; warn if the cache cannot be written."""
    built = compile_engine(model, options, tensorrt, report)
    try:
        write_engine(path, built.content, built.info)
    except HyperguideError as error:
        warnings.warn(
            f"The TensorRT engine of {model.path} is not kept, so the next start builds it again: "
            f"{error}",
            stacklevel=2,
        )
    return EngineFile(path, built.content, built.info)
