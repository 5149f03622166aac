"""Records repeated calls as a CUDA graph and launches it as a whole.

pycuda cannot record a stream, so cuda-python does it on the same stream if it is installed.
Without it, or if something in a call cannot be recorded, every call is enqueued again.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Replay:
    """Records and replays the work of one stream.

    The first run after `forget` enqueues, because engines prepare themselves in the first call
    with a shape; the second records; later runs launch the recording.
    """

    def __init__(self, handle: int, wanted: bool = True) -> None:
        """Create a replay. handle: of the stream. wanted: False never records."""
        self._handle = handle
        self._cuda: Any = _cuda_python() if wanted else None
        self._graph: Any = None
        self._prepared = False

    def run(self, enqueue: Callable[[], None]) -> None:
        """Run the work of one call, which must be the same as in the last run."""
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
        """Drop the recording, because the next call differs."""
        graph, self._graph, self._prepared = self._graph, None, False
        if graph is not None:
            self._check(self._cuda.cuGraphExecDestroy(graph))

    def _record(self, enqueue: Callable[[], None]) -> Any:
        """Record what `enqueue` does as a graph; None if it cannot be recorded."""
        cuda = self._cuda
        mode = cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        if _failed(cuda.cuStreamBeginCapture(self._handle, mode)):
            return None
        try:
            enqueue()
            recorded = True
        except Exception:  # of TensorRT or pycuda; enqueueing again shows whether it matters
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
    """cuda-python's driver functions; None if it is not installed."""
    try:
        return importlib.import_module("cuda.bindings.driver")
    except (ImportError, OSError):
        return None
