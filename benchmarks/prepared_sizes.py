"""What prepared sizes and left-out maps save: `warmup` and `with_map=False` against neither.

    python benchmarks/prepared_sizes.py --device cuda --size 720x1280 --json prepared.json

Bytes in, bytes out. Three calls on the same frame, in turns. Exit code 1 if their pictures differ
by more than rounding.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from outputs import add_force, check_outputs

import hyperguide
from hyperguide.bench.machine import describe
from hyperguide.bench.subject import synthetic_frame
from hyperguide.bench.turns import in_turns, ratio
from hyperguide.model_format.bundled import bundled_models
from hyperguide.storage.atomic import write_atomically

# Levels: int8 files amplify differences of the last digit.
_AGREE = {"fp32": 1, "fp16": 2, "int8": 4}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", help="name or file [all bundled fp32 files]")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="720x1280", metavar="HxW")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each model")
    parser.add_argument("--json", type=Path)
    add_force(parser)
    given = parser.parse_args()
    check_outputs(parser, [given.json], given.force)
    height, width = map(int, given.size.split("x"))
    told: dict[str, Any] = {"machine": describe(), "device": given.device, "size": given.size}
    all_agree = True
    for model in given.model or [p.stem for p in bundled_models() if "int8" not in p.stem]:
        rows, agrees = compare(model, given.device, (width, height), given.seconds)
        told[model], all_agree = rows, all_agree and agrees
        for row in rows:
            print(
                f"{model:<20}{row['name']:<22}{row['p50_ms']:9.2f} ms {row['ratio']:6.3f} of the "
                f"first, differs by {row['levels']} levels",
                flush=True,
            )
    if given.json is not None:
        text = json.dumps(told, indent=1)
        write_atomically(given.json, lambda path: path.write_text(text))
    return int(not all_agree)


def compare(
    model: str, device: str, size: tuple[int, int], seconds: float
) -> tuple[list[dict[str, Any]], bool]:
    """The rows of a model, and whether the pictures agree."""
    with hyperguide.load(model, device=device) as plain, hyperguide.load(model, device=device) as e:
        frame = cv2.resize(synthetic_frame(), size, interpolation=cv2.INTER_AREA)
        if e.info.color == "gray":
            frame = frame.mean(2).astype(np.uint8)
        e.warmup(size[1], size[0])
        calls = {
            "as it comes": lambda: plain(frame),
            "prepared": lambda: e(frame),
            "prepared, no map": lambda: e(frame, with_map=False),
        }
        pictures = [call().image.astype(int) for call in calls.values()]
        taken = in_turns(tuple(calls.values()), seconds)
    levels = [int(np.abs(picture - pictures[0]).max()) for picture in pictures]
    rows = [
        {
            "name": name,
            "p50_ms": 1000 * median(times),
            "ratio": ratio(times, taken[0]),
            "levels": apart,
        }
        for name, times, apart in zip(calls, taken, levels, strict=True)
    ]
    return rows, max(levels) <= _AGREE[e.info.precision]


if __name__ == "__main__":
    sys.exit(main())
