"""Progress bars for long work: share done, rate, time left."""

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
    TaskProgressColumn,
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


class TimeLeftColumn(TimeRemainingColumn):
    """The time left; nothing where the end is unknown."""

    def render(self, task: Task) -> Text:
        """Draw the time left."""
        return Text("") if task.total is None else super().render(task) + Text(" left")


def live_line() -> Progress:
    """A line on standard error for work without an end: frames, rate, `task.fields[status]`."""
    return Progress(
        TextColumn("{task.completed} frames"),
        RateColumn("frame"),
        TextColumn("{task.fields[status]}", markup=False),
        console=Console(stderr=True),
    )


def progress_bar(unit: str, *details: str) -> Progress:
    """A bar on standard error, one line of at most 80 columns.

    unit: what is counted.
    details: names of fields shown after the rate, `task.fields[...]`.
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
        TimeLeftColumn(),
        console=Console(stderr=True),
    )


@contextmanager
def building_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for an engine that may have to be built, or may exist already."""
    bar = progress_bar("step")
    with ExitStack() as stack:

        def report(phase: str, done: int, steps: int) -> None:
            if not bar.task_ids:
                stack.enter_context(bar)
                bar.add_task(phase, total=steps)
            bar.update(bar.task_ids[0], description=phase, completed=done, total=steps)

        yield report


@contextmanager
def share_bar(description: str) -> Iterator[Callable[[float], None]]:
    """A bar on standard error for work that may report the share done, in [0, 1].

    It appears with the first report, so quick work shows none.
    """
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
    )
    with ExitStack() as stack:

        def report(share: float) -> None:
            if not bar.task_ids:
                stack.enter_context(bar)
                bar.add_task(description, total=1)
            bar.update(bar.task_ids[0], completed=share)

        yield report
