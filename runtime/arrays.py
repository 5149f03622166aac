"""Arrays of other libraries: of the host's memory by DLPack, of a GPU's by CUDA's interface."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import HyperguideError


class GpuArray:
    """An array in the memory of an NVIDIA GPU, contiguous, in C order.

    CuPy, Numba, PyTorch and others take it as their own, without a copy, by version 3 of the CUDA
    array interface: https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html

    address: of its memory. owner: keeps the memory alive.
    pending: whether its values may still be under way on somebody's stream.
    """

    def __init__(
        self,
        address: int,
        shape: tuple[int, ...],
        dtype: np.dtype,
        owner: object,
        pending: bool = False,
    ) -> None:
        self.address = address
        self.shape = shape
        self.dtype = dtype
        self.pending = pending
        self._owner = owner

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "version": 3,
            "strides": None,
            "stream": None,  # what the array holds is computed
        }

    def reshaped(self, shape: tuple[int, ...]) -> GpuArray:
        """The same values in another shape of equal size."""
        assert int(np.prod(shape)) == int(np.prod(self.shape))
        return GpuArray(self.address, shape, self.dtype, self, self.pending)


def gpu_array(image: Any) -> GpuArray:
    """An array of another library.

    Raises HyperguideError unless it lies in a GPU's memory and is contiguous.
    """
    told = getattr(image, "__cuda_array_interface__", None)
    if told is None:
        raise HyperguideError(
            f"{type(image).__name__} is no array in a GPU's memory: call the enhancer itself for "
            "pictures of the host, or copy it to the GPU first."
        )
    shape, kind = tuple(told["shape"]), np.dtype(told["typestr"])
    strides = told.get("strides")
    if strides is not None and strides != _strides(shape, kind):
        raise HyperguideError(
            "A picture in the GPU's memory must be contiguous: make a contiguous copy first."
        )
    return GpuArray(told["data"][0], shape, kind, image, told.get("stream") is not None)


def as_numpy(image: Any) -> np.ndarray:
    """A picture of the host's memory as a numpy array, without a copy where that is possible.

    image: a numpy array, or what speaks DLPack, as tensors of PyTorch do.
    Raises HyperguideError for anything else.
    """
    if isinstance(image, np.ndarray):
        return image
    try:
        return np.from_dlpack(image)
    except (AttributeError, TypeError, BufferError, RuntimeError):
        raise HyperguideError(
            f"A picture must be a numpy array or speak DLPack on the CPU, not "
            f"{type(image).__name__}: read the file first."
        ) from None


def in_native_order(image: np.ndarray) -> np.ndarray:
    """The array itself, or a copy of one whose bytes are in the other machine's order."""
    return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder("="))


def _strides(shape: tuple[int, ...], kind: np.dtype) -> tuple[int, ...]:
    """Bytes from one element to the next along each axis of a contiguous array."""
    steps = [kind.itemsize]
    for length in shape[:0:-1]:
        steps.append(steps[-1] * length)
    return tuple(steps[::-1])
