"""Writes the suites' figures as an HTML page and compares the ratios of two runs.

    python benchmarks/report.py bench/suites.json --html bench/index.html
    python benchmarks/report.py bench/suites.json --compare other/suites.json

The page is self-contained. Two runs on one machine should agree on each ratio within 10 %: exit
code 1 if they do not.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import figures_of
from outputs import add_force, check_outputs

from hyperguide.bench.document import document, html_table
from hyperguide.bench.machine import describe
from hyperguide.bench.page import packages, place
from hyperguide.bench.plots import Curve, plot
from hyperguide.storage.atomic import write_atomically

_AGREE = 0.1
# The sitting in the ids of the benchmarks, at any position.
_SITTING = re.compile(r"\[sitting\d+\]|-sitting\d+|sitting\d+-?")
_HEAD = ("", "against", "ratio", "p50 ms", "p90 ms", "p99 ms", "rounds", "PSNR", "told")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", type=Path, help="what pytest-benchmark wrote")
    parser.add_argument("--html", type=Path)
    parser.add_argument("--compare", type=Path)
    add_force(parser)
    given = parser.parse_args()
    check_outputs(parser, [given.html], given.force)
    told = joined(json.loads(given.suites.read_text()))
    if given.html is not None:
        text = page(told)
        write_atomically(given.html, lambda path: path.write_text(text))
    if given.compare is not None:
        return compare(told, joined(json.loads(given.compare.read_text())))
    return 0


def joined(told: dict[str, Any]) -> dict[str, Any]:
    """Merge the sittings of each benchmark into one, with the figures of all their calls."""
    found: dict[str, dict[str, Any]] = {}
    for member in told["benchmarks"]:
        member |= {
            key: _SITTING.sub("", member[key] or "") for key in ("name", "fullname", "param")
        }
        first = found.setdefault(member["fullname"], member)
        if first is not member:
            first["stats"]["data"] += member["stats"]["data"]
            more = member["extra_info"].get("against_data", [])
            first["extra_info"].setdefault("against_data", []).extend(more)
    for member in found.values():
        taken, info = member["stats"]["data"], member["extra_info"]
        member["stats"]["rounds"] = len(taken)
        against = info.get("against_data", []), info.get("against", "")
        info |= figures_of(taken, *against)
        if "steps_per_second" in info:
            info["steps_per_second"] = 1000 / info["p50_ms"]
    return told | {"benchmarks": list(found.values())}


def page(told: dict[str, Any]) -> str:
    """An HTML page of all groups, each with a table and a plot of latencies."""
    machine = describe()
    where = f"{told['datetime'][:16]} on {place(machine)}"
    about = (
        "Subjects take turns with what they are compared with; a ratio is that of what both "
        "take undisturbed, below 1 where the subject is faster. PSNR is in dB, on the same "
        "pictures."
    )
    parts = [f'<p class="soft">{html.escape(text)}</p>' for text in (where, about)]
    for group, members in groups(told).items():
        parts.append(f"<h2>{html.escape(group)}</h2>")
        parts.append(html_table(_HEAD, [_line(member) for member in members]))
        parts.append(_latencies(members))
        judged = [m for m in members if "psnr" in m["extra_info"]]
        if len(judged) > 1:
            parts += ["<h3>Quality against speed</h3>", _quality(judged)]
    return document("hyperguide benchmarks", [*parts, packages(machine)])


def groups(told: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The benchmarks of each group, in the order they ran."""
    found: dict[str, list[dict[str, Any]]] = {}
    for member in told["benchmarks"]:
        found.setdefault(member["group"], []).append(member)
    return found


def title(member: dict[str, Any]) -> str:
    """Name of a benchmark within its group."""
    info = member["extra_info"]
    if "engine" in info:
        return f"{info['precision']}, {info['engine']}"
    if "batch" in info and "crop" not in info:
        return f"batch {info['batch']}"
    return member["param"] or member["name"]


def _line(member: dict[str, Any]) -> list[str]:
    info = member["extra_info"]
    ratio = f"{info['ratio']:.3f}" if "ratio" in info else "-"
    times = [f"{info[f'p{p}_ms']:.2f}" for p in (50, 90, 99)]
    psnr = f"{info['psnr']:.2f}" if "psnr" in info else "-"
    rounds = str(member["stats"]["rounds"])
    return [
        *(title(member), info.get("against", "-"), ratio),
        *(*times, rounds, psnr, info.get("told") or "-"),
    ]


def _latencies(members: Sequence[dict[str, Any]]) -> str:
    curves = []
    for member in members:
        values = [1000 * value for value in sorted(member["stats"]["data"])]
        shares = [100 * (i + 1) / len(values) for i in range(len(values))]
        curves.append(Curve(title(member), values, shares, steps=True))
    return plot(curves, "ms", "% of calls", log_x=True, zero_y=True)


def _quality(members: Sequence[dict[str, Any]]) -> str:
    curves = [
        Curve(
            title(member),
            [member["extra_info"]["p50_ms"] / member["extra_info"]["megapixels"]],
            [member["extra_info"]["psnr"]],
            dots=True,
        )
        for member in members
    ]
    return plot(curves, "ms per megapixel", "PSNR, dB", log_x=True)


def compare(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Print the ratios of both runs; returns 1 if one differs by more than 10 %."""
    first, second = _ratios(one), _ratios(other)
    shared = [name for name in first if name in second]
    apart = []
    for name in shared:
        change = second[name] / first[name] - 1
        apart += [name] if abs(change) > _AGREE else []
        shown = name.partition("::")[2]
        print(f"{shown:<60}{first[name]:8.3f}{second[name]:8.3f}{change:+8.1%}")
    print(f"{len(shared)} ratios, {len(apart)} of them more than {_AGREE:.0%} apart")
    return int(bool(apart))


def _ratios(told: dict[str, Any]) -> dict[str, float]:
    named = {member["fullname"]: member["extra_info"] for member in told["benchmarks"]}
    if any("ratio" in info and not info.get("against_data") for info in named.values()):
        sys.exit("One run is of an older version, whose ratios were others: run it again.")
    return {name: info["ratio"] for name, info in named.items() if "ratio" in info}


if __name__ == "__main__":
    sys.exit(main())
