"""What driver and workers tell each other apart from the pictures: to stop, and who is there."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any


class Roster:
    """An actor that the workers of a run join, and wait for."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()
        self._workers: list[Any] = []
        self._begun: Counter[int] = Counter()

    async def join(self, worker: Any) -> None:
        """Keep the handle of a worker; return when the run is to stop."""
        self._workers.append(worker)
        await self._stopped.wait()

    async def begin(self, chunk: int) -> int:
        """Count how often a chunk was begun: more than once if its workers died."""
        self._begun[chunk] += 1
        return self._begun[chunk]

    async def stop(self) -> None:
        """Ask all workers to stop."""
        self._stopped.set()

    async def workers(self) -> list[Any]:
        """The handles of the workers."""
        return self._workers


def new_roster() -> Any:
    """A roster that lives as long as its handles."""
    import ray

    # The most calls that may wait: one for each worker.
    return ray.remote(num_cpus=0, max_concurrency=100_000)(Roster).remote()
