"""Loads the batches of a plan in order, drawn ahead by background processes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing.process import BaseProcess
from types import TracebackType

from hyperguide.errors import HyperguideError
from hyperguide.training.preset import Stage

from .batches import Batch, Data, Stream
from .workers import WorkerError, Workers

Draw = tuple[Stream, int, Stage]
"""The arguments of `Data.draw` for one batch: stream, number, stage."""


class Loader:
    """An iterator over the batches of a plan, to be used in a `with` statement.

    The batches do not depend on `workers`. Closing, an exception, Ctrl-C and garbage collection
    end the workers; they also exit if their parent is killed.

    plan: may be infinite; workers are some batches ahead in it.
    workers: background processes; 0 draws in this process, as does any number once OpenVINO is
        loaded: workers forked beside its threads compute NaN or crash.
    seed, shard: see `Data.draw`.
    """

    def __init__(
        self,
        data: Data,
        plan: Iterable[Draw],
        workers: int = 0,
        *,
        seed: int,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._data = data
        self._workers: Workers[Draw, Batch] | None = None
        draw = partial(_draw, data, seed, shard)
        self._batches: Iterator[Batch] = map(draw, plan)
        if workers and "openvino" not in sys.modules:
            if sys.platform == "linux":
                data.decode_all()  # forked workers share the result
            begin = partial(data.photos.share_bound, workers)
            self._batches = self._workers = Workers(draw, plan, workers, begin)

    @property
    def processes(self) -> list[BaseProcess]:
        """The workers."""
        return self._workers.processes if self._workers else []

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next batch.

        Raises HyperguideError as `Data.draw` does, also from a worker, and if a worker was killed.
        """
        try:
            batch = next(self._batches)
            return self._data.absorb(batch) if self._workers else batch
        except WorkerError as error:
            self.close()
            raise HyperguideError(
                f"A background process that prepares batches was ended ({error}), as systems do "
                "where memory is short: go on with --resume, fewer --workers or a smaller --cache."
            ) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers; no more batches are drawn."""
        if self._workers:
            self._workers.close()
        self._batches = iter(())

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _draw(data: Data, seed: int, shard: tuple[int, int], item: Draw) -> Batch:
    stream, number, stage = item
    return data.draw(stream, number, stage, seed, shard)
