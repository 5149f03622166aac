"""Keeps encoders from turning a program into a real-time one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def usual_scheduling() -> Iterator[None]:
    """Give threads back the scheduling that they had before the block.

    If it may, as under root, SVT-AV1 gives its threads and the one that opens it the highest
    real-time priority, which programs started later inherit: others hardly run then, and programs
    that wait in a loop never end. Threads that begin in the block get the scheduling of this one.
    Does nothing except on Linux.
    """
    if sys.platform != "linux" or not _THREADS.is_dir():
        yield
        return
    before = _scheduling()
    own = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread, (policy, parameters) in _scheduling().items():
            wanted, wanted_parameters = before.get(thread, own)
            if (policy, parameters.sched_priority) != (wanted, wanted_parameters.sched_priority):
                with suppress(OSError):  # it has ended, or this system forbids it
                    os.sched_setscheduler(thread, wanted, wanted_parameters)


def _scheduling() -> dict[int, tuple[int, os.sched_param]]:
    """Policy and priority of each thread of this process."""
    found = {}
    for thread in map(int, os.listdir(_THREADS)):
        with suppress(OSError):  # it has ended
            found[thread] = os.sched_getscheduler(thread), os.sched_getparam(thread)
    return found
