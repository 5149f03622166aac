"""Stages that work at the same time, each in a thread of its own, joined by short queues."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

# A stage takes an iterator of items and yields items; what it does at the end of its input is the
# end of its work.
Stage = Callable[[Iterator[Any]], Iterator[Any]]

_AHEAD = 3  # items that wait between two stages


class Pipeline:
    """Runs stages at the same time. Items keep their order.

    If a stage fails, the stages behind it finish what they have, then the error is raised.

    source: the first items; iterated in a thread as well.
    stages: by name, in order. clock: seconds.
    """

    def __init__(
        self,
        source: Iterator[Any],
        stages: dict[str, Stage],
        first: str = "decode",
        ahead: int = _AHEAD,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._stopped = threading.Event()
        self._clock = clock
        self.busy = dict.fromkeys((first, *stages), 0.0)
        self._queues = [_Queue(ahead) for _ in self.busy]
        work: list[tuple[str, Stage]] = [(first, lambda _: source), *stages.items()]
        self._threads = [
            threading.Thread(
                target=self._run, args=(name, stage, place), name=f"hyperguide {name}", daemon=True
            )
            for place, (name, stage) in enumerate(work)
        ]

    def __iter__(self) -> Iterator[Any]:
        """Yield what the last stage yields. Closing the iterator ends all stages."""
        for thread in self._threads:
            thread.start()
        try:
            yield from self._queues[-1]
        finally:
            for queue in self._queues:
                queue.close()
            for thread in self._threads:
                thread.join()

    def stop(self) -> None:
        """Take nothing more from the source; what is in progress is finished."""
        self._stopped.set()

    @property
    def slowest(self) -> str:
        """Name of the stage that has been busy longest."""
        return max(self.busy, key=lambda name: self.busy[name])

    def _run(self, name: str, stage: Stage, place: int) -> None:
        source = self._queues[place - 1] if place else None
        target = self._queues[place]
        entry = _Input(source, self._clock)
        error: BaseException | None = None
        try:
            items = stage(iter(entry))
            while place or not self._stopped.is_set():
                began, waited = self._clock(), entry.waited
                item = next(items, _END)
                self.busy[name] += self._clock() - began - (entry.waited - waited)
                if item is _END or not target.put(item):
                    break
        except BaseException as raised:  # raised again where the results are taken
            error = raised
        target.end(error or entry.error)
        if source is not None:
            source.close()


_END = object()


class _Input:
    """Items of a queue, and how long the stage waited for them."""

    def __init__(self, queue: _Queue | None, clock: Callable[[], float]) -> None:
        self.waited = 0.0
        self.error: BaseException | None = None
        self._queue = queue
        self._clock = clock

    def __iter__(self) -> Iterator[Any]:
        items = iter(self._queue or ())
        while True:
            began = self._clock()
            try:
                item = next(items, _END)
            except BaseException as error:  # of a stage before: passed on after the last item
                self.error = error
                item = _END
            self.waited += self._clock() - began
            if item is _END:
                return
            yield item


class _Queue:
    """A bounded queue whose ends know of each other's end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()
        self._closed = self._ended = False
        self._error: BaseException | None = None

    def put(self, item: Any) -> bool:
        """Add an item when there is room; False if nobody takes items any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._most)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def end(self, error: BaseException | None) -> None:
        """Say that no more items come, and why if it is for an error."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no more items are taken."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._items) or self._ended or self._closed)
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
