"""`hyperguide train`: trains a pair on photos and writes a run folder."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import click
import torch

from hyperguide.cli.progress import progress_bar
from hyperguide.errors import HyperguideError
from hyperguide.printable import printable
from hyperguide.storage.claim import claim
from hyperguide.tasks import find_task
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.sources import silent

from .bilevel import Strategy
from .distributed import World, join
from .model_weights import find_model_file
from .precision import fastest_precision
from .preset import Preset, load_preset
from .run_folder import refuse_among_photos, refuse_run_folder
from .run_record import Settings
from .starting_weights import describe_origin, seen_by, start_from
from .teacher import Teacher, load_teacher
from .trainer import Progress, Run


@click.command(
    epilog="""\b
Examples:
  hyperguide train denoise --data photos/ --out runs/denoise
  hyperguide train derain --data photos/ --streaks streaks/ --out runs/derain
  hyperguide train derain --data pairs/ --out runs/mine        (pairs/input, pairs/target)
  hyperguide train deblur --data photos/ --out runs/deblur --strategy response
  hyperguide train derain --tier paper --init-from PReNet.pth --data photos/ --out runs/prenet
  hyperguide train denoise --tier live --teacher denoise-fast --data photos/ --out runs/live
  hyperguide train denoise --data photos/ --out runs/denoise --resume
  torchrun --nproc-per-node 2 -m hyperguide train denoise --data photos/ --out runs/denoise
"""
)
@click.argument("task")
@click.option(
    "--data",
    multiple=True,
    required=True,
    type=Path,
    help="Folder of clean photos, with rgb/ and depth/, or with pairs, as input/ and target/ [and "
    "guidance/] or other names that say which is which; may be repeated.",
)
@click.option("--out", required=True, type=Path, help="Run folder for checkpoints and the log.")
@click.option(
    "--tier",
    default="fast",
    show_default=True,
    help="Which preset: fast or paper; for denoise also gray-fast, live; for deblur also "
    "paper-tiny.",
)
@click.option("--preset", "preset_file", type=Path, help="Preset file instead of the tier's.")
@click.option(
    "--strategy",
    type=click.Choice(get_args(Strategy)),
    default="strict",
    show_default=True,
    help="strict: Algorithm 1. response: f moves the hyper-network too. naive: one step on "
    "f + lambda g. unguided: the twin without a map. oracle: guided by the true map. manual: "
    "guided by --level.",
)
@click.option("--level", type=float, help="The map's constant value for the strategy manual.")
@click.option(
    "--lambda",
    "naive_weight",
    type=click.FloatRange(0),
    help="Weight of g for the strategy naive.  [default: 1]",
)
@click.option(
    "--init-from",
    type=Path,
    help="Start from a run, a model file or a bundled model's name, or authors' weights (.pth).",
)
@click.option(
    "--teacher",
    type=Path,
    help="A run, a model file or a bundled model's name whose maps and results are the targets, "
    "instead of the true maps and the clean pictures.",
)
@click.option("--streaks", type=Path, help="Folder of gray rain streak layers (derain).")
@click.option("--kernels", type=Path, help="Folder of blur kernels (deblur).")
@click.option("--vgg-weights", type=Path, help="torchvision's VGG16 weights (dehaze, tier paper).")
@click.option("--steps", type=click.IntRange(1), help="Outer steps instead of the preset's.")
@click.option("--warmup", type=click.IntRange(0), help="Warm-up steps instead of the preset's.")
@click.option(
    "--inner",
    type=click.IntRange(0),
    help="Inner steps before each outer step; 0, with --warmup 0 and --init-from, keeps the "
    "hyper-network as it is.",
)
@click.option("--batch", type=click.IntRange(1), help="Batch instead of the preset's.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Processor threads; all cores by default, which is slow where another job holds one.",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Background processes that prepare batches.",
)
@click.option(
    "--cache",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    help="GiB of decoded photos to keep in memory.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: a GPU if there is one.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="auto: bf16 if the processor supports it.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Random seed for weights and batches.",
)
@click.option("--describe-data", default="", help="What the data is, for the model file.")
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(1),
    default=120,
    show_default=True,
    help="Longest time between two checkpoints.",
)
@click.option(
    "--log-steps",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Steps between two lines of the log.",
)
@click.option("--resume", is_flag=True, help="Go on where the run folder stands.")
@click.option("--force", is_flag=True, help="Replace the run that the folder holds.")
def train(**options: Any) -> None:
    """Train a guided pair for TASK on photos, degraded on the fly, or on pairs of pictures.

    Writes best and last weights, the state for --resume, log.jsonl, curves.png and TensorBoard
    events into the run folder.
    """
    given = _Options(**options)
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    refuse_run_folder(given.out, given.resume, given.force)
    with join(given.device) as world:
        run = _open_run(given, world)
        # An older run in the folder is kept until the first checkpoint replaces it.
        with claim(given.out) if world.leads else nullcontext():
            if given.resume:
                run.resume()
            with _stops(run), _reporting(run, given.task) as report:
                run.train(report, given.checkpoint_seconds, given.log_steps)
        if world.leads:
            click.echo(printable(_summary(run, given.out)))
    world.leave()


@dataclass(frozen=True)
class _Options:
    """The command's options by name."""

    task: str
    data: tuple[Path, ...]
    out: Path
    tier: str
    preset_file: Path | None
    strategy: Strategy
    level: float | None
    naive_weight: float | None
    init_from: Path | None
    teacher: Path | None
    streaks: Path | None
    kernels: Path | None
    vgg_weights: Path | None
    steps: int | None
    warmup: int | None
    inner: int | None
    batch: int | None
    threads: int | None
    workers: int
    cache: float
    device: str
    precision: str
    seed: int
    describe_data: str
    checkpoint_seconds: float
    log_steps: int
    resume: bool
    force: bool


