"""Enhances a live source: the newest frame wins, the model loads while frames pass through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.enhancer import Enhancer
from hyperguide.errors import HyperguideError
from hyperguide.stream import Stream
from hyperguide.tasks import Guidance

from .addresses import Address
from .av_library import av
from .camera import Camera, LiveFrame
from .dials import fitted_dials
from .enhancing import Item, colors_out
from .files import FileOptions
from .pipeline import Pipeline, Stage
from .sinks import CLOCK, Sink
from .summary import MapStatistics

# Seconds after which the loop looks at keys and signals though no frame came.
_PATIENCE = 0.1


@dataclass
class Controls:
    """What a viewer turns while pictures run; None leaves the strength as it was given."""

    strength: float | None = None
    paused: bool = False
    quit: bool = False


@dataclass(frozen=True)
class Shown:
    """A picture to show: before, after and the map, all of the same frame.

    after, guidance: None while the model is loading, or at strength 0. meaning: of the map.
    """

    frame: LiveFrame
    strength: float
    after: np.ndarray | None = None
    guidance: np.ndarray | None = None
    meaning: Guidance | None = None


@dataclass
class LiveStatus:
    """How a live run is going.

    frames: enhanced or passed through. dropped: replaced by newer ones. age: seconds from the
    arrival of the last picture to its being shown; worst: the greatest so far. waiting: why
    nothing comes, or that the model is loading; "" if all is well.
    """

    frames: int = 0
    dropped: int = 0
    age: float = 0.0
    worst: float = 0.0
    passed: int = 0
    connections: int = 1
    waiting: str = ""
    maps: MapStatistics = field(default_factory=MapStatistics)


class LiveRun:
    """One run over a live source.

    load: opens the enhancer; called in a thread, frames pass through until it is there.
    sink: where pictures are written, None for nowhere. controls: turned by a window.
    """

    def __init__(
        self,
        camera: Camera,
        load: Callable[[], Enhancer],
        options: FileOptions,
        sink: Callable[[LiveFrame], Sink] | None,
        controls: Controls,
    ) -> None:
        self.status = LiveStatus()
        self._camera = camera
        self._options = options
        self._open_sink = sink
        self._controls = controls
        self._loading = _Loading(load)
        self._stream: Stream | None = None
        self._connection = 0
        self._counted = -1
        self._dials: dict[str, Any] = {}
        self._size: tuple[int, int] | None = None

    def run(
        self, show: Callable[[Shown | None, LiveStatus], object], stop: Callable[[], bool]
    ) -> None:
        """Run until the source ends, `stop` returns true, or the controls say quit.

        show: called in this thread with each picture, and with None at least ten times a second
            while none comes.
        Raises HyperguideError if the model cannot be loaded, or an output cannot be written.
        """
        with ExitStack() as stack:
            stack.enter_context(self._loading)
            writer = _Writer(self._open_sink, self._camera) if self._open_sink else None
            if writer is not None:
                stack.callback(writer.close)
            stages: dict[str, Stage] = {} if writer is None else {"encode": writer.write}
            pipeline = Pipeline(self._pictures(), stages, first="enhance", ahead=1)
            for shown in pipeline:
                self._note(shown)
                show(shown, self.status)
                if stop() or self._controls.quit:
                    pipeline.stop()
                    break

    def _note(self, shown: Shown | None) -> None:
        status, camera = self.status, self._camera
        status.dropped = camera.dropped
        status.waiting = camera.lost or ("" if self._loading.done else "loading the model")
        if shown is None:
            return
        if shown.frame.number == self._counted:
            return  # a paused picture at another strength
        self._counted = shown.frame.number
        status.frames += 1
        status.passed += shown.after is None and shown.strength != 0
        status.connections = shown.frame.connection + 1
        status.age = camera.clock() - shown.frame.arrived
        status.worst = max(status.worst, status.age)
        if shown.guidance is not None:
            status.maps.add(float(np.mean(shown.guidance)))

    def _pictures(self) -> Iterator[Shown | None]:
        """Pictures as they come, and None while none does."""
        last: Shown | None = None
        while not self._camera.ended:
            if self._controls.paused and last is not None:
                again = self._again(last)
                threading.Event().wait(0 if again is not None else _PATIENCE)
                last = again or last
                yield again
                continue
            frame = self._camera.read(_PATIENCE)
            last = self._enhanced(frame) if frame is not None else last
            yield None if frame is None else last

    def _again(self, last: Shown) -> Shown | None:
        """A paused picture at another strength; None if it is the same."""
        strength = self._strength(last.frame)
        enhancer = self._loading.enhancer
        if enhancer is None or strength == last.strength:
            return None
        dials = {**self._dials, "strength": strength}
        result = enhancer(last.frame.image, **dials)
        return Shown(last.frame, strength, result.image, result.guidance, last.meaning)

    def _enhanced(self, frame: LiveFrame) -> Shown:
        strength = self._strength(frame)
        enhancer = self._loading.enhancer
        if enhancer is None or strength == 0:
            return Shown(frame, strength)
        if self._stream is None:
            self._stream = enhancer.stream(self._options.smooth, self._options.temporal)
        if frame.connection != self._connection:
            self._stream.reset()
            self._connection = frame.connection
        dials = self._dials_for(frame)
        if self._controls.strength is not None:
            dials = {**dials, "strength": strength}
        result = self._stream(frame.image, **dials)
        return Shown(frame, strength, result.image, result.guidance, enhancer.info.guidance)

    def _strength(self, frame: LiveFrame) -> float:
        if self._controls.strength is not None:
            return self._controls.strength
        given = self._dials_for(frame).get("strength", 1.0)
        return float(np.max(given))

    def _dials_for(self, frame: LiveFrame) -> dict[str, Any]:
        size = frame.info.height, frame.info.width
        if size != self._size:
            self._dials, _ = fitted_dials(self._options.dials, frame.info)
            self._size = size
        return self._dials


class _Loading:
    """A model that loads in a thread of its own."""

    def __init__(self, load: Callable[[], Enhancer]) -> None:
        self._load = load
        self._enhancer: Enhancer | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="hyperguide load", daemon=True)

    @property
    def done(self) -> bool:
        """Whether the model is there."""
        return self._enhancer is not None

    @property
    def enhancer(self) -> Enhancer | None:
        """The model; None while it loads. Raises what loading raised."""
        if self._failure is not None:
            raise self._failure
        return self._enhancer

    def __enter__(self) -> _Loading:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.join()
        if self._enhancer is not None:
            self._enhancer.close()

    def _run(self) -> None:
        try:
            self._enhancer = self._load()
        except BaseException as error:  # raised again in the thread that wants the model
            self._failure = error


class _Writer:
    """Writes pictures to a sink that opens with the first one."""

    def __init__(self, open_sink: Callable[[LiveFrame], Sink], camera: Camera) -> None:
        self._open = open_sink
        self._sink: Sink | None = None
        self._size: tuple[int, int, str] | None = None
        self._started = 0.0
        self._camera = camera

    def write(self, pictures: Iterator[Shown | None]) -> Iterator[Shown | None]:
        """Write pictures, and pass them on."""
        for shown in pictures:
            if shown is not None:
                self._write(shown)
            yield shown

    def close(self) -> None:
        """Close the sink."""
        if self._sink is not None:
            self._sink.close()

    def _write(self, shown: Shown) -> None:
        live = shown.frame
        size = live.info.width, live.info.height, live.info.format.name
        if self._sink is None:
            self._sink, self._size, self._started = self._open(live), size, live.arrived
        elif size != self._size:
            raise HyperguideError(
                f"{self._camera.address} came back with other frames, {size[0]}x{size[1]} "
                f"{size[2]}: the output ends here; start anew for the rest."
            )
        frame = _frame_of(shown, self._sink.pixel_format)
        frame.pts = round((live.arrived - self._started) * CLOCK)
        self._sink.write(frame)


def _frame_of(shown: Shown, pixel_format: str) -> av.VideoFrame:
    live = shown.frame
    item = Item(live.number, live.frame, live.planes, live.image, shown.after)
    if item.picture is None:
        item.picture = item.before
    (made,) = colors_out(iter([item]), live.info, pixel_format)
    return made.frame


def part_name(output: Path) -> Path:
    """The name of a recording until it is complete; after a crash it still plays."""
    return output.with_name(f"{output.stem}.part{output.suffix}")


def finish(output: Path) -> None:
    """Give a recording its name."""
    with suppress(FileNotFoundError):
        part_name(output).replace(output)


def sink_for(destination: Address, options: FileOptions) -> Callable[[LiveFrame], Sink]:
    """A function that opens the sink for the first frame."""
    path = part_name(destination.path) if destination.is_file else None

    def opened(frame: LiveFrame) -> Sink:
        return Sink(destination, frame.info, options.wishes, live=True, path=path)

    return opened
