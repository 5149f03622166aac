"""Lets the driver ask all workers to stop."""

from __future__ import annotations

import asyncio
from typing import Any


class StopFlag:
    """An actor that workers wait for, without asking again and again."""

    def __init__(self) -> None:
        self._raised = asyncio.Event()

    async def wait(self) -> None:
        """Return when the run is to stop."""
        await self._raised.wait()

    async def set(self) -> None:
        """Ask all workers to stop."""
        self._raised.set()


def new_flag() -> Any:
    """A flag that lives as long as its handles."""
    import ray

    # The most that may wait: a worker each.
    return ray.remote(num_cpus=0, max_concurrency=100_000)(StopFlag).remote()
