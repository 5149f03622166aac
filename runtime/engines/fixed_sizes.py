"""Sessions of ONNX Runtime for single sizes of pictures and dials.

With all lengths known, ONNX Runtime computes shapes and constants once: of 426 operators of
dehazing 210 are left, of 1210 of deblurring with a kernel about 800 (at 1280x720). What is left
can be recorded as a CUDA graph, with one launch in place of one for each operator.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE

from .byte_graph import FINITE
from .engine import Times

Shape = tuple[int, ...]

# Each has memory of its own on the GPU, as much as one picture takes.
_MOST = 4
# A session that one of so many calls used stays: otherwise sizes in turn would start one each time.
_RECENT = 64

# While a graph is recorded, no other may be.
_RECORDING = threading.Lock()


@dataclass(frozen=True)
class Key:
    """What a session is made for.

    shapes: of the image and of all dials that are turned, by name.
    in_bytes: whether pictures are uint8, shape (N, H, W, C), rather than float32, (N, C, H, W).
    """

    shapes: tuple[tuple[str, Shape], ...]
    in_bytes: bool

    @staticmethod
    def of(feeds: Mapping[str, np.ndarray]) -> Key:
        """The key of a call."""
        shapes = tuple(sorted((name, value.shape) for name, value in feeds.items()))
        return Key(shapes, feeds[IMAGE].dtype == np.uint8)

    @property
    def image(self) -> Shape:
        """The shape of the image."""
        return dict(self.shapes)[IMAGE]

    @property
    def inputs(self) -> dict[str, tuple[Shape, type]]:
        """Shape and type of each input."""
        return {
            name: (shape, np.uint8 if name == IMAGE and self.in_bytes else np.float32)
            for name, shape in self.shapes
        }

    @property
    def turned(self) -> tuple[str, ...]:
        """The names of the dials that are turned."""
        return tuple(name for name, _ in self.shapes if name != IMAGE)

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of pictures, height, width."""
        count, *rest = self.image
        height, width = rest[:2] if self.in_bytes else rest[1:]
        return count, height, width

    @property
    def sides(self) -> dict[str, int]:
        """Lengths of the graph's dimensions, by name."""
        found = dict(zip("NHW", self.size, strict=True))
        for name in self.turned:
            count, _, rows, columns = dict(self.shapes)[name]
            found |= {f"{name}_N": count, f"{name}_H": rows, f"{name}_W": columns}
        return found

    @property
    def outputs(self) -> dict[str, tuple[Shape, type]]:
        """Shape and type of each output."""
        count, height, width = self.size
        known: dict[str, tuple[Shape, type]] = {
            ENHANCED: (self.image, np.uint8 if self.in_bytes else np.float32),
            GUIDANCE: ((count, 1, height, width), np.float32),
        }
        return known | ({FINITE: ((1, 1, 1, 1), np.float32)} if self.in_bytes else {})


