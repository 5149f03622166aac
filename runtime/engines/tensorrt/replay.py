"""Calls that repeat, recorded as a CUDA graph and launched as one.

pycuda cannot record a stream, so cuda-python does it on the same stream where it is installed.
Without it, or where something in a call cannot be recorded, every call is enqueued anew.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Replay:
    """What one stream repeats.

    The first run after `forget` enqueues, because engines prepare themselves in the first call of
    a shape; the second records; the following ones launch the record.
    """

    def __init__(self, handle: int, wanted: bool = True) -> None:
        """`handle` of the stream; `wanted` False never records."""
        self._handle = handle
        self._cuda: Any = _cuda_python() if wanted else None
        self._graph: Any = None
        self._prepared = False

    def run(self, enqueue: Callable[[], None]) -> None:
        """Enqueue the work of one call, the same as at the last run."""
        if self._cuda is None or not self._prepared:
            enqueue()
            self._prepared = True
            return
        if self._graph is None:
            self._graph = self._record(enqueue)
        if self._graph is None:
            self._cuda = None  # it cannot be recorded: do not try again
            enqueue()
        else:
            self._check(self._cuda.cuGraphLaunch(self._graph, self._handle))

    def forget(self) -> None:
        """Drop the record, for what comes is different."""
        graph, self._graph, self._prepared = self._graph, None, False
        if graph is not None:
            self._check(self._cuda.cuGraphExecDestroy(graph))

    def _record(self, enqueue: Callable[[], None]) -> Any:
        """The graph of what `enqueue` does; None if it cannot be recorded."""
        cuda = self._cuda
        mode = cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        if _failed(cuda.cuStreamBeginCapture(self._handle, mode)):
            return None
        try:
            enqueue()
            recorded = True
        except Exception:  # of TensorRT or pycuda; enqueueing it again tells whether it matters
            recorded = False
        ended = cuda.cuStreamEndCapture(self._handle)
        if _failed(ended):
            return None
        made = cuda.cuGraphInstantiate(ended[1], 0) if recorded else None
        cuda.cuGraphDestroy(ended[1])
        return None if made is None or _failed(made) else made[1]

    def _check(self, answer: tuple[Any, ...]) -> None:
        if _failed(answer):
            raise RuntimeError(f"CUDA graph: {answer[0]}")


def _failed(answer: tuple[Any, ...]) -> bool:
    return int(answer[0]) != 0


def _cuda_python() -> Any:
    """The driver's functions as cuda-python has them; None without it."""
    try:
        return importlib.import_module("cuda.bindings.driver")
    except (ImportError, OSError):
        return None
