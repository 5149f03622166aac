"""A Ray Data pipeline of one step: tasks in, messages of the workers out."""

from __future__ import annotations

import pickle
import queue
import threading
from collections.abc import Iterator
from typing import Any

from hyperguide.errors import HyperguideError

from .roster import new_roster
from .sizing import Sizing
from .tasks import Farewell, Greeting, Orders, Report, Task, chunks, packed
from .worker import REPORT, TASKS, Worker

Message = Greeting | Report | Farewell

# Seconds between looks at what the user wants.
_PAUSE = 0.1
# Seconds in which workers hand back what they were given but may not begin any more. A connection
# that is closed then ends them.
_DRAINING = 2.0


class Stream:
    """The messages of workers that enhance pictures, from a thread of their own.

    most: pictures that a worker is given together.
    """

    def __init__(self, orders: Orders, sizing: Sizing, tasks: list[Task], most: int) -> None:
        self.over = False
        self._roster = new_roster()
        self._stopped = False
        self._came: queue.SimpleQueue[Message | Exception | None] = queue.SimpleQueue()
        rows = [{TASKS: packed(chunk)} for chunk in chunks(tasks, sizing.workers, most)]
        data = _dataset(rows, orders, sizing, self._roster)
        self._thread = threading.Thread(target=self._read, args=(data,), daemon=True)
        self._thread.start()

    def messages(self) -> Iterator[Message]:
        """The messages that have come, or come soon. Raises HyperguideError if Ray fails."""
        try:
            message = self._came.get(timeout=_PAUSE)
            while True:
                if message is None:
                    self.over = True
                    return
                if isinstance(message, Exception):
                    self.over = True
                    raise HyperguideError(
                        f"Ray failed, {type(message).__name__}: {_last_line(message)}; go on with "
                        "--resume."
                    ) from message
                yield message
                message = self._came.get_nowait()
        except queue.Empty:
            return

    def stop(self) -> None:
        """Ask the workers to stop; those at work say farewell."""
        if not self._stopped and not self.over:
            self._stopped = True
            self._roster.stop.remote()

    def close(self) -> None:
        """End the pipeline: workers finish what they compute, and nothing else is computed."""
        self.stop()
        self._thread.join(_DRAINING)

    def _read(self, data: Any) -> None:
        try:
            for row in data.iter_rows():
                self._came.put(pickle.loads(row[REPORT]))
            self._end_workers()
        except Exception as error:
            self._came.put(error)
        self._came.put(None)

    def _end_workers(self) -> None:
        """End the workers.

        Ray does so when nothing refers to them any more, but errors do, and then they keep their
        cores.
        """
        import ray

        for worker in ray.get(self._roster.workers.remote()):
            ray.kill(worker)


def _dataset(rows: list[dict[str, bytes]], orders: Orders, sizing: Sizing, roster: Any) -> Any:
    """The pipeline, which runs when its rows are read."""
    from ray.data import ActorPoolStrategy, DataContext, from_items

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Each message comes by itself, as soon as its picture is done.
    context.target_max_block_size = 1
    # Pictures of a chunk that failed as a whole are without reports.
    context.max_errored_blocks = -1
    # A picture may take long, and so may a busy cluster.
    context.execution_no_progress_timeout_s = -1
    context.max_consecutive_actor_init_deaths = 3 * sizing.workers
    return from_items(rows, override_num_blocks=len(rows)).map_batches(
        Worker,
        batch_size=1,
        batch_format="numpy",
        fn_constructor_args=(orders, roster),
        compute=ActorPoolStrategy(size=sizing.workers, max_tasks_in_flight_per_actor=2),
        num_cpus=sizing.cores,
        num_gpus=sizing.gpus or None,
    )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "no reason was given"
