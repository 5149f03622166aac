"""Compares families of networks for the `fast` tier, trained on equal CPU time and data.

    python benchmarks/families.py --data photos/ --seconds 240

Prints for each family the work per pixel, the steps that fit the time, the PSNR on held-out photos,
and the speed of the exported file (fastest engine, one thread, medians, in turns).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

import hyperguide
from hyperguide.bench.turns import in_turns
from hyperguide.export.cost import kilo_macs
from hyperguide.export.model import export_model
from hyperguide.training.bilevel import Strategy
from hyperguide.training.checkpoint import load_run
from hyperguide.training.data.batches import open_data
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.precision import fastest_precision
from hyperguide.training.preset import (
    Preset,
    Reconstruction,
    StackSettings,
    UNetSettings,
    load_preset,
)
from hyperguide.training.trainer import Run, Settings

FAMILIES: dict[str, Reconstruction] = {
    "U-Net 16/32/64": UNetSettings(2, (16, 32, 64), 2, output="residual"),
    "plain residual stack 32": UNetSettings(2, (32,), 1, output="residual"),
    "re-parameterised stack 32 x 3": StackSettings("stack", 2, 32, 3),
    "re-parameterised stack 16 x 12": StackSettings("stack", 2, 16, 12),
}
_TIMED_STEPS = 40


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--seconds", type=float, default=240, help="to train each family")
    parser.add_argument("--task", default="denoise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=FAMILIES, action="append", help="may be repeated")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows, enhancers = [], []
        for number, name in enumerate(arguments.only or FAMILIES):
            family = FAMILIES[name]
            preset = replace(load_preset(arguments.task, "fast"), reconstruction=family)
            run = _train(preset, arguments, Path(folder) / str(number))
            trained = load_run(run.folder)
            work = kilo_macs(fold_layers(trained.model))
            rows.append((name, work, run.total, run.state.validation["output_psnr"]))
            export_model(trained, run.folder / "model.onnx")
            enhancers.append(hyperguide.load(run.folder / "model.onnx", threads=1))
        speeds = _milliseconds(enhancers)
    print(f"{'':<32}{'kMAC/px':>9}{'steps':>8}{'PSNR':>8}{'ms/MP':>8}")
    for (name, work, steps, psnr), speed in zip(rows, speeds, strict=True):
        print(f"{name:<32}{work:9.1f}{steps:8d}{psnr:8.2f}{speed:8.0f}")


def _train(preset: Preset, arguments: argparse.Namespace, folder: Path) -> Run:
    """Train for the given seconds; the speed is measured first, so that the schedule fits.

    Seconds are CPU time, so that other jobs on the machine have no influence.
    """
    rate = _run(preset, arguments, folder / "timing", _TIMED_STEPS)
    began = time.process_time()
    rate.train(lambda progress: None)
    steps = round(arguments.seconds / ((time.process_time() - began) / rate.total))
    run = _run(preset, arguments, folder, steps)
    run.train(lambda progress: None)
    return run


def _run(preset: Preset, arguments: argparse.Namespace, folder: Path, steps: int) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    schedule = replace(preset.schedule, warmup=round(0.1 * steps), steps=steps, validations=1)
    preset = replace(preset, schedule=schedule)
    strategy: Strategy = "strict"
    settings = Settings(strategy, arguments.seed, precision=fastest_precision(torch.device("cpu")))
    return Run(preset, open_data(preset, arguments.data), folder, settings)


def _milliseconds(enhancers: list[hyperguide.Enhancer]) -> list[float]:
    """Median time of each enhancer for a megapixel, in milliseconds."""
    image = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    taken = in_turns([partial(enhancer, image) for enhancer in enhancers], 0, fewest=8)
    return [1000 * median(times) for times in taken]


if __name__ == "__main__":
    main()
