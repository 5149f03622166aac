"""`hyperguide train`: from photos to a run folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import torch

from hyperguide.cli.progress import progress_bar
from hyperguide.errors import HyperguideError
from hyperguide.paths import exists, make_folder

from .checkpoint import STATE, WEIGHTS
from .data import open_data
from .preset import load_preset
from .trainer import Progress, Run


@click.command(
    epilog="""\b
Examples:
  hyperguide train denoise --data photos/ --out runs/denoise
  hyperguide train derain --data photos/ --streaks streaks/ --out runs/derain
  hyperguide train dehaze --data nyu/ --out runs/dehaze --steps 3000
  hyperguide train denoise --data photos/ --out runs/denoise --resume
"""
)
@click.argument("task")
@click.option(
    "--data",
    multiple=True,
    required=True,
    type=Path,
    help="Folder of clean photos, or with rgb/ and depth/; may be repeated.",
)
@click.option("--out", required=True, type=Path, help="Run folder for checkpoints and the log.")
@click.option("--tier", default="fast", show_default=True, help="Which preset.")
@click.option("--preset", "preset_file", type=Path, help="Preset file instead of the tier's.")
@click.option(
    "--strategy",
    type=click.Choice(["strict", "unguided"]),
    default="strict",
    show_default=True,
    help="strict: Algorithm 1. unguided: the twin without a map, for comparison.",
)
@click.option("--streaks", type=Path, help="Folder of gray rain streak layers (derain).")
@click.option("--steps", type=click.IntRange(1), help="Outer steps instead of the preset's.")
@click.option("--warmup", type=click.IntRange(0), help="Warm-up steps instead of the preset's.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Processor threads; all cores by default, which is slow where another job holds one.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--describe-data", default="", help="What the data is, for the model file.")
@click.option("--checkpoint-seconds", type=click.FloatRange(1), default=120, show_default=True)
@click.option("--resume", is_flag=True, help="Go on where the run folder stands.")
@click.option("--force", is_flag=True, help="Start anew in a folder that holds a run.")
def train(
    task: str,
    data: tuple[Path, ...],
    out: Path,
    tier: str,
    preset_file: Path | None,
    strategy: str,
    streaks: Path | None,
    steps: int | None,
    warmup: int | None,
    threads: int | None,
    seed: int,
    describe_data: str,
    checkpoint_seconds: float,
    resume: bool,
    force: bool,
) -> None:
    """Train a guided pair for TASK on photos, degraded on the fly."""
    if threads is not None:
        torch.set_num_threads(threads)
    preset = load_preset(task, tier, preset_file)
    schedule = preset.schedule
    schedule = replace(
        schedule,
        steps=schedule.steps if steps is None else steps,
        warmup=schedule.warmup if warmup is None else warmup,
    )
    preset = replace(preset, schedule=schedule)
    _refuse_wrong_folder(out, resume, force)
    opened = open_data(preset, list(data), streaks, describe_data)
    run = Run(preset, opened, out, "unguided" if strategy == "unguided" else "strict", seed)
    make_folder(out)  # an old run in it stays until the first checkpoint replaces it
    if resume:
        run.resume()
    with progress_bar("step", "losses") as bar:
        row = bar.add_task(task, total=run.total, completed=run.step, losses="")

        def report(progress: Progress) -> None:
            losses = [
                f"{name} {value:.3g}"
                for name, value in (("f", progress.f), ("g", progress.g))
                if value is not None
            ]
            bar.update(
                row,
                completed=progress.step,
                description=f"{task} {progress.phase}",
                losses=" ".join(losses),
            )

        try:
            run.train(report, checkpoint_seconds)
        except KeyboardInterrupt:
            if run.step:
                run.save()
                bar.console.print(f"Saved step {run.step}; go on with --resume.", markup=False)
            raise
    result = run.validation
    click.echo(
        f"{out}: {run.step} steps in {run.seconds:.0f} s on {torch.get_num_threads()} thread(s); "
        f"held-out photos {result['input_psnr']:.2f} -> {result['output_psnr']:.2f} dB"
    )


def _refuse_wrong_folder(out: Path, resume: bool, force: bool) -> None:
    holds_run = exists(out / WEIGHTS) or exists(out / STATE)
    if resume and not holds_run:
        raise HyperguideError(f"{out} holds no run to resume: leave out --resume.")
    if holds_run and not resume and not force:
        raise HyperguideError(
            f"{out} holds a run: go on with --resume, start anew with --force, "
            "or choose another --out."
        )
