"""The one call: a picture in, the enhanced picture and its guidance map out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from .bundled import gray_path, model_path
from .engine_file import SUFFIX, EngineFile, read_engine
from .engines import Engine, TakesBytes, open_engine
from .errors import HyperguideError
from .kernel_files import check_kernel
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
    pad_to_multiple,
    pixels_to_planes,
    planes_to_pixels,
    to_tensor,
)
from .tasks import TASKS

Dial = float | np.ndarray

# From bytes of shape (N, H, W, C) to the outputs of a file that takes them.
RunBytes = Callable[[np.ndarray], dict[str, np.ndarray]]

# Maps come from float arithmetic and from files; ends of the range may be missed by a rounding.
_ROUNDING = 1e-5


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

    Calling it enhances one picture or a batch of equal sizes. Calls keep no state.

    for_gray: opens the enhancer that gray pictures are left to, when the first one comes; None to
        enhance them as colour.
    """

    def __init__(
        self,
        model: ModelFile | EngineFile,
        engine: Engine,
        for_gray: Callable[[], Enhancer] | None = None,
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

        Raises HyperguideError for unusable pictures, dials and kernels.
        """
        if self._open_gray is not None and layout_of(image).color == 1:
            return self._gray(
                image,
                strength=strength,
                guidance=guidance,
                guidance_mix=guidance_mix,
                guidance_scale=guidance_scale,
                kernel=kernel,
            )
        if kernel is None and guidance is None and _is_one(strength) and _is_one(guidance_scale):
            layout = layout_of(image)
            if self._run_bytes is not None and layout.is_bytes(self.info.channels):
                return self._enhance_bytes(self._run_bytes, image, layout)
        tensor, layout = to_tensor(image, self.info.channels)
        count, _, height, width = tensor.shape
        shape = (count, height, width)
        dials = {
            "strength": _dial(strength, "strength", shape),
            "guidance_scale": _dial(guidance_scale, "guidance_scale", shape),
        }
        if guidance is not None:
            dials["guidance_in"] = self._guidance(guidance, shape)
            dials["guidance_mix"] = _dial(guidance_mix, "guidance_mix", shape, maximum=1.0)
        if kernel is not None:
            dials[KERNEL] = self._kernel(kernel, height, width)
        if not dials["strength"].any():
            return Result(image.copy(), None)
        multiple = self.info.size_multiple
        feeds = {
            name: value if value.size == 1 or name == KERNEL else pad_to_multiple(value, multiple)
            for name, value in dials.items()
            if not (value.size == 1 and value.item() == DIALS.get(name))  # as they are anyway
        }
        if self._takes_only_bytes and layout.dtype != np.uint8:
            raise HyperguideError(
                f"{self.path} takes pictures of bytes, not of {layout.dtype}: convert the picture "
                "to uint8, or use a file exported with --io float."
            )
        outputs = self._run_planes({IMAGE: pad_to_multiple(tensor, multiple), **feeds})
        enhanced = outputs[ENHANCED][..., :height, :width]
        used = outputs[GUIDANCE][:, 0, :height, :width]
        self._refuse_infinite(enhanced)
        return Result(
            from_tensor(enhanced, image, layout),
            np.ascontiguousarray(used if layout.batched else used[0]),
        )

    @cached_property
    def _gray(self) -> Enhancer:
        assert self._open_gray is not None
        return self._open_gray()

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

    def _kernel(self, kernel: np.ndarray, height: int, width: int) -> np.ndarray:
        """Check a kernel and bring it to shape (1, 1, kh, kw)."""
        if not self._takes_kernel:
            raise HyperguideError(f"A {self.info.task} model takes no kernel: leave it out.")
        checked = check_kernel(np.asarray(kernel), "kernel")
        rows, columns = checked.shape
        if rows > height or columns > width:
            raise HyperguideError(
                f"The kernel of {columns}x{rows} is larger than the picture of {width}x{height}: "
                "give a larger picture."
            )
        return checked[None, None]

    def _guidance(self, guidance: Dial, shape: tuple[int, int, int]) -> np.ndarray:
        meaning = self.info.guidance
        values = _numbers(guidance, "guidance map")
        low, high = meaning.minimum, meaning.maximum
        worst = float(values.max()) if values.max() > high else float(values.min())
        if not low - _ROUNDING <= worst <= high + _ROUNDING:
            raise HyperguideError(
                f"The guidance value {worst:g} is outside {low:g}..{high:.3g} "
                f"({meaning.name}, {meaning.unit}): give values in that range."
            )
        values = values.clip(low, high)
        if values.ndim == 3 and values.shape[-1] == 1 and values.shape[:2] == shape[1:]:
            values = values[..., 0]
        if values.ndim in (2, 3) and values.shape[-2:] != shape[1:]:
            warnings.warn(
                f"The guidance map of {values.shape[-1]}x{values.shape[-2]} pixels was resized to "
                f"the picture's {shape[2]}x{shape[1]}.",
                stacklevel=3,
            )
            values = _resize(values, shape[1:])
        return _fit(values, "guidance", shape)


def load(
    model: str | Path,
    *,
    device: str = "auto",
    tier: str = "fast",
    precision: str = "fp32",
    threads: int = 0,
    trust: bool = False,
) -> Enhancer:
    """Load a bundled model by its task's name, or a model file by its path.

    model: `denoise`, `derain`, `dehaze`; the name of a bundled file, see `hyperguide models`; or
        the path of an .onnx file or of a TensorRT engine. By its task's name a model for gray
        pictures comes along where there is one.
    device: see `engines.open_engine`.
    tier, precision: of a task's bundled model.
    threads: of the CPU engine; 0 takes one per core.
    trust: load a TensorRT engine that somebody else built, which can carry code.
    Raises HyperguideError if there is no such model or it cannot run.
    """
    path = model_path(model, tier, precision)
    beside = gray_path(path) if str(model) in TASKS else None
    file = read_engine(path, trust) if path.suffix == SUFFIX else read_model_file(path)
    _ = file.info  # a file that is not ours fails here, before an engine sees it
    engine = open_engine(file, device, threads)
    if beside is None:
        return Enhancer(file, engine)
    return Enhancer(file, engine, lambda: load(beside, device=device, threads=threads))


def _is_one(dial: Dial) -> bool:
    return isinstance(dial, int | float) and dial == 1


def _numbers(value: Dial, what: str) -> np.ndarray:
    """The value as float32. Raises HyperguideError unless it is one or more finite numbers."""
    try:
        values = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise HyperguideError(f"The {what} must be a number or an array of numbers.") from None
    if values.size == 0:
        raise HyperguideError(f"The {what} is empty, its shape is {values.shape}.")
    if not np.isfinite(values).all():
        raise HyperguideError(f"The {what} contains NaN or infinity: replace those values.")
    return values


def _dial(
    value: Dial, name: str, shape: tuple[int, int, int], maximum: float = math.inf
) -> np.ndarray:
    """Check a dial and bring it to rank 4: (1, 1, 1, 1), or (1 or N, 1, H, W)."""
    values = _numbers(value, name)
    if values.min() < 0 or values.max() > maximum:
        worst = values.min() if values.min() < 0 else values.max()
        upper = "" if math.isinf(maximum) else f" and at most {maximum:g}"
        raise HyperguideError(f"The {name} must be at least 0{upper}, not {worst:g}.")
    return _fit(values, name, shape)


def _fit(values: np.ndarray, name: str, shape: tuple[int, int, int]) -> np.ndarray:
    """Bring checked values to rank 4. Raises HyperguideError for a shape that does not fit."""
    if values.ndim == 0:
        return values.reshape(1, 1, 1, 1)
    count, height, width = shape
    if values.shape == (height, width) or values.shape in ((1, height, width), shape):
        return values.reshape(-1, 1, height, width)
    raise HyperguideError(
        f"The {name} of shape {values.shape} does not fit {count} picture(s) of {width}x{height}: "
        f"give a number or an array of shape ({height}, {width})."
    )


def _resize(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map (H, W) or maps (N, H, W) linearly to (height, width)."""
    maps = values.reshape(-1, *values.shape[-2:])
    resized = [cv2.resize(m, size[::-1], interpolation=cv2.INTER_LINEAR) for m in maps]
    return np.stack(resized).reshape(*values.shape[:-2], *size)
