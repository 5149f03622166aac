"""Re-runs the paper's Section 5 at a small width and few steps, beside its published figures.

    python benchmarks/paper.py train --data DATA --out runs/paper [--section restoration]
    python benchmarks/paper.py --data DATA --out runs/paper
    python benchmarks/paper.py --data DATA --quick
    python benchmarks/paper.py blind --data DATA
    python benchmarks/paper.py tables

`train` goes through all trainings in an order in which each seed is a complete comparison, skips
those that are finished and resumes the one that was killed; width, steps and optimizer are in
section5/configurations.py. Without a command, the finished trainings, the bundled models and
published weights are measured on the paper's test sets: the figures go to paper/results.json, where
`tables` reads them, with the plot of Fig. 4 and small copies of the restoration runs beside it, and
the sheets of Figs. 6 to 13 to OUT/sheets. What is already measured is not measured again. `blind`
estimates the kernels of Fig. 9 and restores by them. With --quick, the kept copies are measured on
a part of each set, and nothing is written.

The folder of research data needs levin09, sun80, rain100l, rain100h, nyu, bsds500, kernels20 and
baselines, each from its authors. The trainings of derain and dehaze start from published weights,
for research only.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch

from hyperguide.picture_files import write_picture
from section5.blind import draw_kernels, measure_blind
from section5.checkpoints import keep
from section5.configurations import Section
from section5.pictures import draw_figure_4, draw_sheets
from section5.results import Results, read_results, write_results
from section5.scoring import score_all, tasks, trained
from section5.sections import about, sections
from section5.training import train

KEPT = Path(__file__).parent / "paper"
RESULTS = KEPT / "results.json"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "command", nargs="?", choices=["train", "score", "blind", "tables"], default="score"
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("HYPERGUIDE_DATA"))
    parser.add_argument("--out", type=Path, default=Path("runs/paper"), help="folder of all runs")
    parser.add_argument("--section", choices=get_args(Section), help="only this one")
    parser.add_argument("--quick", action="store_true", help="a part of each set, nothing written")
    given = parser.parse_args()
    if given.data is None and given.command != "tables":
        parser.error("give --data or set HYPERGUIDE_DATA")
    if given.quick and given.command != "score":
        parser.error("--quick stands alone")
    if given.command == "train":
        try:
            return min(train(given.data, given.out, given.section), 1)
        except KeyboardInterrupt:
            print("Stopped; the same command goes on.", file=sys.stderr)
            return 130
    results = read_results(RESULTS)
    if given.command == "blind":
        results = blind(given.data, results)
    if given.command == "score":
        torch.set_num_threads(1)
        chosen: tuple[Section, ...] = (given.section,) if given.section else get_args(Section)
        results = quick(given.data, chosen) if given.quick else whole(given, chosen, results)
    print(about(), end="\n\n")
    for text in sections(results):
        print(text)
    return 0


def quick(data: Path, chosen: Sequence[Section]) -> Results:
    """Measure the kept copies on a part of each suite."""
    results = Results(trained=read_results(RESULTS).trained)
    for section in chosen:
        planned = list(tasks(section, data, KEPT, KEPT))
        results = score_all(results, planned, data, True, lambda partial: None)
    if "restoration" in chosen:
        results = replace(results, blind=tuple(one for one, _ in measure_blind(data, quick=True)))
    return results


def blind(data: Path, results: Results) -> Results:
    """Measure Fig. 9 anew, keep it, and draw the kernels."""
    found = list(measure_blind(data, quick=False))
    results = replace(results, blind=tuple(one for one, _ in found))
    write_results(results, RESULTS)
    write_picture(KEPT / "fig9-kernels.png", draw_kernels([kernels for _, kernels in found]))
    return results


def whole(given: argparse.Namespace, chosen: Sequence[Section], results: Results) -> Results:
    """Measure everything on whole suites, keep it, and draw."""
    KEPT.mkdir(exist_ok=True)
    keep(given.out, KEPT)
    results = replace(results, trained=trained(given.out) or results.trained)

    def save(partial: Results) -> None:
        write_results(partial, RESULTS)

    save(results)
    for section in chosen:
        planned = list(tasks(section, given.data, given.out, KEPT))
        results = score_all(results, planned, given.data, False, save)
    draw_figure_4(given.out, KEPT / "fig4.png")
    sheets = given.out / "sheets"
    sheets.mkdir(parents=True, exist_ok=True)
    for path in draw_sheets(given.data, given.out, KEPT, sheets):
        print(path, file=sys.stderr)
    return results


if __name__ == "__main__":
    sys.exit(main())
