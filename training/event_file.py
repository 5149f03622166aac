"""Writes TensorBoard event files synchronously.

torch's SummaryWriter writes from its own thread, which ends with a printed traceback when the disk
is full. Here a call returns once every scalar is written, or raises.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

PATTERN = "events.out.tfevents.*"


class EventFile:
    """A new event file in a folder, which is created if missing.

    step: where the run continues; TensorBoard drops what older files hold from this step on.
    Raises OSError if writing fails, as `add` does.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        seconds, rest = divmod(time.time_ns(), 10**9)  # names sort by time, like TensorBoard's
        name = f"events.out.tfevents.{seconds:010d}.{rest:09d}.{socket.gethostname()}"
        self._file = (folder / name).open("xb")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), step=step, file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=step, session_log=start))

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Write the scalars of a step."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=scalars)))

    def close(self) -> None:
        """Close the file. Write errors were already raised by `add`."""
        with suppress(OSError):
            self._file.close()

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()
