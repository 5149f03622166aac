"""`hyperguide enhance` for cameras and streams: shown, recorded or sent on as they come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from hyperguide.enhancer import Enhancer
from hyperguide.storage.atomic import refuse_existing, refuse_missing_folder
from hyperguide.video.addresses import Address
from hyperguide.video.camera import Camera
from hyperguide.video.files import FileOptions
from hyperguide.video.live import (
    Controls,
    LiveRun,
    LiveStatus,
    Shown,
    finish,
    part_name,
    sink_for,
)

from .messages import say
from .progress import live_line
from .signals import stops


def enhance_live(
    load: Callable[[], Enhancer],
    source: Address,
    destination: Address | None,
    show: bool,
    options: FileOptions,
    force: bool,
) -> None:
    """Enhance a live source until it ends, the window is closed, or Ctrl-C, its usual end.

    load: opens the model; frames pass through until it is there.
    Raises HyperguideError if the source does not open or the output cannot be written.
    """
    is_file = destination is not None and destination.is_file
    if destination is not None and is_file:
        refuse_missing_folder(destination.path)
        for path in (destination.path, part_name(destination.path)):
            refuse_existing(path, force)
    controls = Controls()
    with ExitStack() as stack:
        window = None
        if show:
            from hyperguide.video.window import Window

            strength = float(np.max(options.dials.get("strength", 1.0)))
            window = Window(f"hyperguide {source}", controls, strength)
            stack.callback(window.close)
        stop = stack.enter_context(stops())
        camera = stack.enter_context(Camera(source))
        sink = None if destination is None else sink_for(destination, options)
        run = LiveRun(camera, load, options, sink, controls)
        line = stack.enter_context(_Line())

        def display(shown: Shown | None, status: LiveStatus) -> None:
            if window is not None:
                window.show(shown, status)
            line.show(status)

        run.run(display, lambda: len(stop) > 0)
    if destination is not None and is_file:
        finish(destination.path)
    _tell(run.status, destination)


def _tell(status: LiveStatus, destination: Address | None) -> None:
    where = "" if destination is None else f"{destination}: "
    passed = f", {status.passed} passed through while the model loaded" if status.passed else ""
    again = f", opened {status.connections} times" if status.connections > 1 else ""
    say(
        f"{where}{status.frames} frames{passed}, {status.dropped} dropped, at most "
        f"{1000 * status.worst:.0f} ms old when shown{again}."
    )


class _Line:
    """A line on standard error: frames, rate, age, dropped."""

    def __init__(self) -> None:
        self._bar = live_line()
        self._row: Any = None

    def show(self, status: LiveStatus) -> None:
        """Show how it goes."""
        words = f"age {1000 * status.age:.0f} ms, {status.dropped} dropped"
        if status.waiting:
            words = f"{words}, {status.waiting}"
        if self._row is None:
            self._row = self._bar.add_task("live", total=None, status=words)
        self._bar.update(self._row, completed=status.frames, status=words)

    def __enter__(self) -> _Line:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
