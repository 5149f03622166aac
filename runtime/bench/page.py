"""A record as a self-contained HTML page: tables, and plots drawn as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from .document import document, html_table
from .plots import Curve, plot
from .table import cells, head

_STAGES = ("pre", "copy in", "compute", "engine", "copy out", "post")

_WHAT = {
    "single": "one call after the other",
    "streams": "{streams} calls at once, each loop waiting for its answer",
    "rate": "{fps:g} frames per second whether or not the ones before are done; "
    "latency counts from when a frame was due",
    "offline": "one batch after the other",
}


def page(told: dict[str, Any]) -> str:
    """The HTML page of a record; see `run.record`."""
    rows = [row for row in told["rows"] if "latency_ms" in row]
    scenario = told["plan"]["scenario"]
    parts = [
        _about(told),
        *_warnings(told),
        "<h2>Figures</h2>",
        html_table(head(scenario), [cells(row, scenario) for row in rows]),
        *_plots(rows),
        "<h2>Where the time goes</h2>",
        _stages(rows),
        f"<h2>Again</h2><p><code>{html.escape(' '.join(told.get('command', [])))}</code></p>",
        packages(told["machine"]),
    ]
    return document("hyperguide bench", parts)


def _about(told: dict[str, Any]) -> str:
    machine, plan = told["machine"], told["plan"]
    reached = {
        kind: f"{value:.0f} {'GOP/s' if kind == 'int8' else 'GFLOP/s'} in {kind.split()[-1]}"
        for kind, value in machine.get("peaks", {}).items()
    }
    whose = {
        "matrix products": [text for kind, text in reached.items() if "gpu" not in kind],
        "on the GPU": [text for kind, text in reached.items() if "gpu" in kind],
    }
    peaks = "; ".join(f"{name} {' and '.join(texts)}" for name, texts in whose.items() if texts)
    what = _WHAT[plan["scenario"]].format(**plan)
    lines = [
        f"{told.get('made', '')} on {place(machine)}" + f" ({peaks})" * bool(peaks),
        f"{plan['scenario']}: {what}. Bytes in, bytes out; copies to and from a GPU are included.",
    ]
    return "".join(f'<p class="soft">{html.escape(line)}</p>' for line in lines)


def _warnings(told: dict[str, Any]) -> list[str]:
    texts = []
    if not told["verified"]:
        texts.append("Not verified: nothing was checked, so nobody knows what was computed.")
    for row in told["rows"]:
        if row["problem"]:
            texts.append(f"Failed: {row['model']} on {row['device']}: {row['problem']}.")
    return [f'<p class="bad">{html.escape(text)}</p>' for text in texts]


def _name(row: dict[str, Any]) -> str:
    return f"{row['model']}, {row['engine']}"


def _size(row: dict[str, Any]) -> str:
    return f"{row['size'][1]}x{row['size'][0]}"


def _stages(rows: Sequence[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["stages_ms"]))
    names.sort(key=_STAGES.index)
    lines = [
        [row["model"], row["engine"], f"{row['size'][1]}x{row['size'][0]}"]
        + [f"{row['stages_ms'][n]:.2f}" if n in row["stages_ms"] else "-" for n in names]
        + [f"{1000 * row['load_seconds']:.0f}", f"{1000 * row['first_call_seconds']:.0f}"]
        for row in rows
    ]
    head = [
        "model",
        "engine",
        "size",
        *(f"{name} ms" for name in names),
        "load ms",
        "first call ms",
    ]
    return html_table(head, lines)


def place(machine: dict[str, Any]) -> str:
    """A short description of a record's machine; see `machine.describe`."""
    gpu = machine.get("gpu")
    return f"{machine['processor']}, {machine['cores']} cores" + (f"; {gpu['name']}" if gpu else "")


def packages(machine: dict[str, Any]) -> str:
    """The machine's system, package versions and GPU, as an HTML paragraph."""
    known = {"hyperguide": machine["hyperguide"], "python": machine["python"]}
    known |= machine["packages"]
    text = ", ".join(f"{name} {version}" for name, version in known.items())
    gpu = machine.get("gpu")
    more = "; GPU: " + ", ".join(f"{k} {v}" for k, v in gpu.items()) if gpu else ""
    return f'<p class="soft">{html.escape(machine["system"] + ": " + text + more)}</p>'


@dataclass(frozen=True)
class _Quality:
    suite: str
    psnr: float


def _plots(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    parts = ["<h2>Latency: the share of calls that took no longer</h2>"]
    for size, of_size in _groups(rows, _size).items():
        for batch, members in _groups(of_size, lambda row: f"batch {row['batch']}").items():
            parts += [f"<h3>{size}, {batch}</h3>", _latencies(members)]
    if any(row["batch"] != rows[0]["batch"] for row in rows):
        parts.append("<h2>Throughput over batch size</h2>")
        for size, members in _groups(rows, _size).items():
            parts += [f"<h3>{size}</h3>", _batches(members)]
    for suite in dict.fromkeys(found.suite for row in rows if (found := _quality(row))):
        of_suite = [row for row in rows if (q := _quality(row)) and q.suite == suite]
        parts += [f"<h2>Quality against speed: {html.escape(suite)}</h2>", _against(of_suite)]
    return parts


def _groups(
    rows: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], str]
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def _latencies(rows: Sequence[dict[str, Any]]) -> str:
    curves = []
    for row in rows:
        values = sorted(row["latencies_ms"])
        shares = [100 * (i + 1) / len(values) for i in range(len(values))]
        curves.append(Curve(_name(row), values, shares, steps=True))
    return plot(curves, "ms", "% of calls", log_x=True, zero_y=True)


def _batches(rows: Sequence[dict[str, Any]]) -> str:
    curves = []
    for name, members in _groups(rows, _name).items():
        members = sorted(members, key=lambda row: row["batch"])
        speeds = [row["pictures_per_second"] for row in members]
        curves.append(Curve(name, [row["batch"] for row in members], speeds, dots=True))
    ticks = sorted({row["batch"] for row in rows})
    label = "pictures in a call"
    return plot(curves, label, "pictures/s", log_x=True, zero_y=True, x_ticks=ticks)


def _quality(row: dict[str, Any]) -> _Quality | None:
    """The mean PSNR of the first suite that the file was measured on."""
    for suite, levels in row.get("quality", {}).items():
        found = [v["output_psnr"] for v in levels.values() if isinstance(v, dict)]
        if found:
            return _Quality(f"{row['task']}, {suite}", fmean(found))
        if suite == "validation" and isinstance(levels.get("output_psnr"), float):
            return _Quality(
                f"{row['task']}, held-out photos of its own training", levels["output_psnr"]
            )
    return None


def _against(rows: Sequence[dict[str, Any]]) -> str:
    curves = []
    for row in rows:
        quality = _quality(row)
        assert quality is not None
        megapixels = row["batch"] * math.prod(row["size"]) / 1e6
        speed = row["latency_ms"]["p50"] / megapixels
        curves.append(Curve(f"{_name(row)}, {_size(row)}", [speed], [quality.psnr], dots=True))
    return plot(curves, "ms per megapixel", "PSNR, dB", log_x=True)
