"""Runs one picture, or a part of one, through an engine: conversions, padding and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from hyperguide.arrays import GpuArray
from hyperguide.engines import Engine, KeepsMemory, OmitsMaps, TakesBytes
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE, KERNEL
from hyperguide.model_format.engine_file import EngineFile
from hyperguide.model_format.model_file import ModelFile
from hyperguide.pixels import (
    Layout,
    from_tensor,
    pixels_to_planes,
    planes_to_pixels,
    to_tensor,
)
from hyperguide.result import Result

# Called with pictures as the file takes them, padded; returns its outputs.
RunOne = Callable[[np.ndarray], dict[str, np.ndarray]]
Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]

Array = TypeVar("Array", np.ndarray, GpuArray)


class Runner:
    """A model on an engine, for pictures of any layout.

    takes_kernel: whether it deblurs. steerable: whether it has dials, which some engines lack.
    """

    def __init__(self, model: ModelFile | EngineFile, engine: Engine) -> None:
        self.path = model.path
        self.info = model.info
        self.engine = engine
        self.takes_kernel = KERNEL in model.inputs
        self.steerable = "guidance_in" in model.inputs
        self._takes_only_bytes = self.info.io == "uint8"
        self._takes_bytes = self._takes_only_bytes or isinstance(engine, TakesBytes)

    def check(self, layout: Layout) -> None:
        """Raise HyperguideError if the file does not take pictures of this type."""
        if self._takes_only_bytes and layout.dtype != np.uint8:
            raise HyperguideError(
                f"{self.path} takes pictures of bytes, not of {layout.dtype}: convert the picture "
                "to uint8, or use a file exported with --io float."
            )

    def run(
        self,
        image: np.ndarray,
        layout: Layout,
        dials: Mapping[str, np.ndarray],
        is_part: bool = False,
        with_map: bool = True,
    ) -> Result:
        """Enhance a picture of any size.

        dials: those that are not at their defaults, padded as `SizeRequirements.pad` does.
        is_part: whether it is part of a larger one, after which the engine should keep no memory.
        with_map: whether the map is wanted; otherwise the result lacks it if that saves time.
        """
        in_bytes = self._takes_bytes and layout.is_bytes(self.info.channels)
        enhance = self._enhance_bytes if in_bytes else self._enhance_floats
        try:
            return enhance(self._call(in_bytes, dials, is_part, with_map), image, layout)
        except FloatingPointError:
            raise self._infinite() from None

    def _call(
        self, in_bytes: bool, dials: Mapping[str, np.ndarray], is_part: bool, with_map: bool
    ) -> RunOne:
        """The engine's call for padded bytes or planes; arguments as in `run`."""
        engine = self.engine
        omits = not (with_map or is_part or self._takes_only_bytes)
        if omits and isinstance(engine, OmitsMaps):
            take_image = engine.run_image
            return lambda p: self.checked({ENHANCED: take_image(p, dials)}, p, (ENHANCED,))
        call = engine.run
        if is_part and isinstance(engine, KeepsMemory):
            call = engine.run_once
        elif in_bytes and isinstance(engine, TakesBytes):
            take = engine.run_bytes
            return lambda p: self.checked(take(p, dials), p)

        def run(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return self.checked(call(feeds), feeds[IMAGE])

        if in_bytes:
            return lambda p: run({IMAGE: p, **dials})
        return lambda p: self._run_planes(run, {IMAGE: p, **dials})

    def checked(
        self,
        outputs: dict[str, Array],
        image: Array,
        names: Sequence[str] = (ENHANCED, GUIDANCE),
    ) -> dict[str, Array]:
        """Check and return an engine's outputs for an image as the file takes it, in any memory.

        names: of the outputs that must be there.
        Raises HyperguideError unless the picture has the image's shape and type, and the map a
        value for each pixel: graphs and shapes come from files that anybody may have written.
        """
        count, *sides = image.shape
        height, width = sides[:2] if image.dtype == np.uint8 else sides[1:]  # pixels or planes
        expected = {
            ENHANCED: (tuple(image.shape), image.dtype),
            GUIDANCE: ((count, 1, height, width), np.dtype(np.float32)),
        }
        for name in names:
            found, (shape, kind) = outputs[name], expected[name]
            if tuple(found.shape) != shape or found.dtype != kind:
                raise HyperguideError(
                    f"{self.engine.name} gave {name} as {found.dtype} of shape "
                    f"{tuple(found.shape)} where {kind} of {shape} belongs: export or download "
                    f"{self.path} again."
                )
        return outputs

    def _run_planes(self, run: Run, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a float or uint8 file on floats."""
        if not self._takes_only_bytes:
            return run(feeds)
        outputs = run({**feeds, IMAGE: planes_to_pixels(feeds[IMAGE])})
        return {**outputs, ENHANCED: pixels_to_planes(outputs[ENHANCED])}

    def _enhance_floats(self, run: RunOne, image: np.ndarray, layout: Layout) -> Result:
        """Enhance a picture of any type as planes of floats."""
        tensor, _ = to_tensor(image, self.info.channels)
        height, width = tensor.shape[2:]
        sizes = self.info.sizes
        outputs = run(sizes.pad(tensor))
        picture = from_tensor(sizes.crop(outputs[ENHANCED], height, width), image, layout)
        return Result(picture, self._map(outputs, height, width, layout))

    def _enhance_bytes(self, run: RunOne, image: np.ndarray, layout: Layout) -> Result:
        """Enhance bytes that the engine or the file itself converts."""
        pixels = layout.pixels(image)
        height, width = pixels.shape[1:3]
        sizes = self.info.sizes
        outputs = run(sizes.pad(pixels, rows_axis=1))
        guidance = self._map(outputs, height, width, layout)
        if guidance is not None and not np.isfinite(guidance).all():
            raise FloatingPointError
        enhanced = np.ascontiguousarray(sizes.crop(outputs[ENHANCED], height, width, rows_axis=1))
        return Result(enhanced.reshape(image.shape), guidance)

    def _map(
        self, outputs: Mapping[str, np.ndarray], height: int, width: int, layout: Layout
    ) -> np.ndarray | None:
        """The map among an engine's outputs, without padding; None if it is not there."""
        if GUIDANCE not in outputs:
            return None
        used = self.info.sizes.crop(outputs[GUIDANCE], height, width)[:, 0]
        return np.ascontiguousarray(used if layout.batched else used[0])

    def _infinite(self) -> HyperguideError:
        return HyperguideError(
            f"{self.engine.name} computed NaN or infinity for this picture: turn its dials less, "
            "or run 'hyperguide verify' on the model file."
        )
