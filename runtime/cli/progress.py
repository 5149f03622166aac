"""The progress bar of long work: what is done, rate, time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text


class RateColumn(ProgressColumn):
    """Items per second, or seconds per item when slow."""

    def __init__(self, unit: str) -> None:
        super().__init__(table_column=Column(no_wrap=True))
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
    """A bar on standard error, one line of at most 80 columns.

    unit: what is counted.
    details: names of fields shown behind the rate, `task.fields[...]`.
    """
    shown = ["task.description", *(f"task.fields[{name}]" for name in details)]
    first, *rest = (
        TextColumn(f"{{{name}}}", markup=False, table_column=Column(no_wrap=True)) for name in shown
    )
    return Progress(
        first,
        BarColumn(bar_width=8 if details else 24),
        MofNCompleteColumn(),
        RateColumn(unit),
        *rest,
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
    )


@contextmanager
def building_bar() -> Iterator[Callable[[str, int, int], None]]:
    """What shows the steps of a build, once there is one."""
    with ExitStack() as shown:
        jobs: list[tuple[Progress, TaskID]] = []

        def report(phase: str, done: int, steps: int) -> None:
            if not jobs:
                bar = shown.enter_context(progress_bar("step"))
                jobs.append((bar, bar.add_task(phase, total=steps)))
            bar, row = jobs[0]
            bar.update(row, description=phase, completed=done, total=steps)

        yield report
