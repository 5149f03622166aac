"""The main interface: a picture in, the enhanced picture and its guidance map out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from hyperguide.inference.dials import BatchSize, Dial, Dials, check_dials
from hyperguide.inference.gray import as_color, as_gray, gray_ones, without_tint
from hyperguide.inference.on_gpu import GpuResult, run_on_gpu
from hyperguide.inference.runner import Runner
from hyperguide.inference.tile_size import TileSize
from hyperguide.inference.tile_strategies import Request
from hyperguide.inference.tiled import Progress, TiledRunner
from hyperguide.model_format.bundled import gray_path, model_path
from hyperguide.model_format.engine_file import EngineFile, read_file
from hyperguide.model_format.model_file import ModelFile
from hyperguide.model_format.model_info import ModelInfo

from .arrays import as_numpy, gpu_array, in_native_order
from .engines import (
    CALLS_ON_GPU,
    BuildProgress,
    Device,
    Engine,
    PreparesSizes,
    Settings,
    TakesGpuArrays,
    closed,
    fastest,
    open_device,
    open_engine,
    parse_device,
)
from .errors import HyperguideError
from .pixels import layout_of
from .result import Result
from .stream import Stream
from .tasks import TASKS

__all__ = ["Dial", "Enhancer", "Result", "load"]


class Enhancer:
    """A loaded model.

    Calling it enhances one picture or a batch of equal sizes. Calls keep no state and are
    thread-safe. `close`, or use as a context manager, frees the engine's resources.

    for_gray: opens the enhancer for gray pictures when the first one comes; None enhances them as
        colour.
    tile: longest side of the tiles that large pictures are split into; `auto` as memory allows,
        None to never split.
    max_memory: bytes that the process may use; None for half of the free memory.
    at_once: number of calls worth making concurrently; as many large pictures share that memory.
    why: reason for choosing this engine.
    """

    def __init__(
        self,
        model: ModelFile | EngineFile,
        engine: Engine,
        for_gray: Callable[[], Enhancer] | None = None,
        tile: int | Literal["auto"] | None = "auto",
        max_memory: int | None = None,
        at_once: int = 1,
        why: str = "it was given",
    ) -> None:
        self.path = model.path
        self.info: ModelInfo = model.info
        self.why = why
        self.at_once = at_once
        self.max_memory = max_memory
        self._runner = Runner(model, engine)
        tile_size = TileSize(self._runner, tile, max_memory, at_once)
        self._tiled = TiledRunner(self._runner, tile_size)
        self._open_gray = for_gray
        self._opening = threading.Lock()
        self._thread = threading.local()
        self._closed = False

    @property
    def engine(self) -> str:
        """Name of the engine that runs the model."""
        return self._runner.engine.name

    def __call__(
        self,
        image: np.ndarray,
        *,
        strength: Dial = 1.0,
        guidance: Dial | None = None,
        guidance_mix: Dial = 1.0,
        guidance_scale: Dial = 1.0,
        kernel: np.ndarray | None = None,
        with_map: bool = True,
        report: Progress | None = None,
    ) -> Result:
        """Enhance a picture.

        image: HxW, HxWxC or NxHxWxC; gray, gray and alpha, RGB, RGB and alpha; uint8, uint16,
            or float in [0, 1]. Any size. Alpha passes unchanged. RGB of three equal planes is
            enhanced as gray, and stays gray. A numpy array, or an object with DLPack on the CPU.
        strength: 0 returns the input bit for bit, without running the engine; 1 is the trained
            result; in between blends; above 1 exaggerates. A number, or an array of shape (H, W)
            or (N, H, W) to vary it over the picture; where that is 0, floats may come back rounded
            and clipped to [0, 1].
        guidance: a map to use instead of the predicted one, in the unit of `info.guidance`:
            a number or an array as above. An array of another size is resized, with a warning.
        guidance_mix: share of `guidance` in the map, the rest is predicted. Ignored without it.
        guidance_scale: multiplies the map that the reconstruction sees.
        kernel: of the blur, shape (kh, kw), odd sides, sum 1; for deblurring, which without it
            assumes a sharp picture.
        with_map: False saves time if you do not need the map: `Result.guidance` is then None.
        report: called after each part of a large picture with the fraction done, in [0, 1]; an
            exception ends the call. It must not call the enhancer, which would deadlock.

        Raises HyperguideError for unusable pictures, dials and kernels.
        """
        given = as_numpy(image)
        image = in_native_order(given)
        layout = layout_of(image)
        turned: dict[str, Any] = {
            "strength": strength,
            "guidance": guidance,
            "guidance_mix": guidance_mix,
            "guidance_scale": guidance_scale,
            "kernel": kernel,
        }
        gray = gray_ones(layout.pixels(image)) if layout.color == 3 else np.zeros(1, bool)
        if gray.all():
            result = self(as_gray(given), **turned, with_map=with_map, report=report)
            return Result(as_color(result.image), result.guidance)
        if self._open_gray is not None and layout.color == 1:
            with self._opening:  # concurrent threads open only one
                if self._closed:
                    raise closed(self.path)
                for_gray = self._gray
            with for_gray.preparing() if self._prepares else nullcontext():
                return for_gray(given, **turned, with_map=with_map, report=report)
        self._runner.check(layout)
        dials = self._dials(layout.size(image), turned)
        if self._closed:
            raise closed(self.path)
        if dials.off:
            return Result(given.copy(), None)
        request = Request(image, layout, dials)
        result = self._tiled.run(request, report or (lambda share: None), with_map)
        if gray.any():  # some of a batch
            result.image[gray] = without_tint(result.image[gray])
        enhanced = result.image if image is given else result.image.astype(given.dtype)
        return Result(enhanced, result.guidance if with_map else None)

    def on_gpu(self, image: Any, **dials: Any) -> GpuResult:
        """Enhance a picture in GPU memory, where the result stays.

        image: an array of CuPy, Numba, PyTorch or another library with CUDA's array interface.
            float32 of shape (C, H, W) or (N, C, H, W) in [0, 1]; for files exported with
            `--io uint8`, uint8 of shape (H, W, C) or (N, H, W, C). Height and width are multiples
            of `info.size_multiple`.
        dials: as in a call, in host memory; without `with_map` and `report`.
        Raises HyperguideError also if the engine runs on the CPU.
        """
        return run_on_gpu(self._runner, gpu_array(image), lambda size: self._dials(size, dials))

    def map(self, images: Iterable[np.ndarray], ahead: int = 2, **dials: Any) -> Iterator[Result]:
        """Enhance pictures and yield the results in order.

        ahead: how many may be in progress at once, so that reading, computing and writing overlap;
            give `load` the same number as `at_once` to compute as many at once.
        dials: as in a call.
        """
        pending: list[Future[Result]] = []
        source = iter(images)
        with ThreadPoolExecutor(max_workers=max(ahead, 1)) as pool:

            def begin(count: int) -> Exception | None:
                try:
                    for image in islice(source, count):
                        pending.append(pool.submit(self, image, **dials))
                except Exception as error:  # raised by `images`
                    return error
                return None

            try:
                broken = begin(max(ahead, 1))
                while pending:
                    result = pending.pop(0).result()
                    broken = broken or begin(1)
                    yield result
                if broken is not None:  # the pictures before it are done
                    raise broken
            finally:
                for future in pending:
                    future.cancel()

    def stream(self, smooth: float | None = None, temporal: bool | None = None) -> Stream:
        """Enhance frames of a video in order, with maps smoothed over time; see `Stream`.

        smooth: weight of the previous frame's map, in [0, 1); None takes the task's default, or 0
            for TensorRT engines without dials.
        temporal: whether to average frames where nothing moves; None does so for denoising.
        Raises HyperguideError if the engine has no dials to smooth or average with, or the map is
        not the noise level.
        """
        steerable = self._runner.steerable
        if smooth is None:
            smooth = self.info.guidance.smoothing if steerable else 0.0
        if temporal is None:
            temporal = self.info.task == "denoise" and steerable
        if (smooth or temporal) and not steerable:
            raise HyperguideError(
                f"{self.path} has no inputs to smooth its maps with: build it with --steerable, or "
                "take smooth=0 and temporal=False."
            )
        if temporal and not self.info.guidance.is_noise:
            raise HyperguideError(
                f"{self.path} does not predict the noise level, so it cannot average frames: take "
                "temporal=False."
            )
        return Stream(self._prepared, smooth, temporal, self.info.guidance)

    def _prepared(self, frame: np.ndarray, **dials: Any) -> Result:
        """Enhance a frame of a stream, whose size comes again."""
        with self.preparing():
            return self(frame, **dials)

    def warmup(self, height: int, width: int, **dials: Any) -> None:
        """Let the engine prepare for pictures of a size, so that the first call need not wait.

        On a GPU, ONNX Runtime is faster for sizes that it was prepared for.
        dials: as later calls will use them; some engines prepare separately for dials.
        """
        picture = np.zeros((height, width, self.info.channels), np.uint8)
        picture[0, 0, 0] = 1  # otherwise a colour picture would be gray
        with self.preparing():
            self(picture, **dials)

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """While it is open, calls of this thread prepare the engine for their sizes and dials.

        As `warmup` does, without calls of its own. Streams prepare for their frames. Up to four
        sizes are kept, and parts of large pictures and `on_gpu` do without.
        """
        engine, before = self._runner.engine, self._prepares
        self._thread.prepares = True
        try:
            with engine.preparing() if isinstance(engine, PreparesSizes) else nullcontext():
                yield
        finally:
            self._thread.prepares = before

    @property
    def _prepares(self) -> bool:
        """Whether this thread's calls prepare for their sizes."""
        return bool(getattr(self._thread, "prepares", False))

    def close(self) -> None:
        """Free the engine's resources. Later calls raise HyperguideError."""
        with self._opening:
            self._closed = True
            if "_gray" in vars(self):
                self._gray.close()
        self._runner.engine.close()

    def __enter__(self) -> Enhancer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise HyperguideError(
            f"An enhancer cannot be pickled or copied, its engine lives in this process: call "
            f"hyperguide.load on {self.path} where it is needed."
        )

    def _dials(self, size: BatchSize, turned: Mapping[str, Any]) -> Dials:
        if turned.get("kernel") is not None and not self._runner.takes_kernel:
            raise HyperguideError(f"A {self.info.task} model takes no kernel: leave it out.")
        return check_dials(size, self.info.guidance, **turned)

    @cached_property
    def _gray(self) -> Enhancer:
        assert self._open_gray is not None
        return self._open_gray()


