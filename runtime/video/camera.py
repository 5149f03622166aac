"""The newest frame of a camera or stream: late ones are dropped, lost sources are opened again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Protocol

import numpy as np

from hyperguide.errors import HyperguideError

from .addresses import Address, parse_source
from .av_library import av
from .colors import to_rgb
from .planes import planes_of
from .source import VideoInfo, VideoSource

# Seconds without a new frame after which a source counts as lost.
LOST = 2.0
# Seconds until it is opened again: the first time, and at most.
BACK_OFF, LONGEST_BACK_OFF = 0.5, 10.0


class Source(Protocol):
    """What `VideoSource` gives."""

    info: VideoInfo
    ended_early: str

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames in order."""
        ...


@dataclass(frozen=True)
class LiveFrame:
    """A frame and when it came.

    number: of the frames that came, from 0. arrived: seconds on the camera's clock.
    connection: how often the source had been opened before.
    """

    frame: av.VideoFrame
    info: VideoInfo
    number: int
    arrived: float
    connection: int

    @cached_property
    def planes(self) -> list[np.ndarray]:
        """The planes in `info.format`."""
        return planes_of(self.frame, self.info.format)

    @cached_property
    def image(self) -> np.ndarray:
        """RGB, shape (H, W, 3), or (H, W) for gray; uint8, or uint16 for more than 8 bits."""
        return to_rgb(self.planes, self.info.coding)


class Camera:
    """The newest frame of a live source.

    with Camera(parse_source("camera:0")) as camera:
        for frame in camera:
            show(frame.image)

    A thread reads the source all the time, so that frames never wait in its buffers. A source that
    ends or breaks is opened again.
    """

    def __init__(
        self,
        address: Address,
        open_source: Callable[[Address], AbstractContextManager[Source]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to read; `with` opens the source.

        open_source, clock: for tests.
        """
        self.address = address
        self.clock = clock
        self._open = open_source or (lambda address: VideoSource(address, live=True))
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._newest: LiveFrame | None = None
        self._failure: HyperguideError | None = None
        self._received = self._taken = self._connections = 0
        self._taken_arrived: float | None = None
        self._arrived = clock()
        self._ended = False
        self._why = ""
        self._thread = threading.Thread(target=self._read, name="hyperguide camera", daemon=True)

    @property
    def received(self) -> int:
        """Frames that came."""
        return self._received

    @property
    def dropped(self) -> int:
        """Frames that were replaced by a newer one before they were taken."""
        with self._changed:
            waiting = self._newest is not None
            return self._received - self._taken - waiting

    @property
    def age(self) -> float:
        """Seconds since the frame that was taken last arrived; 0 before the first."""
        arrived = self._taken_arrived
        return 0.0 if arrived is None else self.clock() - arrived

    @property
    def lost(self) -> str:
        """Why no frame has come for `LOST` seconds; "" while frames come."""
        if self._ended or self.clock() - self._arrived < LOST:
            return ""
        return self._why or "no new frame comes"

    @property
    def ended(self) -> bool:
        """Whether a source that is a file has ended."""
        return self._ended and self._newest is None

    def read(self, timeout: float = LOST) -> LiveFrame | None:
        """The newest frame that was not taken yet; waits for it up to `timeout` seconds.

        Returns None if none came. A frame is never returned twice.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._newest is not None or self._ended or self._closing.is_set(), timeout
            )
            frame, self._newest = self._newest, None
            if frame is not None:
                self._taken += 1
                self._taken_arrived = frame.arrived
            return frame

    def __iter__(self) -> Iterator[LiveFrame]:
        """The newest frames, until the camera is closed; waits while the source is lost."""
        while not self._closing.is_set() and not self.ended:
            frame = self.read()
            if frame is not None:
                yield frame

    def close(self) -> None:
        """Stop reading."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> Camera:
        """Open the source. Raises HyperguideError if its first frame does not come."""
        self._thread.start()
        with self._changed:
            self._changed.wait_for(
                lambda: self._received > 0 or self._failure is not None or self._ended
            )
        if self._failure is not None:
            self.close()
            raise self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        """Read until closed, in a thread of its own."""
        delay = BACK_OFF
        while not self._closing.is_set():
            before = self._received
            try:
                with self._open(self.address) as source:
                    self._read_all(source)
                    self._why = source.ended_early or "the source has ended"
            except HyperguideError as error:
                self._why = str(error)
                if before == self._received == 0:
                    self._end(error)
                    return
            if self.address.is_file or self.address.is_pipe:
                self._end(None)
                return
            delay = BACK_OFF if self._received > before else min(2 * delay, LONGEST_BACK_OFF)
            self._connections += 1
            self._closing.wait(delay)

    def _read_all(self, source: Source) -> None:
        first: float | None = None
        for frame in source.frames():
            if self.address.is_paced and frame.pts is not None:
                due = float(frame.pts * source.info.time_base)
                first = self.clock() - due if first is None else first
                self._closing.wait(max(first + due - self.clock(), 0))
            if self._closing.is_set():
                return
            with self._changed:
                self._arrived = self.clock()
                self._newest = LiveFrame(
                    frame, source.info, self._received, self._arrived, self._connections
                )
                self._received += 1
                self._changed.notify_all()

    def _end(self, failure: HyperguideError | None) -> None:
        with self._changed:
            self._failure, self._ended = failure, True
            self._changed.notify_all()


def open_camera(source: str) -> Camera:
    """The camera for a name; see `hyperguide.camera`."""
    return Camera(parse_source(source, live=True))
