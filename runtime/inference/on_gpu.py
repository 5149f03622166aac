"""Enhances pictures that stay in GPU memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hyperguide.arrays import GpuArray
from hyperguide.engines import TakesGpuArrays
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import ENHANCED, GUIDANCE

from .dials import BatchSize, Dials
from .runner import Runner


@dataclass(frozen=True)
class GpuResult:
    """The result of a call, in GPU memory.

    image: of the input's shape and type.
    guidance: the map that was used, see `Result.guidance`.
    """

    image: GpuArray
    guidance: GpuArray


def run_on_gpu(runner: Runner, image: GpuArray, dials: Callable[[BatchSize], Dials]) -> GpuResult:
    """Enhance a picture or a batch; see `Enhancer.on_gpu`.

    dials: returns the dials for pictures of a size.
    """
    if not isinstance(runner.engine, TakesGpuArrays):
        raise HyperguideError(
            f"{runner.engine.name} takes no pictures from a GPU's memory: load the model with "
            "device='tensorrt' or 'cuda', or give a numpy array."
        )
    size = _size(runner, image)
    sizes = runner.info.sizes
    if not sizes.are_met(size[1], size[2]):
        raise HyperguideError(
            f"A picture in a GPU's memory must have sides that are multiples of {sizes.multiple}, "
            f"not {size[2]}x{size[1]}: pad it first."
        )
    batched = len(image.shape) == 4
    given = image if batched else image.reshaped((1, *image.shape))
    whole = slice(None), slice(None)
    made = runner.engine.run_on_gpu(given, dials(size).feeds(*whole, sizes))
    outputs = runner.checked(made, given)
    return GpuResult(
        outputs[ENHANCED].reshaped(image.shape),
        outputs[GUIDANCE].reshaped(size if batched else size[1:]),
    )


def _size(runner: Runner, image: GpuArray) -> BatchSize:
    """Number of pictures, height, width. Raises HyperguideError if the file does not take them."""
    info = runner.info
    in_bytes = info.io == "uint8"
    kind, order = (np.uint8, "HxWxC") if in_bytes else (np.float32, "CxHxW")
    shape = (1, *image.shape)[-4:]
    fits = len(shape) == 4 and shape[3 if in_bytes else 1] == info.channels
    if image.dtype != kind or not fits or 0 in shape:
        raise HyperguideError(
            f"{runner.path} takes {order} of {np.dtype(kind)} with {info.channels} channel(s) from "
            f"a GPU's memory, or a batch, not {image.dtype} of shape {image.shape}: convert it."
        )
    height, width = shape[1:3] if in_bytes else shape[2:]
    return shape[0], height, width
