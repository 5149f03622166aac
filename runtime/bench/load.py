"""How work arrives: call after call, several at once, or frame after frame at a rate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .clock import Clock, WallClock

Call = Callable[[], object]

# An engine that cannot keep up is given up after so many times the time that frames come.
_PATIENCE = 3


@dataclass(frozen=True)
class Load:
    """What a stretch of work took.

    latencies: of each call in seconds, in the order in which the calls came.
    seconds: from the first call to the end of the last one; at a rate no less than the frames take
        to come.
    """

    latencies: tuple[float, ...]
    seconds: float

    @property
    def calls_per_second(self) -> float:
        """The rate of the calls that were done."""
        return len(self.latencies) / self.seconds


def joined(loads: Sequence[Load]) -> Load:
    """Stretches one behind the other."""
    every = tuple(latency for load in loads for latency in load.latencies)
    return Load(every, sum(load.seconds for load in loads))


def one_by_one(call: Call, seconds: float, clock: Clock | None = None) -> Load:
    """A closed loop: each call begins when the one before has ended.

    seconds: no call begins later; there is one at least.
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
    """Closed loops side by side, each on a thread of its own; `call` is safe for that."""
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
    """An open loop: frames come at their times whether or not the ones before are done.

    Each latency counts from when its frame was due, so that waiting in the queue is part of it: a
    slow call delays all behind it, as it would delay the viewer. Frames are taken in their order
    and none is dropped; but after three times the seconds no more are taken.

    servers: calls at once, each on a thread of its own.
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
    # Frames that end early come no sooner for that: no more are done in a second than come.
    seconds = max(max(ends) - began, len(latencies) / fps)
    return Load(tuple(latencies[frame] for frame in sorted(latencies)), seconds)
