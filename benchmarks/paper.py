"""Re-runs the paper's Section 5 at a small width and few steps, beside its published figures.

    python benchmarks/paper.py train --data DATA --out runs/paper [--section restoration]

`train` goes through all trainings in an order in which each seed is a complete comparison, skips
those that are finished and resumes the one that was killed. Width, steps and optimizer are in
section5/configurations.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from section5.configurations import Section
from section5.training import train


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train what is not finished yet")
    training.add_argument("--data", type=Path, required=True, help="folder of the research data")
    training.add_argument("--out", type=Path, required=True, help="folder for all runs")
    training.add_argument("--section", choices=get_args(Section), help="only this one")
    given = parser.parse_args()
    return min(train(given.data, given.out, given.section), 1)


if __name__ == "__main__":
    sys.exit(main())
