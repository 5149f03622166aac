"""Does guidance pay at equal cost? Guided networks against unguided twins of equal MACs.

    python benchmarks/guided_against_twin.py denoise --data photos/ --out runs/twins --steps 8000

The twin is the reconstruction network alone, made wider or deeper to cost at least as much as the
guided pair. Both are trained on the same photos, once per seed; the twin gets extra steps for the
work of the pair's inner steps and warm-up. They are compared on held-out crops with the training
degradation. The guided pair also runs with the true map and with a constant one, the mean of all
true maps: this shows what a better map, or any map, is worth. Existing runs are resumed or kept.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from hyperguide.export.cost import kilo_macs
from hyperguide.training.checkpoint import STATE, load_run
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.sample import Sample
from hyperguide.training.metrics import MOST_PSNR, psnr
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.preset import (
    Preset,
    UNetSettings,
    UNetShape,
    UnfoldedSettings,
    load_preset,
)

_WIDER = [1 + i / 40 for i in range(41)]
_DEEPER = range(4)
_COLUMNS = ("input", "true", "constant", "predicted", "twin")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task")
    parser.add_argument("--preset", type=Path, help="instead of the task's for the tier fast")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--streaks", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True, help="outer steps of the guided runs")
    parser.add_argument("--warmup", type=int, help="steps before them; the preset's by default")
    parser.add_argument("--strategy", default="strict", help="of the guided runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--crop", type=int, help="sides of the crops; those of training by default")
    arguments = parser.parse_args()
    guided = load_preset(arguments.task, "fast", arguments.preset)
    presets = {arguments.strategy: guided, "unguided": twin_of(guided)}
    sources: list[object] = []
    for folder in arguments.data:
        sources += ["--data", folder]
    if arguments.streaks:
        sources += ["--streaks", arguments.streaks]
    warmup = guided.schedule.warmup if arguments.warmup is None else arguments.warmup
    costs = {
        strategy: kilo_macs(build_model(preset, strategy != "unguided"))
        for strategy, preset in presets.items()
    }
    pair = costs[arguments.strategy]
    hyper = pair - kilo_macs(build_model(guided, guided=False))
    inner = arguments.steps * guided.schedule.inner + warmup
    steps = {
        arguments.strategy: arguments.steps,
        "unguided": round(arguments.steps + inner * hyper / pair),
    }
    runs: dict[tuple[str, int], Path] = {}
    for seed in arguments.seeds:
        for strategy, preset in presets.items():
            run = arguments.out / f"{arguments.task}-{strategy}-{seed}"
            runs[strategy, seed] = run
            file = arguments.out / f"{arguments.task}-{strategy}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(preset.to_json())  # JSON is YAML
            train(
                *(arguments.task, "--preset", file, *sources, "--out", run),
                *("--strategy", strategy, "--seed", seed),
                *("--steps", steps[strategy], "--warmup", warmup),
                *(["--resume"] if (run / STATE).exists() else []),
            )
    data = open_data(guided, arguments.data, arguments.streaks)
    last = guided.schedule.stages[-1]
    stage = replace(last, crop=arguments.crop or last.crop, batch=1)
    samples = [
        data.draw("held_out", number, stage, seed=1).sample for number in range(arguments.pictures)
    ]
    for strategy, cost in costs.items():
        print(f"{strategy}: {cost:.2f} kMAC per pixel, {steps[strategy]} outer steps")
    print(f"{len(samples)} held-out crops, mean PSNR in dB")
    print("seed" + "".join(f"{column:>11}" for column in (*_COLUMNS, "difference")))
    constant = torch.stack([sample.guidance.mean() for sample in samples]).mean()
    differences = []
    for seed in arguments.seeds:
        own, other = (load_run(runs[strategy, seed]).model for strategy in presets)
        means = measure(samples, own, other, constant)
        differences.append(means["predicted"] - means["twin"])
        print(f"{seed:4d}" + "".join(f"{means[column]:11.2f}" for column in _COLUMNS), end="")
        print(f"{differences[-1]:+11.3f}")
    spread = max(differences) - min(differences)
    print(f"mean difference {statistics.mean(differences):+.3f} dB, spread {spread:.3f} dB")


def twin_of(preset: Preset) -> Preset:
    """The preset with the cheapest enlarged reconstruction that alone costs at least the pair."""
    cost = kilo_macs(build_model(preset))
    candidates = [
        (kilo_macs(build_model(twin, guided=False)), number, twin)
        for number, twin in enumerate(_enlarged(preset))
    ]
    fitting = [candidate for candidate in candidates if candidate[0] >= cost]
    return min(fitting, key=lambda candidate: candidate[:2])[2]


def _enlarged(preset: Preset) -> Iterator[Preset]:
    network = preset.reconstruction
    unet = network.denoiser if isinstance(network, UnfoldedSettings) else network
    assert isinstance(unet, UNetShape), "twins are made of U-Nets"
    for deeper in _DEEPER:
        for wider in _WIDER:
            widths = tuple(2 * round(width * wider / 2) for width in unet.widths)
            larger = replace(unet, widths=widths, middle=unet.middle + deeper)
            if isinstance(network, UnfoldedSettings):
                assert isinstance(larger, UNetSettings)
                yield replace(preset, reconstruction=replace(network, denoiser=larger))
            else:
                yield replace(preset, reconstruction=larger)


def train(*words: object) -> None:
    command = [sys.executable, "-m", "hyperguide", "train", *map(str, words), "--threads", "1"]
    subprocess.run(command, check=True)


@torch.no_grad()
def measure(
    samples: list[Sample], guided: GuidedModel, twin: GuidedModel, constant: Tensor
) -> dict[str, float]:
    """Mean PSNR of each column over the samples, dB, capped at MOST_PSNR per picture."""
    scores: dict[str, list[Tensor]] = {column: [] for column in _COLUMNS}
    for sample in samples:
        true = sample.guidance
        for column, model, guide in (
            ("true", guided, partial(_given, true)),
            ("constant", guided, partial(_given, constant.expand_as(true))),
            ("predicted", guided, None),
            ("twin", twin, None),
        ):
            restored = model.restore(sample.degraded, sample.kernel, guide).restored.clamp(0, 1)
            scores[column].append(psnr(restored, sample.clean))
        scores["input"].append(psnr(sample.degraded.clamp(0, 1), sample.clean))
    return {
        column: float(torch.cat(values).clamp(max=MOST_PSNR).mean())
        for column, values in scores.items()
    }


def _given(guidance: Tensor, read: Tensor, stage: int) -> Tensor:
    return guidance


if __name__ == "__main__":
    main()
