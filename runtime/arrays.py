"""Arrays of other libraries: in host memory by DLPack, in GPU memory by CUDA's array interface."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import HyperguideError


class GpuArray:
    """An array in the memory of an NVIDIA GPU, contiguous, in C order.

    CuPy, Numba, PyTorch and others accept it without a copy, through version 3 of the CUDA array
    interface: https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html

    address: of its memory. owner: keeps the memory alive.
    pending: whether another stream may still be computing its values.
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
            "stream": None,  # the values are already computed
        }

    def reshaped(self, shape: tuple[int, ...]) -> GpuArray:
        """The same values in another shape of equal size."""
        assert int(np.prod(shape)) == int(np.prod(self.shape))
        return GpuArray(self.address, shape, self.dtype, self, self.pending)


def gpu_array(image: Any) -> GpuArray:
    """Wrap an array of another library.

    Raises HyperguideError unless it is in GPU memory and contiguous.
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
    """A picture in host memory as a numpy array, without a copy if possible.

    image: a numpy array, or an object that supports DLPack, such as a PyTorch tensor. Subclasses of
        numpy's array become plain arrays, with the usual rules for axes and arithmetic.
    Raises HyperguideError for anything else, and for masked values.
    """
    if isinstance(image, np.ndarray):
        return plain("picture", image)
    try:
        return np.from_dlpack(image)
    except (AttributeError, TypeError, BufferError, RuntimeError):
        raise HyperguideError(
            f"A picture must be a numpy array or speak DLPack on the CPU, not "
            f"{type(image).__name__}: {_mend(image)}."
        ) from None


def plain(what: str, values: np.ndarray) -> np.ndarray:
    """Convert an array of a subclass to a plain numpy array.

    Raises HyperguideError, naming `what`, if some of its values are masked.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise HyperguideError(
            f"The {what} is an array with masked values, which stand for nothing: fill them first, "
            "as with filled(0)."
        )
    return np.asarray(values)


def _mend(image: Any) -> str:
    """How to turn something that is not an array into one, for an error message."""
    if isinstance(image, list | tuple):
        return "make an array of it, numpy.asarray(picture, dtype=numpy.uint8)"
    if not hasattr(image, "__dlpack__"):
        return "read the file first"
    if getattr(image, "requires_grad", False):
        return "give picture.detach()"
    if "bfloat16" in str(getattr(image, "dtype", "")):
        return "numpy knows no bfloat16, give picture.float()"
    if hasattr(image, "__cuda_array_interface__"):
        return "give it to Enhancer.on_gpu, or copy it to the CPU first"
    return "copy it to the CPU as a dense array first"


def in_native_order(image: np.ndarray) -> np.ndarray:
    """The array in native byte order; a copy only if its byte order differs."""
    return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder("="))


def _strides(shape: tuple[int, ...], kind: np.dtype) -> tuple[int, ...]:
    """Bytes from one element to the next along each axis of a contiguous array."""
    steps = [kind.itemsize]
    for length in shape[:0:-1]:
        steps.append(steps[-1] * length)
    return tuple(steps[::-1])
