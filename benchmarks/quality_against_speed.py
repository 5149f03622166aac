"""Quality against speed: our files, the same network on other engines, published networks, filters.

    python benchmarks/quality_against_speed.py --data data/ --out compared
    python benchmarks/quality_against_speed.py --task derain --pictures 4

All restore the same degraded pictures, in turns: BSD68 in colour with noise of 25/255, Rain100L,
NYU with the haze of SOTS, Levin's pictures with noise of 1 %; without --data, scikit-image photos.
Milliseconds are per megapixel, floats in and out, the lower quartile over the pictures; PSNR
follows the suite's usual protocol. Writes OUT.json and the chart OUT.png.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import skimage
import torch
from outputs import add_force, check_outputs
from peers import AbsentError, Peer, peers

from hyperguide.bench.clock import timed
from hyperguide.bench.machine import describe
from hyperguide.bench.statistics import percentile
from hyperguide.picture_files import read_picture
from hyperguide.storage.atomic import write_atomically
from hyperguide.tasks import TASKS
from hyperguide.training.data.degradations import DEGRADATIONS
from hyperguide.training.evaluation.catalog import open_suite
from hyperguide.training.evaluation.protocols import PROTOCOLS
from hyperguide.training.evaluation.suites import Case, Options, Suite
from hyperguide.training.evaluation.target import Target
from hyperguide.training.preset import build

_SUITES: dict[str, tuple[str, Options]] = {
    "denoise": ("bsd68", Options(noise=(25.0,), color=True)),
    "deblur": ("levin", Options(noise=(1.0,))),
    "derain": ("rain100l", Options()),
    "dehaze": ("sots", Options()),
}
_PHOTOS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
# Settings of the photos' degradations, so that each photo shows its task's degradation.
_SETTINGS: dict[str, dict[str, Any]] = {
    "denoise": {"minimum": 25 / 255, "maximum": 25 / 255, "varying": 0, "gray": 0},
    "derain": {"synthetic": 1, "veil": 0},
    "dehaze": {"beta": [0.9, 0.9], "airlight": [1.0, 1.0], "tint": 0},
    "deblur": {"minimum": 0.01, "maximum": 0.01},
}
_COLORS = {"ours": "#0072b2", "engine": "#009e73", "network": "#d55e00", "filter": "#7f7f7f"}
_MARKERS = "osD^vP*X<>"
_SAME = 0.05  # dB, by which engines may differ on the same network
_QUICK = 1.0  # seconds; shorter calls are repeated before they are timed
_PATIENCE = 60.0  # seconds of repeating until two calls in a row take about the same time


@dataclass(frozen=True)
class Found:
    """A peer's milliseconds per megapixel and mean PSNR in dB, or why it has no figures."""

    name: str
    kind: str
    told: str
    milliseconds: float | None = None
    psnr: float | None = None
    absent: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    research = os.environ.get("HYPERGUIDE_DATA")
    parser.add_argument("--data", type=Path, default=Path(research) if research else None)
    parser.add_argument("--task", choices=list(TASKS), action="append", help="may be repeated")
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--out", type=Path, help="without suffix")
    add_force(parser)
    given = parser.parse_args()
    written = [given.out.with_suffix(s) for s in (".json", ".png")] if given.out else []
    check_outputs(parser, written, given.force)
    torch.set_num_threads(describe()["cores"])
    told: dict[str, Any] = {"machine": describe(), "tasks": {}}
    for task in given.task or TASKS:
        suite = open_material(task, given.data, given.pictures)
        found = compare(task, suite, given.data)
        print(f"\n{task}: {suite.about}, {len(suite.cases)} pictures\n{table(found)}", flush=True)
        told["tasks"][task] = {
            "about": suite.about,
            "protocol": suite.protocol,
            "peers": [asdict(row) for row in found],
        }
    if given.out is not None:
        text = json.dumps(told, indent=1)
        write_atomically(given.out.with_suffix(".json"), lambda path: path.write_text(text))
        draw(told["tasks"], given.out.with_suffix(".png"))


def open_material(task: str, data: Path | None, pictures: int) -> Suite:
    """The pictures of a task, from the research data if given."""
    if data is not None:
        name, options = _SUITES[task]
        return open_suite(name, replace(options, data=data, limit=pictures))
    cases = [partial(_degraded, task, name) for name in _PHOTOS[:pictures]]
    protocol = "y-matlab" if task == "derain" else "rgb"
    about = "photos of scikit-image, degraded as in training"
    return Suite(about, protocol, TASKS[task].guidance, tuple(cases))


def _degraded(task: str, name: str) -> Case:
    photo = read_picture(Path(skimage.__file__).parent / "data" / name)[..., :3]
    degradation = build(DEGRADATIONS[task], {"clean": 0, **_SETTINGS[task]}, task)
    planes = torch.from_numpy(photo.transpose(2, 0, 1).copy())[None] / 255
    sample = degradation.degrade(planes, None, torch.Generator().manual_seed(1))
    kernel = None if sample.kernel is None else sample.kernel[0, 0].double().numpy()
    true = None if sample.guidance is None else sample.guidance[0, 0].double().numpy()
    degraded = sample.degraded[0].permute(1, 2, 0).contiguous().numpy()
    return Case(name, degraded, photo / 255, true, kernel)


