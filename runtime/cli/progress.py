"""The progress bar of long work: what is done, rate, time left."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """Items per second, or seconds per item when slow."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """Draw the rate of a task."""
        speed = task.speed or task.finished_speed
        if not speed:
            return Text(f"- {self.unit}/s")
        return Text(
            f"{speed:.1f} {self.unit}/s" if speed >= 1 else f"{1 / speed:.1f} s/{self.unit}"
        )


def progress_bar(unit: str, *details: str) -> Progress:
    """A bar on standard error.

    unit: what is counted.
    details: names of fields shown behind the bar, `task.fields[...]`.
    """
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(unit),
        *(TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in details),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
