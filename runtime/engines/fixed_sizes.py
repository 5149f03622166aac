"""Sessions of ONNX Runtime for single sizes of pictures, at fixed addresses on a GPU.

With all lengths known, ONNX Runtime computes shapes and constants once: of 426 operators of
dehazing 210 are left, of 1135 of deblurring 746 (at 1280x720). What is left runs on the GPU alone,
so a CUDA graph can hold it, with one launch in place of one for each operator.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE

from .byte_graph import FINITE
from .engine import Times

Shape = tuple[int, ...]

# Each has memory of its own on the GPU, as much as one picture takes.
_MOST = 4


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
    def sides(self) -> dict[str, int]:
        """Lengths of the graph's dimensions, by name."""
        count, *rest = self.image
        height, width = rest[:2] if self.in_bytes else rest[1:]
        return {"N": count, "H": height, "W": width}

    @property
    def outputs(self) -> dict[str, tuple[Shape, type]]:
        """Shape and type of each output."""
        count, height, width = self.sides.values()
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
    records: whether to record. Calls then take turns, so not for several at once.
    """

    def __init__(
        self, start: Callable[[Key, bool], Any], memory: str, index: int, records: bool
    ) -> None:
        self._start, self._place, self._records = start, (memory, index), records
        self._sessions: OrderedDict[Key, FixedSession | None] = OrderedDict()
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
            if key in self._sessions:
                self._sessions.move_to_end(key)
            elif getattr(self._thread, "prepares", False):
                if len(self._sessions) == _MOST:  # before another takes memory
                    self._sessions.popitem(last=False)
                self._sessions[key] = self._make(key)
            return self._sessions.get(key)

    def clear(self) -> None:
        """Free the sessions."""
        with self._lock:
            self._sessions.clear()

    def __len__(self) -> int:
        return len(self._sessions)

    def _make(self, key: Key) -> FixedSession | None:
        try:
            if self._records:
                recorded = self._recorded(key)
                if recorded is not None:
                    return recorded
            return FixedSession(self._start(key, False))
        except HyperguideError:  # the session for all sizes goes on
            return None

    def _recorded(self, key: Key) -> FixedSession | None:
        try:
            session = self._start(key, True)
        except HyperguideError as error:
            self._records = False
            warnings.warn(f"No CUDA graph is recorded: {error}", RuntimeWarning, stacklevel=2)
            return None
        return FixedSession(session, FixedCall(session, self._place, key))


@dataclass(frozen=True)
class FixedSession:
    """A session of onnxruntime for one size, and its call if it records CUDA graphs."""

    session: Any
    call: FixedCall | None = None


class FixedCall:
    """A session with inputs and outputs at addresses of their own; calls take turns.

    session: of onnxruntime. place: memory and index, see `FixedSizes`.
    """

    def __init__(self, session: Any, place: tuple[str, int], key: Key) -> None:
        import onnxruntime

        def hold(shape: Shape, kind: type) -> Any:
            make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
            return make(list(shape), kind, *place)

        self._session = session
        self._inputs = {
            name: hold(shape, np.uint8 if name == IMAGE and key.in_bytes else np.float32)
            for name, shape in key.shapes
        }
        given = {value.name for value in session.get_outputs()}
        self._outputs = {n: hold(*what) for n, what in key.outputs.items() if n in given}
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)
        self._lock = threading.Lock()

    def run(
        self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]
    ) -> tuple[dict[str, np.ndarray], Times]:
        """Run once.

        feeds: all inputs, as in the key. wanted: outputs to fetch.
        Returns them, and how long each step took in wall-clock time.
        """
        with self._lock:
            began = time.perf_counter()
            for name, value in feeds.items():
                self._inputs[name].update_inplace(np.ascontiguousarray(value))
            sent = time.perf_counter()
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
            computed = time.perf_counter()
            # Copies: what is in a CPU's memory would be overwritten by the next call.
            results = {name: self._outputs[name].numpy().copy() for name in wanted}
            fetched = time.perf_counter()
        steps = sent - began, computed - sent, fetched - computed
        return results, Times(*(1000 * step for step in steps))
