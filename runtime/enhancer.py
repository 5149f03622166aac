"""The one call: a picture in, the enhanced picture and its guidance map out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from .bundled import gray_path, model_path
from .dials import Dial, Dials, check_dials
from .engine_file import SUFFIX, EngineFile, read_engine
from .engines import Engine, TakesBytes, open_engine
from .errors import HyperguideError, OutOfMemoryError
from .memory import free_bytes, used_bytes
from .model_file import (
    DIALS,
    ENHANCED,
    GUIDANCE,
    IMAGE,
    KERNEL,
    ModelFile,
    ModelInfo,
    read_model_file,
)
from .pixels import (
    Layout,
    from_tensor,
    layout_of,
    next_multiple,
    pad_to_multiple,
    pixels_to_planes,
    planes_to_pixels,
    to_tensor,
)
from .stream import Stream
from .tasks import TASKS
from .tiles import Tile, sample, side_for, tiles

__all__ = ["Dial", "Enhancer", "Result", "load"]

# From bytes of shape (N, H, W, C) to the outputs of a file that takes them.
RunBytes = Callable[[np.ndarray], dict[str, np.ndarray]]

# Called with how much of a picture is done, in [0, 1]; what it raises ends the call.
Report = Callable[[float], object]

# Files that do not say what a pixel costs.
_BYTES_PER_PIXEL = 3000
# Engines take up to so many times what their tensors need; OpenVINO, which pads channels, most.
_OVERHEAD = 4.2
# A picture that takes so little needs no look at the memory.
_SMALL = 1 << 28
# A picture is looked at whole in about so many pixels, where the map needs that.
_GLANCE = 1_000_000


@dataclass(frozen=True)
class Result:
    """What came out.

    image: of the input's shape and type.
    guidance: the map that was used, before `guidance_scale`, in the unit of
        `Enhancer.info.guidance`; float32, shape (H, W), or (N, H, W) for a batch. None if
        strength was 0, for then no map is computed.
    """

    image: np.ndarray
    guidance: np.ndarray | None


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
        self._takes_kernel = KERNEL in model.inputs
        self._engine = engine
        self._takes_only_bytes = self.info.io == "uint8"
        self._run_bytes: RunBytes | None = None
        if self._takes_only_bytes:
            self._run_bytes = lambda pixels: engine.run({IMAGE: pixels})
        elif isinstance(engine, TakesBytes):
            self._run_bytes = engine.run_bytes
        self._open_gray = for_gray
        self._tile = tile
        self._max_memory = max_memory
        self._most_pixels: int | None = None  # more than that did not fit into memory

    @property
    def engine(self) -> str:
        """Name of the engine that runs the model."""
        return self._engine.name

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
        self._check(image, layout, kernel)
        dials = check_dials(
            _size(image, layout),
            self.info.guidance,
            strength=strength,
            guidance=guidance,
            guidance_mix=guidance_mix,
            guidance_scale=guidance_scale,
            kernel=kernel,
        )
        if dials.off:
            return Result(image.copy(), None)
        return self._run(image, layout, dials, report or (lambda share: None))

    def map(self, images: Iterable[np.ndarray], ahead: int = 2, **dials: Any) -> Iterator[Result]:
        """Enhance pictures one after the other, in their order.

        ahead: how many may be under way before the first is asked for, so that reading,
            computing and writing overlap.
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
        """Frames of a video in their order, whose maps are smoothed over time: see `Stream`."""
        return Stream(self, self.info.guidance, smooth)

    def warmup(self, height: int, width: int) -> None:
        """Let the engine prepare for pictures of a size, which the first call would wait for."""
        planes = () if self.info.channels == 1 else (3,)
        self(np.zeros((height, width, *planes), np.uint8))

    def close(self) -> None:
        """Free what the engine holds; for engines that hold more than the process's memory."""
        close = getattr(self._engine, "close", None)
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

    def _check(self, image: np.ndarray, layout: Layout, kernel: np.ndarray | None) -> None:
        if self._takes_only_bytes and layout.dtype != np.uint8:
            raise HyperguideError(
                f"{self.path} takes pictures of bytes, not of {layout.dtype}: convert the picture "
                "to uint8, or use a file exported with --io float."
            )
        if kernel is not None and not self._takes_kernel:
            raise HyperguideError(f"A {self.info.task} model takes no kernel: leave it out.")

    def _run(self, image: np.ndarray, layout: Layout, dials: Dials, report: Report) -> Result:
        """Enhance a picture, in parts if it is large or the engine runs out of memory."""
        count, height, width = _size(image, layout)
        multiple = self.info.size_multiple
        overlap = self._overlap(dials)
        todo = list(tiles(height, width, self._side(image, layout, overlap), multiple))[::-1]
        done, glance = 0, None
        target = Result(np.empty(0), None)
        while todo:
            tile = todo.pop()
            seen = tile.seen(overlap, height, width)
            if seen.pixels < height * width and glance is None and self._looks_far(dials):
                glance = self._glance(image, layout)
            try:
                if self._most_pixels is not None and seen.pixels * count > self._most_pixels:
                    raise OutOfMemoryError("A part of this size did not fit before.")
                part = self._run_tile(image, layout, dials, seen, glance)
            except (OutOfMemoryError, MemoryError) as error:
                halves = tile.split(multiple)
                if len(halves) == 1:
                    raise HyperguideError(
                        f"{self.engine} has not enough memory for even {seen.pixels} pixels: "
                        "close other programs."
                    ) from error
                self._most_pixels = (
                    min(self._most_pixels or seen.pixels * count, seen.pixels * count) - 1
                )
                todo += halves[::-1]
                continue
            if tile.pixels == height * width:
                return part
            if done == 0:
                target = Result(np.empty_like(image), _empty_map(layout, height, width, count))
            _paste(target, part, tile, seen, layout)
            done += tile.pixels
            report(done / (height * width))
        return target

    def _run_tile(
        self,
        image: np.ndarray,
        layout: Layout,
        dials: Dials,
        seen: Tile,
        glance: np.ndarray | None,
    ) -> Result:
        """Enhance the part of a picture that the network is to see."""
        rows, columns = slice(*seen.rows), slice(*seen.columns)
        part = image[:, rows, columns] if layout.batched else image[rows, columns]
        multiple = self.info.size_multiple
        feeds = dials.feeds(rows, columns, multiple)
        if glance is not None:
            _, height, width = _size(image, layout)
            predicted = sample(glance, seen.rows, seen.columns, (height, width))
            feeds |= _with_prediction(feeds, pad_to_multiple(predicted, multiple))
        if not feeds and self._run_bytes is not None and layout.is_bytes(self.info.channels):
            return self._enhance_bytes(self._run_bytes, part, layout)
        tensor, _ = to_tensor(part, self.info.channels)
        height, width = tensor.shape[2:]
        outputs = self._run_planes({IMAGE: pad_to_multiple(tensor, multiple), **feeds})
        enhanced = outputs[ENHANCED][..., :height, :width]
        used = outputs[GUIDANCE][:, 0, :height, :width]
        self._refuse_infinite(enhanced)
        return Result(
            from_tensor(enhanced, part, layout),
            np.ascontiguousarray(used if layout.batched else used[0]),
        )

    def _overlap(self, dials: Dials) -> int:
        """How far beyond a part the network must see."""
        reach = self.info.receptive_field
        if self._takes_kernel:  # a Fourier transform sees everything, but little from afar
            kernel = dials.values.get(KERNEL)
            reach += 2 * max(kernel.shape[2:] if kernel is not None else (1, 1))
        return next_multiple(reach, self.info.size_multiple)

    def _looks_far(self, dials: Dials) -> bool:
        """Whether the map of a part would be another one than that of the whole picture."""
        if self.info.context == "local" or self._takes_kernel:
            return False
        mix = dials.values.get("guidance_mix")
        return mix is None or float(mix.min()) < 1

    def _glance(self, image: np.ndarray, layout: Layout) -> np.ndarray:
        """The map that is predicted for a whole picture, made smaller; shape (N, 1, h, w)."""
        count, height, width = _size(image, layout)
        factor = min((_GLANCE / (count * height * width)) ** 0.5, 1)
        size = (max(round(width * factor), 1), max(round(height * factor), 1))
        pictures = image if layout.batched else image[None]
        if layout.dtype == np.float16:
            pictures = pictures.astype(np.float32)
        small = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures])
        small = small.reshape(count, size[1], size[0], -1)
        whole = Tile((0, size[1]), (0, size[0]))
        dtype = small.dtype
        result = self._run_tile(
            small,
            replace(layout, batched=True, planes=True, dtype=dtype),
            Dials({}, off=False),
            whole,
            None,
        )
        assert result.guidance is not None
        return result.guidance[:, None]

    def _side(self, image: np.ndarray, layout: Layout, overlap: int) -> int:
        """The longest side of a part."""
        count, height, width = _size(image, layout)
        whole = max(height, width)
        if self._tile is None:
            return whole
        if self._tile != "auto":
            return min(self._tile, whole)
        cost = self.info.cost.get("bytes_per_pixel", _BYTES_PER_PIXEL) * _OVERHEAD
        if self._max_memory is not None:
            free = self._max_memory - (used_bytes() or image.nbytes)
        elif count * height * width * cost < _SMALL:
            return whole
        else:
            free = (free_bytes() or 2**63) // 2
        outputs = image.nbytes + 4 * count * height * width
        pixels = int((free - outputs) / cost / count)
        if height * width <= pixels:
            return whole
        return min(side_for(pixels, overlap, self.info.size_multiple), whole)

    def _run_planes(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a file of floats or of bytes on floats."""
        if not self._takes_only_bytes:
            return self._engine.run(feeds)
        outputs = self._engine.run({**feeds, IMAGE: planes_to_pixels(feeds[IMAGE])})
        return {**outputs, ENHANCED: pixels_to_planes(outputs[ENHANCED])}

    def _enhance_bytes(self, run: RunBytes, image: np.ndarray, layout: Layout) -> Result:
        """Enhance bytes where the engine or the file itself converts them."""
        pixels = image if layout.batched else image[None]
        if not layout.planes:
            pixels = pixels[..., None]
        height, width = pixels.shape[1:3]
        multiple = self.info.size_multiple
        outputs = run(pad_to_multiple(pixels, multiple, rows_axis=1))
        used = outputs[GUIDANCE][:, 0, :height, :width]
        self._refuse_infinite(used)
        enhanced = np.ascontiguousarray(outputs[ENHANCED][:, :height, :width])
        guidance = np.ascontiguousarray(used)
        if layout.batched:
            return Result(enhanced, guidance)
        return Result(enhanced.reshape(image.shape), guidance[0])

    def _refuse_infinite(self, values: np.ndarray) -> None:
        if not np.isfinite(values).all():
            raise HyperguideError(
                f"{self.engine} computed NaN or infinity for this picture: "
                "run 'hyperguide verify' on the model file."
            )


def load(
    model: str | Path,
    *,
    device: str = "auto",
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
    file = read_engine(path, trust) if path.suffix == SUFFIX else read_model_file(path)
    _ = file.info  # a file that is not ours fails here, before an engine sees it
    engine = open_engine(file, device, threads)

    def load_gray() -> Enhancer:
        assert beside is not None
        return load(beside, device=device, threads=threads, tile=tile, max_memory=max_memory)

    return Enhancer(file, engine, load_gray if beside else None, tile, max_memory)


def _least(known: int | None, found: int) -> int:
    return found if known is None else min(known, found)


def _size(image: np.ndarray, layout: Layout) -> tuple[int, int, int]:
    """Number of pictures, height, width."""
    height, width = image.shape[1:3] if layout.batched else image.shape[:2]
    return image.shape[0] if layout.batched else 1, height, width


def _empty_map(layout: Layout, height: int, width: int, count: int) -> np.ndarray:
    return np.empty((count, height, width) if layout.batched else (height, width), np.float32)


def _paste(target: Result, part: Result, tile: Tile, seen: Tile, layout: Layout) -> None:
    """Put what a tile gives into the whole."""
    into = slice(*tile.rows), slice(*tile.columns)
    out_of = tuple(
        slice(kept[0] - given[0], kept[1] - given[0])
        for kept, given in ((tile.rows, seen.rows), (tile.columns, seen.columns))
    )
    every = (slice(None),) if layout.batched else ()
    target.image[(*every, *into)] = part.image[(*every, *out_of)]
    assert target.guidance is not None
    assert part.guidance is not None
    target.guidance[(*every, *into)] = part.guidance[(*every, *out_of)]


def _with_prediction(feeds: dict[str, np.ndarray], predicted: np.ndarray) -> dict[str, np.ndarray]:
    """The dials of a part whose predicted map is given from outside."""
    given = feeds.get("guidance_in")
    if given is not None:
        mix = feeds.get("guidance_mix", np.float32(DIALS["guidance_mix"]))
        predicted = mix * given + (1 - mix) * predicted
    whole = np.ones((1, 1, 1, 1), np.float32)
    return {"guidance_in": np.ascontiguousarray(predicted, np.float32), "guidance_mix": whole}
