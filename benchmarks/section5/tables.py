"""Text tables: means and spreads over seeds, beside published figures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_NONE = "-"


@dataclass(frozen=True)
class Column:
    """One method in a table with a row for each level.

    title: one or two lines.
    ours: by level, then by seed; seed None for what has none.
    published: by level; empty if nothing was published.
    kilo_macs: per pixel; None for what is not a network.
    """

    title: str
    ours: Mapping[str, Mapping[int | None, float]]
    published: Mapping[str, float] = field(default_factory=dict)
    kilo_macs: float | None = None

    @property
    def seeds(self) -> int:
        """Trainings with a figure at any level."""
        return len({seed for values in self.ours.values() for seed in values})


def spread(values: Sequence[float], digits: int = 2, sign: str = "") -> str:
    """Mean and, of several values, standard deviation of a sample; a dash without values."""
    if not values:
        return _NONE
    mean = f"{statistics.mean(values):{sign}.{digits}f}"
    return f"{mean} ±{statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def differences(
    one: Column, other: Column, levels: Sequence[str], digits: int = 2
) -> dict[str, str]:
    """By level, mean and spread of `one` minus `other`, seed by seed; a dash without pairs."""
    found = {}
    for level in levels:
        left, right = one.ours.get(level, {}), other.ours.get(level, {})
        found[level] = spread([left[s] - right[s] for s in left if s in right], digits, "+")
    return found


def by_level(columns: Sequence[Column], levels: Sequence[str], digits: int = 2) -> str:
    """A row for each level; each column with the published figure, if any, and ours."""
    heads: list[list[str]] = [["", "kMAC/px", "seeds", "level"]]
    for column in columns:
        cost = _NONE if column.kilo_macs is None else f"{column.kilo_macs:.1f}"
        seeds = _NONE if None in _seeds_of(column) else str(column.seeds)
        if column.published:
            heads += [[column.title, "", "", "paper"], ["", cost, seeds, "ours"]]
        else:
            heads += [[column.title, cost, seeds, "ours"]]
    rows = []
    for level in levels:
        row = [level]
        for column in columns:
            if column.published:
                value = column.published.get(level)
                row.append(_NONE if value is None else f"{value:.{digits}f}")
            row.append(spread(list(column.ours.get(level, {}).values()), digits))
        rows.append(row)
    return aligned([*map(list, zip(*heads, strict=True)), *rows])


def _seeds_of(column: Column) -> set[int | None]:
    return {seed for values in column.ours.values() for seed in values}


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text, the first column to the left, the others to the right.

    A cell followed by empty ones may be as wide as all of them, if it is in the first row.
    """
    inner = rows[1:] if len(rows) > 1 else rows
    widths = [max(len(row[i]) for row in inner) for i in range(len(rows[0]))]
    groups = _groups(rows[0])
    for first, last in groups:
        have = sum(widths[first:last]) + 2 * (last - first - 1)
        widths[first] += max(0, len(rows[0][first]) - have)
    head = [
        f"{rows[0][first]:>{sum(widths[first:last]) + 2 * (last - first - 1)}}"
        if first
        else f"{rows[0][0]:<{widths[0]}}"
        for first, last in groups
    ]
    lines = ["  ".join(head)]
    for row in rows[1:]:
        cells = [f"{row[0]:<{widths[0]}}"]
        cells += [f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(line.rstrip() for line in lines)


def _groups(head: Sequence[str]) -> list[tuple[int, int]]:
    """Ranges of columns that share a title: a title and the empty cells after it."""
    starts = [i for i, title in enumerate(head) if i <= 1 or title]
    return list(zip(starts, [*starts[1:], len(head)], strict=True))