def _open_run(given: _Options, world: World) -> Run:
    preset = _with_changes(load_preset(given.task, given.tier, given.preset_file), given)
    precision = fastest_precision(world.device) if given.precision == "auto" else given.precision
    teacher = _teacher(given, preset)
    settings = Settings(
        given.strategy,
        given.seed,
        _level(given),
        _naive_weight(given),
        precision,  # type: ignore[arg-type]  # one of click's choices
    )
    data = open_data(
        preset,
        list(given.data),
        given.streaks,
        given.describe_data,
        given.kernels,
        round(given.cache * 2**30),
        tell=click.echo if world.leads else silent,
    )
    if preset.schedule.inner == 0 and given.init_from is None and not given.resume:
        raise HyperguideError(
            "Without inner steps the hyper-network stays as it is: give a trained one with "
            "--init-from."
        )
    if not given.resume:
        refuse_among_photos(given.out, given.data)
    start, origin, seen_before = None, "", None
    if given.init_from is not None:
        path = find_model_file(given.init_from) or given.init_from
        # A resume has its own weights; the given ones are only compared with the original start.
        start = None if given.resume else partial(start_from, path=path)
        origin, seen_before = describe_origin(path), seen_by(path)
    return Run(
        *(preset, data, given.out, settings, world, given.workers),
        initialise=start,
        origin=origin,
        seen_before=seen_before,
        vgg_weights=given.vgg_weights,
        teacher=teacher,
    )


def _teacher(given: _Options, preset: Preset) -> Teacher | None:
    if given.teacher is None:
        return None
    if given.strategy != "strict":
        raise HyperguideError("--teacher belongs to --strategy strict: leave out one of them.")
    return load_teacher(given.teacher, preset)


def _with_changes(preset: Preset, given: _Options) -> Preset:
    names = ("steps", "warmup", "inner")
    changes = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    schedule = replace(preset.schedule, **changes)
    if given.batch is not None:
        stages = tuple(replace(stage, batch=given.batch) for stage in schedule.stages)
        schedule = replace(schedule, stages=stages)
    return replace(preset, schedule=schedule)


def _level(given: _Options) -> float | None:
    """The level for the strategy manual, checked against the task's range."""
    if given.strategy != "manual":
        if given.level is not None:
            raise HyperguideError("--level belongs to --strategy manual: give both or neither.")
        return None
    meaning = find_task(given.task).guidance
    if given.level is None or not meaning.minimum <= given.level <= meaning.maximum:
        raise HyperguideError(
            f"The strategy manual needs --level between {meaning.minimum:g} and "
            f"{meaning.maximum:.3g} ({meaning.name}, {meaning.unit})."
        )
    return given.level


def _naive_weight(given: _Options) -> float:
    """Lambda for the strategy naive."""
    if given.naive_weight is None:
        return 1.0
    if given.strategy != "naive" or not math.isfinite(given.naive_weight):
        raise HyperguideError("--lambda is a finite number and belongs to --strategy naive.")
    return given.naive_weight


@contextmanager
def _stops(run: Run) -> Iterator[None]:
    """Let Ctrl-C or SIGTERM save and end the run after the current step; a second one at once.

    `kill`, schedulers and torchrun send SIGTERM.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        # torchrun forwards a Ctrl-C that its processes have already received, and kills them
        # itself if they take too long.
        if run.stop and run.world.size == 1:
            raise KeyboardInterrupt
        run.stop = True

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    obeyed = [number for number, action in before.items() if action is not signal.SIG_IGN]  # nohup
    for number in obeyed:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in obeyed:
            signal.signal(number, before[number])


@contextmanager
def _reporting(run: Run, task: str) -> Iterator[Callable[[Progress], None]]:
    """A progress bar with the losses, on the leading process."""
    if not run.world.leads:
        yield lambda progress: None
        return
    with progress_bar("step", "losses") as bar:
        row = bar.add_task(task, total=run.total, completed=run.state.step, losses="")

        def report(progress: Progress) -> None:
            losses = [
                f"{name} {value:.3g}"
                for name, value in (("f", progress.f), ("g", progress.g))
                if value is not None
            ]
            for note in progress.notes:
                bar.console.print(printable(f"Skipped: {note}"), markup=False, soft_wrap=True)
            bar.update(
                row,
                completed=progress.step,
                description=f"{task} {progress.phase}",
                losses=" ".join(losses),
            )

        try:
            yield report
        except KeyboardInterrupt:
            if run.state.saved_step is not None:
                words = (
                    f"Saved step {run.state.saved_step}; go on with --resume and the same options."
                )
                bar.console.print(words, markup=False)
            raise


def _summary(run: Run, out: Path) -> str:
    result = run.state.validation
    count = len(run.data.photos.skipped)
    skipped = f"; {count} pictures could not be read" if count else ""
    return (
        f"{out}: {run.state.step} steps in {run.state.seconds:.0f} s on "
        f"{torch.get_num_threads()} thread(s); "
        f"held-out photos {result['input_psnr']:.2f} -> {result['output_psnr']:.2f} dB{skipped}"
    )