def compare(task: str, suite: Suite, data: Path | None) -> list[Found]:
    """Run all peers on all pictures; each picture starts with another peer."""
    rows: list[Found] = []
    opened: dict[Peer, Target] = {}
    for peer in peers(task, data):
        try:
            opened[peer] = peer.open()
        except AbsentError as error:
            rows.append(Found(peer.name, peer.kind, peer.told, absent=str(error)))
    times: dict[Peer, list[float]] = {peer: [] for peer in opened}
    scores: dict[Peer, list[float]] = {peer: [] for peer in opened}
    score = PROTOCOLS[suite.protocol].score
    for turn, make in enumerate(suite.cases):
        case = make()
        megapixels = case.clean.shape[0] * case.clean.shape[1] / 1e6
        order = list(opened)
        for peer in order[turn % len(order) :] + order[: turn % len(order)]:
            try:
                restored, seconds = timed_warm(call_of(opened[peer], case), peer.kind != "filter")
            except AbsentError as error:
                rows.append(Found(peer.name, peer.kind, peer.told, absent=str(error)))
                del opened[peer]
                continue
            times[peer].append(1000 * seconds / megapixels)
            scores[peer].append(score(restored, case.clean, case.border).psnr)
    ours = next(iter(opened))
    for peer in opened:
        psnr = float(np.mean(scores[peer]))
        wrong = differs(peer, psnr, float(np.mean(scores[ours])))
        if wrong:
            rows.append(Found(peer.name, peer.kind, peer.told, absent=wrong))
            continue
        speed = percentile(times[peer], 25)
        rows.append(Found(peer.name, peer.kind, peer.told, speed, psnr))
    order_of = {peer.name: number for number, peer in enumerate(peers(task, data))}
    return sorted(rows, key=lambda row: order_of[row.name])


def differs(peer: Peer, psnr: float, ours: float) -> str:
    """Why an engine's results differ from those of its network; empty if they do not."""
    if peer.kind != "engine" or abs(psnr - ours) <= _SAME:
        return ""
    return f"wrong, {psnr:.2f} dB where the network has {ours:.2f}"


def call_of(target: Target, case: Case) -> Callable[[], np.ndarray]:
    """A call that restores a case; the target gets the true map if it needs it."""
    told = case.true_map if target.informed else None
    map_ = None if told is None else told.astype(np.float32)
    return lambda: target.restorer(case.degraded, case.kernel, map_)[0]


def timed_warm(call: Callable[[], np.ndarray], plans: bool) -> tuple[np.ndarray, float]:
    """Result and seconds of a warm call.

    plans: whether the first call of a size plans or compiles. Short calls are always repeated,
        because other engines' threads hold the cores for a moment after their calls.
    """
    result, seconds = timed(call)
    if not plans and seconds > _QUICK:
        return result, seconds
    spent, before = 0.0, math.inf
    while before > 1.1 * seconds and spent < _PATIENCE:
        before = seconds
        result, seconds = timed(call)
        spent += seconds
    return result, min(before, seconds)


def table(found: list[Found]) -> str:
    lines = [f"{'':<34}{'ms/MP':>10}{'PSNR':>8}  told"]
    for row in found:
        if row.milliseconds is None:
            lines.append(f"{row.name:<34}{'-':>10}{'-':>8}  {row.absent}")
        else:
            lines.append(
                f"{row.name:<34}{row.milliseconds:10.0f}{row.psnr:8.2f}  {row.told or '-'}"
            )
    return "\n".join(lines)


def draw(tasks: dict[str, Any], path: Path) -> None:
    """Draw a panel per task, two per row, with a legend beside each."""
    from matplotlib.figure import Figure

    rows = -(-len(tasks) // 2)
    figure = Figure(figsize=(13, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).flat
    for axes, (task, told) in zip(panels, tasks.items(), strict=False):
        shown = [row for row in told["peers"] if row["psnr"] is not None]
        for row, marker in zip(shown, _MARKERS, strict=False):
            label = row["name"] + f" (told {row['told']})" * bool(row["told"])
            look = {"color": _COLORS[row["kind"]], "markersize": 8, "alpha": 0.85}
            axes.plot(row["milliseconds"], row["psnr"], marker, label=label, linestyle="", **look)
        axes.set_xscale("log")
        axes.margins(0.15, 0.15)
        axes.set_title(f"{task}: {told['about']}", fontsize=9, loc="left")
        axes.set_xlabel("ms per megapixel")
        axes.set_ylabel("PSNR [dB]")
        axes.grid(alpha=0.25)
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9)
    for axes in panels:  # hides the panel left over for an odd number of tasks
        axes.set_axis_off()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
