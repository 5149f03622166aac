"""The results of a run as a text table."""

from __future__ import annotations

from typing import Any


def table(told: dict[str, Any]) -> str:
    """A table of a record's subjects (see `run.record`), and what failed or was not checked."""
    scenario = told["plan"]["scenario"]
    timed = [row for row in told["rows"] if "latency_ms" in row]
    lines = [head(scenario), *(cells(row, scenario) for row in timed)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [_line(line, widths) for line in lines] if timed else []
    for row in told["rows"]:
        if row["problem"]:
            height, width = row["size"]
            where = f"{row['model']} on {row['engine'] or row['device']} at {width}x{height}"
            text.append(f"FAILED {where}: {row['problem']}")
    if not told["verified"]:
        text.append("NOT VERIFIED: nothing was checked, so nobody knows what was computed.")
    return "\n".join(text)


def head(scenario: str) -> list[str]:
    """The names of the columns; the first two are left-aligned."""
    names = ["model", "engine", "ran in", "size", "batch", "p50 ms", "+-", "p90 ms", "p99 ms"]
    names += ["pictures/s", "GMAC/s", "of peak", "memory MB"]
    return [*names, *(["keeps up"] if scenario == "rate" else []), "checked"]


def cells(row: dict[str, Any], scenario: str) -> list[str]:
    """The cells of a timed subject, one for each column."""
    height, width = row["size"]
    peak, memory = row.get("share_of_peak"), row["peak_memory_bytes"]
    if row["gpu"] is not None:
        memory = row["gpu_memory_bytes"]
    found = [row["model"], row["engine"], _ran_in(row), f"{width}x{height}", str(row["batch"])]
    p50, p90, p99 = (f"{row['latency_ms'][name]:.1f}" for name in ("p50", "p90", "p99"))
    found += [p50, _sure_to(row["uncertainty"]), p90, p99]
    found.append(f"{row['pictures_per_second']:.1f}")
    work = row.get("giga_macs_per_second")
    found.append(f"{work:.1f}" if work is not None else "-")
    found.append(f"{100 * peak['share']:.0f} %" if peak else "-")
    found.append(f"{memory / 1e6:.0f}" if memory is not None else "-")
    if scenario == "rate":
        late = f"no, {row['latency_growth']:.2f} s later each second"
        told = "too few frames to tell" if row["keeps_up"] is None else late
        found.append("yes" if row["keeps_up"] else told)
    return [*found, "yes" if row["verified"] else "FAILED" if row["problem"] else "NO"]


def _sure_to(share: float | None) -> str:
    """Half the width of a median's 95 % interval; `?` for too few calls."""
    return "?" if share is None else f"{100 * share:.1f} %"


def _ran_in(row: dict[str, Any]) -> str:
    """The precision in which most convolutions ran, and how many ran in another."""
    ran = row["convolutions"]
    if not ran:
        return f"{row['precision']}?"
    most = max(ran, key=lambda kind: ran[kind])
    others = sum(ran.values()) - ran[most]
    return most if not others else f"{most}, {others} of {sum(ran.values())} not"


def _line(line: list[str], widths: list[int]) -> str:
    words = 2
    return "  ".join(
        cell.ljust(width) if i < words else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    ).rstrip()