class FixedSizes:
    """The sessions for sizes that were prepared. Thread-safe.

    Sizes are prepared on request, not when they come again: results of the session for all sizes
    differ in the last digits, and should not depend on what came before.

    start: starts a session for a key; with True, one that records CUDA graphs.
    memory, index: where inputs and outputs of recorded sessions are, such as `cuda`, 0.
    records: whether to record.
    """

    def __init__(
        self, start: Callable[[Key, bool], Any], memory: str, index: int, records: bool
    ) -> None:
        self._start, self._place, self._records = start, (memory, index), records
        self._sessions: OrderedDict[Key, FixedSession | None] = OrderedDict()
        self._used: dict[Key, int] = {}  # by the number of the call
        self._starting: set[Key] = set()
        self._calls = 0
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.local()

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """While it is open, sizes that this thread asks for are prepared."""
        before = getattr(self._thread, "prepares", False)
        self._thread.prepares = True
        try:
            yield
        finally:
            self._thread.prepares = before

    def get(self, key: Key) -> FixedSession | None:
        """The session for a key; None if it is not prepared, or no session for it starts."""
        with self._lock:
            self._calls += 1
            if key in self._sessions:
                self._sessions.move_to_end(key)
                self._used[key] = self._calls
                return self._sessions[key]
            prepares = getattr(self._thread, "prepares", False)
            if not prepares or key in self._starting or not self._has_room():
                return None
            self._starting.add(key)
        session = self._make(key)  # while other threads go on
        with self._lock:
            self._starting.remove(key)
            if self._closed:
                return None
            if len(self._sessions) == _MOST:
                oldest, _ = self._sessions.popitem(last=False)
                del self._used[oldest]
            self._sessions[key] = session
            self._used[key] = self._calls
        return session

    def clear(self) -> None:
        """Free the memory of all sessions."""
        with self._lock:
            self._sessions.clear()
            self._used.clear()

    def close(self) -> None:
        """Free the sessions, and prepare no others."""
        self._closed = True
        self.clear()

    def __len__(self) -> int:
        return len(self._sessions)

    def _has_room(self) -> bool:
        """Whether a session may be added, in place of the one that was used longest ago."""
        if len(self._sessions) + len(self._starting) < _MOST:
            return True
        oldest = next(iter(self._sessions), None)
        return oldest is not None and self._calls - self._used[oldest] > _RECENT

    def _make(self, key: Key) -> FixedSession | None:
        """A session; None if it does not start, whatever the reason: that for all sizes goes on."""
        if self._records:
            try:
                session = self._start(key, True)
                return FixedSession(session, FixedCall(session, self._place, key))
            except Exception as error:  # of onnxruntime, too
                reason = " ".join(str(error).split())
                sizes = ", ".join(f"{name} {shape}" for name, shape in key.shapes)
                warnings.warn(
                    f"No CUDA graph is recorded for {sizes}: {reason}", RuntimeWarning, stacklevel=4
                )
        try:
            return FixedSession(self._start(key, False))
        except Exception:
            return None


@dataclass(frozen=True)
class FixedSession:
    """A session of onnxruntime for one size, and its call if it records CUDA graphs."""

    session: Any
    call: FixedCall | None = None


class FixedCall:
    """A recorded session with inputs and outputs at addresses of their own; calls take turns.

    All calls are made by one thread, because ONNX Runtime records a graph for each. The first one,
    which records, is made here.

    session: of onnxruntime. place: memory and index, see `FixedSizes`.
    Raises whatever ONNX Runtime does if there is no memory or nothing can be recorded.
    """

    def __init__(self, session: Any, place: tuple[str, int], key: Key) -> None:
        import onnxruntime

        def hold(shape: Shape, kind: type) -> Any:
            make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
            return make(list(shape), kind, *place)

        self._session = session
        self._is_copied = place[0] == "cpu"  # what would be overwritten by the next call
        self._inputs = {name: hold(*what) for name, what in key.inputs.items()}
        given = {value.name for value in session.get_outputs()}
        self._outputs = {n: hold(*what) for n, what in key.outputs.items() if n in given}
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)
        self._thread = ThreadPoolExecutor(1, "cuda-graph")
        zeros: dict[str, np.ndarray] = {name: np.zeros(*what) for name, what in key.inputs.items()}
        with _RECORDING:
            self.run(zeros, tuple(self._outputs))

    def run(
        self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]
    ) -> tuple[dict[str, np.ndarray], Times]:
        """Run once.

        feeds: all inputs, as in the key. wanted: outputs to fetch.
        Returns them, and how long each step took in wall-clock time.
        """
        return self._thread.submit(self._run, feeds, wanted).result()

    def _run(
        self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]
    ) -> tuple[dict[str, np.ndarray], Times]:
        began = time.perf_counter()
        for name, value in feeds.items():
            self._inputs[name].update_inplace(np.ascontiguousarray(value))
        sent = time.perf_counter()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        computed = time.perf_counter()
        results = {name: self._outputs[name].numpy() for name in wanted}
        if self._is_copied:
            results = {name: value.copy() for name, value in results.items()}
        fetched = time.perf_counter()
        steps = sent - began, computed - sent, fetched - computed
        return results, Times(*(1000 * step for step in steps))