def load(
    model: str | Path,
    *,
    device: str | Device = "auto",
    tier: str = "fast",
    precision: str = "fp32",
    threads: int = 0,
    at_once: int = 1,
    trust: bool = False,
    tile: int | Literal["auto"] | None = "auto",
    max_memory: int | None = None,
    strict: bool = False,
    cuda_graph: bool = False,
    building: BuildProgress = lambda phase, done, steps: None,
) -> Enhancer:
    """Load a bundled model by its task's name, or a model file by its path.

    model: `denoise`, `derain`, `dehaze`, `deblur`; the name of a bundled file, see `hyperguide
        models`; or the path of an .onnx file or of a TensorRT engine. A task's name also loads its
        model for gray pictures if there is one.
    device: see `engines.open_engine`. `Enhancer.engine` names the engine, `why` the reason for it.
    tier, precision: of a task's bundled model. Any fp32 file computes in `bf16` on request.
    threads, at_once: see `engines.Settings`; up to `at_once` pictures may be enhanced at the same
        time, by your threads or by `Enhancer.map`; on a GPU two at most.
    trust: load a TensorRT engine that somebody else built, which can carry code.
    tile, max_memory: how large pictures are split into tiles, see `Enhancer`.
    strict: refuse a GPU that leaves some operators to the CPU.
    cuda_graph: on `cuda`, record the sizes that `warmup` and streams prepare for. One launch then
        replaces one for each operator. Nothing else may use the GPU while a size is prepared.
    building: called with phase, steps done and number of steps while TensorRT builds its engine.
    Raises HyperguideError if there is no such model or it cannot run.
    """
    bf16 = precision == "bf16"
    settings = Settings(threads, at_once, strict, bf16, cuda_graph, building)
    path = model_path(model, tier, "fp32" if settings.bf16 else precision)
    beside = gray_path(path) if str(model) in TASKS else None
    file = read_file(path, trust)
    _ = file.info  # other ONNX files fail here, before an engine sees them
    where = parse_device(device) if isinstance(device, str) else device
    if where.kind == "auto":
        engine, why = fastest(file, settings)
    else:
        engine, why = open_device(file, where, settings), "it was asked for"
    if isinstance(engine, TakesGpuArrays):
        at_once = min(at_once, CALLS_ON_GPU)

    def load_gray() -> Enhancer:
        assert beside is not None
        gray = read_file(beside)
        opened = open_engine(gray, where, settings)
        return Enhancer(gray, opened, None, tile, max_memory, at_once, why)

    for_gray = load_gray if beside else None
    return Enhancer(file, engine, for_gray, tile, max_memory, at_once, why)
