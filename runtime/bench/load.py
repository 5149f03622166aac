"""How calls arrive: one after the other, several at once, or as frames at a fixed rate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .clock import Clock, WallClock

Call = Callable[[], object]

# An engine that cannot keep up is stopped after this multiple of the time in which frames arrive.
_PATIENCE = 3


@dataclass(frozen=True)
class Load:
    """The timings of a stretch of work.

    latencies: of each call in seconds, in order of arrival.
    seconds: from the first call to the end of the last one; at a fixed rate, at least the time in
        which the frames arrive.
    """

    latencies: tuple[float, ...]
    seconds: float

    @property
    def calls_per_second(self) -> float:
        """The rate of completed calls."""
        return len(self.latencies) / self.seconds


def joined(loads: Sequence[Load]) -> Load:
    """Concatenate stretches of work."""
    every = tuple(latency for load in loads for latency in load.latencies)
    return Load(every, sum(load.seconds for load in loads))


def one_by_one(call: Call, seconds: float, clock: Clock | None = None) -> Load:
    """A closed loop: each call begins when the previous one has ended.

    seconds: no call begins later, but at least one is made.
    """
    clock = clock or WallClock()
    began = before = clock.now()
    latencies: list[float] = []
    while not latencies or before < began + seconds:
        call()
        now = clock.now()
        latencies.append(now - before)
        before = now
    return Load(tuple(latencies), before - began)


def at_once(call: Call, streams: int, seconds: float, clock: Clock | None = None) -> Load:
    """Concurrent closed loops, each on its own thread; `call` must be thread-safe."""
    clock = clock or WallClock()
    ready = threading.Barrier(streams)

    def loop() -> tuple[float, Load]:
        ready.wait()
        return clock.now(), one_by_one(call, seconds, clock)

    with clock.threads(streams) as pool:
        loops = [future.result() for future in [pool.submit(loop) for _ in range(streams)]]
    ends = [began + load.seconds for began, load in loops]
    every = tuple(latency for _, load in loops for latency in load.latencies)
    return Load(every, max(ends) - min(began for began, _ in loops))


def at_rate(
    call: Call, fps: float, seconds: float, servers: int = 1, clock: Clock | None = None
) -> Load:
    """An open loop: frames arrive on time whether or not the previous ones are done.

    Each latency counts from when its frame was due, so it includes waiting in the queue: a slow
    call delays all later ones, as it would delay the viewer. Frames are taken in order and none
    is dropped, but none is taken after three times `seconds`.

    servers: concurrent calls, each on its own thread.
    """
    clock = clock or WallClock()
    frames = max(round(fps * seconds), 1)
    latencies: dict[int, float] = {}
    next_frame = iter(range(frames))
    lock = threading.Lock()
    began = clock.now()
    ends = [began] * servers

    def serve(server: int) -> None:
        while True:
            with lock:
                frame = next(next_frame, None)
            if frame is None or clock.now() > began + _PATIENCE * seconds:
                return
            due = began + frame / fps
            clock.wait_until(due)
            call()
            ends[server] = clock.now()
            latencies[frame] = ends[server] - due

    if servers == 1:
        serve(0)
    else:
        with clock.threads(servers) as pool:
            for future in [pool.submit(serve, server) for server in range(servers)]:
                future.result()
    # Finishing early does not make frames arrive sooner, so the rate cannot exceed `fps`.
    seconds = max(max(ends) - began, len(latencies) / fps)
    return Load(tuple(latencies[frame] for frame in sorted(latencies)), seconds)
