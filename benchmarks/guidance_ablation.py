"""Is the guidance used? PSNR with the true, the predicted and a constant wrong map, and unguided.

    python benchmarks/guidance_ablation.py runs/denoise runs/denoise-unguided --data photos/

Runs must have been trained alike but for --strategy; --data and --streaks are those of the
training, whose held-out photos (and streak layers) are used. The reconstruction network and the
pictures are the same in the columns `true`, `predicted` and `constant`; only the map differs. The
constant is the mean of all true maps under the training's degradation: of the wrong constants the
least wrong one.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from hyperguide.export.cost import kilo_macs
from hyperguide.training.checkpoint import load_run
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.degradations import Degradation, Noise
from hyperguide.training.data.sample import Sample
from hyperguide.training.metrics import MOST_PSNR, psnr
from hyperguide.training.model import GuidedModel
from hyperguide.training.preset import Stage


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("guided", type=Path)
    parser.add_argument("unguided", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--streaks", type=Path)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--crop", type=int, default=320)
    parser.add_argument(
        "--level", type=float, action="append", default=[], help="also denoise at this sigma of 255"
    )
    arguments = parser.parse_args()
    guided, twin = load_run(arguments.guided), load_run(arguments.unguided)
    if guided.preset != twin.preset or guided.model.proxy is None or twin.model.proxy is not None:
        parser.error("give a guided run and an unguided one of the same preset")
    data = open_data(guided.preset, arguments.data, arguments.streaks)
    degradations: dict[str, Degradation] = {"as trained": data.held_out_degradation}
    for level in arguments.level:
        sigma = level / 255
        degradations[f"sigma {level:g}"] = Noise(sigma, sigma, clean=0, varying=0, clipped=0)
    print(
        f"{guided.preset.task}, kMAC per pixel: guided {kilo_macs(guided.model):.1f}, "
        f"unguided {kilo_macs(twin.model):.1f}"
    )
    print(f"{arguments.pictures} held-out crops, PSNR in dB by map")
    print(f"{'':<11}" + "".join(f"{name:>11}" for name in COLUMNS) + "   RMSE of the map")
    constant = None
    for name, degradation in degradations.items():
        degraded = replace(data, held_out_degradation=degradation)
        stage = Stage(until=1, crop=arguments.crop, batch=1)
        samples = [
            degraded.draw("held_out", number, stage, seed=1).sample
            for number in range(arguments.pictures)
        ]
        if constant is None:
            constant = torch.stack([sample.guidance.mean() for sample in samples]).mean()
        means, rmse = measure(samples, guided.model, twin.model, constant)
        cells = "".join(f"{means[column]:11.2f}" for column in COLUMNS)
        print(f"{name:<11}{cells}   {rmse:.4f}")


def _given(guidance: torch.Tensor, read: torch.Tensor, stage: int) -> torch.Tensor:
    return guidance


COLUMNS = ("input", "true", "predicted", "constant", "unguided")


@torch.no_grad()
def measure(
    samples: list[Sample], guided: GuidedModel, twin: GuidedModel, constant: torch.Tensor
) -> tuple[dict[str, float], float]:
    """Mean PSNR of each column over the samples, bounded at 45 dB, and the predicted map's RMSE.

    constant: the value of the wrong map.
    """
    scores: dict[str, list[float]] = {column: [] for column in COLUMNS}
    errors = []
    for degraded, clean, true, kernel in samples:
        by_itself = guided.restore(degraded, kernel)
        errors.append((by_itself.maps[-1] - true).square().mean())
        wrong = constant.expand_as(true)
        outputs = {
            "input": degraded,
            "true": guided.restore(degraded, kernel, partial(_given, true)).restored,
            "predicted": by_itself.restored,
            "constant": guided.restore(degraded, kernel, partial(_given, wrong)).restored,
            "unguided": twin.restore(degraded, kernel).restored,
        }
        for column, output in outputs.items():
            scores[column].append(float(psnr(output, clean).clamp(max=MOST_PSNR)))
    means = {column: sum(values) / len(values) for column, values in scores.items()}
    return means, float(torch.stack(errors).mean().sqrt())


if __name__ == "__main__":
    main()
