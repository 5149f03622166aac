"""The memory and streams of one NVIDIA GPU, through pycuda.

pycuda is used only here, so that another package could replace it. The GPU's primary context,
which other CUDA users in the process share, is retained, and made current only while it is used:
pycuda's `autoinit` would leave its own context on the thread.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hyperguide.errors import HyperguideError, UnavailableError


class Gpu:
    """One GPU.

    All methods except `current` must be called within `current`.

    name: of the product. capability: its compute capability, such as `sm89`.
    """

    def __init__(self, index: int) -> None:
        """Retain a GPU's primary context.

        Raises HyperguideError if there is no such GPU or the driver refuses.
        """
        driver = _driver()
        self._driver = driver
        self._pool: Any = None
        try:
            driver.init()
            count = driver.Device.count()
            if index >= count:
                raise HyperguideError(f"There is no GPU {index}: this machine has {count}.")
            device = driver.Device(index)
            self.name = str(device.name())
            self.capability = "sm{}{}".format(*device.compute_capability())
            self._context: Any = device.retain_primary_context()
        except driver.Error as error:
            raise HyperguideError(f"GPU {index} does not start: {error}.") from error

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current on this thread for a `with` block."""
        self._context.push()
        try:
            yield
        finally:
            self._driver.Context.pop()

    def stream(self) -> Any:
        """A new stream; it has `handle` and `synchronize()`."""
        return self._driver.Stream()

    def event(self) -> Any:
        """A new event; it has `record(stream)` and `time_since(event)` in milliseconds."""
        return self._driver.Event()

    def staging(self) -> Staging:
        """New staging memory for one tensor."""
        return Staging(self._driver)

    def allocate(self, size: int) -> Any:
        """GPU memory that returns to a pool when it is released; int() is its address."""
        if self._pool is None:
            from pycuda.tools import DeviceMemoryPool

            self._pool = DeviceMemoryPool()
        return self._pool.allocate(size)

    def synchronize(self) -> None:
        """Wait for all work of the process on this GPU."""
        self._driver.Context.synchronize()

    @property
    def errors(self) -> type[Exception]:
        """The exception that calls raise."""
        return self._driver.Error


def _driver() -> Any:
    """pycuda's driver bindings. Raises UnavailableError if they do not load."""
    try:
        return importlib.import_module("pycuda.driver")
    except ImportError as error:  # built against another CUDA, or without the driver
        raise UnavailableError(
            f"pycuda is installed but does not load, {error}: install it again on this machine, "
            "pip install --force-reinstall --no-cache-dir pycuda."
        ) from error


class Staging:
    """GPU memory for one tensor, and pinned host memory to copy from and to.

    Both grow as needed and are kept between calls.
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._size = 0
        self._device: Any = None
        self._host: Any = None

    @property
    def address(self) -> int:
        """Address of the GPU memory."""
        return int(self._device)

    def hold(self, size: int) -> None:
        """Make room for `size` bytes."""
        if size <= self._size:
            return
        self.free()
        self._device = self._driver.mem_alloc(size)
        self._host = self._driver.pagelocked_empty(size, np.uint8)
        self._size = size

    def fill(self, values: np.ndarray) -> None:
        """Copy an array into the host memory; there must be room."""
        self._host[: values.nbytes].view(values.dtype).reshape(values.shape)[...] = values

    def send(self, size: int, stream: Any) -> None:
        """Copy `size` bytes to the GPU, in stream order."""
        self._driver.memcpy_htod_async(self._device, self._host[:size], stream)

    def fetch(self, size: int, stream: Any) -> None:
        """Copy `size` bytes to the host, in stream order."""
        self._driver.memcpy_dtoh_async(self._host[:size], self._device, stream)

    def values(self, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
        """A copy of the fetched values; the stream must have finished the fetch."""
        size = int(np.prod(shape)) * kind.itemsize
        return self._host[:size].view(kind).reshape(shape).copy()

    def free(self) -> None:
        """Free the memory."""
        device, self._device, self._host, self._size = self._device, None, None, 0
        if device is not None:
            device.free()
