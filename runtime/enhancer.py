"""The one call: a picture in, the enhanced picture and its guidance map out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .bundled import gray_path, model_path
from .dials import Dial, check_dials
from .engine_file import EngineFile, read_file
from .engines import Device, Engine, open_engine
from .errors import HyperguideError
from .model_file import ModelFile, ModelInfo
from .parts import Parts, Report
from .pixels import layout_of
from .result import Result
from .runner import Runner
from .stream import Stream
from .tasks import TASKS

__all__ = ["Dial", "Enhancer", "Result", "load"]


class Enhancer:
    """A loaded model.

    Calling it enhances one picture or a batch of equal sizes. Calls keep no state, and threads may
    call it at once. As a context manager, or by `close`, it frees what the engine holds.

    for_gray: opens the enhancer that gray pictures are left to, when the first one comes; None to
        enhance them as colour.
    tile: longest side of the parts that large pictures are cut into; `auto` as long as memory
        allows, None never.
    max_memory: bytes that the process may use; None half of what is free.
    """

    def __init__(
        self,
        model: ModelFile | EngineFile,
        engine: Engine,
        for_gray: Callable[[], Enhancer] | None = None,
        tile: int | Literal["auto"] | None = "auto",
        max_memory: int | None = None,
    ) -> None:
        self.path = model.path
        self.info: ModelInfo = model.info
        self._runner = Runner(model, engine)
        self._parts = Parts(self._runner, tile, max_memory)
        self._open_gray = for_gray

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
        report: Report | None = None,
    ) -> Result:
        """Enhance a picture.

        image: HxW, HxWxC or NxHxWxC; gray, gray and alpha, RGB, RGB and alpha; uint8, uint16,
            or float in [0, 1]. Any size. Alpha passes unchanged.
        strength: 0 returns the input bit for bit, without running the engine; 1 is the trained
            result; in between blends; above 1 exaggerates. A number, or an array of shape (H, W)
            or (N, H, W) to vary it over the picture.
        guidance: a map to use instead of the predicted one, in the unit of `info.guidance`:
            a number or an array as above. An array of another size is resized, with a warning.
        guidance_mix: how much of `guidance` is used, the rest is predicted. Ignored without it.
        guidance_scale: multiplies the map that the reconstruction sees.
        kernel: of the blur, shape (kh, kw), odd sides, sum 1; for deblurring, which without it
            takes the picture for sharp.
        report: called after each part of a large picture with how much is done, in [0, 1]; what it
            raises ends the call.

        Raises HyperguideError for unusable pictures, dials and kernels.
        """
        layout = layout_of(image)
        if self._open_gray is not None and layout.color == 1:
            return self._gray(
                image,
                strength=strength,
                guidance=guidance,
                guidance_mix=guidance_mix,
                guidance_scale=guidance_scale,
                kernel=kernel,
                report=report,
            )
        self._runner.check(layout)
        if kernel is not None and not self._runner.takes_kernel:
            raise HyperguideError(f"A {self.info.task} model takes no kernel: leave it out.")
        dials = check_dials(
            layout.size(image),
            self.info.guidance,
            strength=strength,
            guidance=guidance,
            guidance_mix=guidance_mix,
            guidance_scale=guidance_scale,
            kernel=kernel,
        )
        if dials.off:
            return Result(image.copy(), None)
        return self._parts.run(image, layout, dials, report or (lambda share: None))

    def map(self, images: Iterable[np.ndarray], ahead: int = 2, **dials: Any) -> Iterator[Result]:
        """Enhance pictures one after the other, in their order.

        ahead: how many may be under way at once, so that reading, computing and writing overlap.
        dials: as of a call.
        """
        pending: list[Future[Result]] = []
        source = iter(images)
        with ThreadPoolExecutor(max_workers=max(ahead, 1)) as pool:
            try:
                for image in islice(source, max(ahead, 1)):
                    pending.append(pool.submit(self, image, **dials))
                while pending:
                    result = pending.pop(0).result()
                    pending += [pool.submit(self, image, **dials) for image in islice(source, 1)]
                    yield result
            finally:
                for future in pending:
                    future.cancel()

    def stream(self, smooth: float | None = None) -> Stream:
        """Frames of a video in their order, whose maps are smoothed over time: see `Stream`.

        smooth: weight of the previous frame's map, in [0, 1); None takes what suits the task.
        """
        return Stream(self, self.info.guidance.smoothing if smooth is None else smooth)

    def warmup(self, height: int, width: int) -> None:
        """Let the engine prepare for pictures of a size, which the first call would wait for."""
        planes = () if self.info.channels == 1 else (3,)
        self(np.zeros((height, width, *planes), np.uint8))

    def close(self) -> None:
        """Free what the engine holds; for engines that hold more than the process's memory."""
        close = getattr(self._runner.engine, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Enhancer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

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
    trust: bool = False,
    tile: int | Literal["auto"] | None = "auto",
    max_memory: int | None = None,
) -> Enhancer:
    """Load a bundled model by its task's name, or a model file by its path.

    model: `denoise`, `derain`, `dehaze`; the name of a bundled file, see `hyperguide models`; or
        the path of an .onnx file or of a TensorRT engine. By its task's name a model for gray
        pictures comes along where there is one.
    device: see `engines.open_engine`.
    tier, precision: of a task's bundled model.
    threads: of the CPU engine; 0 takes one per core.
    trust: load a TensorRT engine that somebody else built, which can carry code.
    tile, max_memory: how large pictures are cut, see `Enhancer`.
    Raises HyperguideError if there is no such model or it cannot run.
    """
    path = model_path(model, tier, precision)
    beside = gray_path(path) if str(model) in TASKS else None
    file = read_file(path, trust)
    _ = file.info  # a file that is not ours fails here, before an engine sees it
    engine = open_engine(file, device, threads)

    def load_gray() -> Enhancer:
        assert beside is not None
        return load(beside, device=device, threads=threads, tile=tile, max_memory=max_memory)

    return Enhancer(file, engine, load_gray if beside else None, tile, max_memory)
