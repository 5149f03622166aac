"""`hyperguide bench`: how fast models run here, and whether their results are correct."""

from __future__ import annotations

import datetime
import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import click

from hyperguide.bench.machine import describe, peaks
from hyperguide.bench.page import page
from hyperguide.bench.run import BenchPlan, measure, record
from hyperguide.bench.subject import Spec, Subject, synthetic_frame
from hyperguide.bench.table import table
from hyperguide.engines import Device, why_absent
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import model_path
from hyperguide.picture_files import read_picture
from hyperguide.pixels import full_scale
from hyperguide.storage.atomic import refuse_existing, refuse_missing_folder, write_atomically

from .options import DeviceType, ShapeType
from .progress import progress_bar


@click.command(
    epilog="""\b
Examples:
  hyperguide bench denoise
  hyperguide bench model.onnx model-int8.onnx --device cpu --device openvino
  hyperguide bench denoise --scenario rate --fps 30 --shape 720x1280
  hyperguide bench denoise --scenario offline --batch 1 --batch 4 --html speed.html
"""
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--tier", default="fast", show_default=True, help="Tier of bundled models.")
@click.option(
    "--scenario",
    type=click.Choice(["single", "streams", "rate", "offline"]),
    default="single",
    show_default=True,
    help="Calls one after the other, several at once, frames at a fixed rate, or batches.",
)
@click.option(
    "--device", "devices", type=DeviceType(), multiple=True, help="May be repeated. [auto]"
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "bf16", "int8"]),
    multiple=True,
    help="Precision of bundled models; bf16 computes fp32 files in bf16. May be repeated. [fp32]",
)
@click.option(
    "--shape",
    "shapes",
    type=ShapeType(),
    multiple=True,
    metavar="HxW",
    help="May be repeated. [720x1280]",
)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(1),
    multiple=True,
    help="Pictures in a call. May be repeated. [1]",
)
@click.option(
    "--streams",
    type=click.IntRange(1),
    help="Calls at once, in `streams` [2] and `rate` [1].",
)
@click.option(
    "--fps", type=click.FloatRange(0, min_open=True), help="Frames per second of `rate`. [30]"
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds of work for each subject.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.02,
    show_default=True,
    help="Continue, up to four times as long, until medians are known to this share.",
)
@click.option(
    "--threads", type=click.IntRange(0), default=0, help="Threads of one call. [all cores]"
)
@click.option(
    "--image", type=click.Path(path_type=Path), help="Picture to enhance. [a synthetic one]"
)
@click.option("--no-verify", is_flag=True, help="Skip the checks of results; the record says so.")
@click.option("--trust", is_flag=True, help="Load engines that somebody else built.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the record.")
@click.option("--html", "html_path", type=click.Path(path_type=Path), help="Write a page.")
@click.option("--force", is_flag=True, help="Replace existing files.")
def bench(
    models: tuple[str, ...],
    tier: str,
    scenario: Any,
    devices: tuple[Device, ...],
    precisions: tuple[str, ...],
    shapes: tuple[tuple[int, int], ...],
    batches: tuple[int, ...],
    streams: int | None,
    fps: float | None,
    seconds: float,
    confidence: float,
    threads: int,
    image: Path | None,
    no_verify: bool,
    trust: bool,
    json_path: Path | None,
    html_path: Path | None,
    force: bool,
) -> None:
    """Time models on this machine, in turns, and check their results.

    Latencies are those of `enhancer(frame)`: bytes in, bytes out, including copies to and from a
    GPU. At `rate` they count from when a frame was due. Exit code 1 if a subject fails.
    """
    if fps is not None and scenario != "rate":
        raise click.UsageError("--fps belongs to --scenario rate.")
    if streams is not None and scenario not in ("streams", "rate"):
        raise click.UsageError("--streams belongs to --scenario streams and rate.")
    for path in (json_path, html_path):
        if path is not None:
            refuse_missing_folder(path)
            refuse_existing(path, force)
    plan = BenchPlan(
        scenario=scenario,
        seconds=seconds,
        confidence=confidence,
        streams=streams or (2 if scenario == "streams" else 1),
        fps=fps or 30.0,
        verify=not no_verify,
    )
    specs = [
        Spec(path, path.stem, device, *shape, batch, "bf16" if precision == "bf16" else "fp32")
        for model, precision, device, shape, batch in product(
            models,
            precisions or ("fp32",),
            devices or (Device("auto"),),
            shapes or ((720, 1280),),
            batches or (1,),
        )
        for path in [model_path(model, tier, "int8" if precision == "int8" else "fp32")]
    ]
    frame = synthetic_frame() if image is None else _read(image)
    calls = plan.streams if scenario in ("streams", "rate") else 1
    bar = progress_bar("step")
    with bar:
        task = bar.add_task("bench", total=None)
        rows = measure(
            specs,
            plan,
            lambda spec: Subject(spec, frame, calls, threads, trust),
            lambda what, done, steps: bar.update(
                task, description=what, completed=done, total=steps
            ),
        )
    gpus = [row.facts["gpu"] for row in rows if row.facts.get("gpu") is not None]
    gpu = gpus[0] if gpus and why_absent("cuda") is None else None
    told = record(rows, plan, describe() | {"peaks": peaks(gpu=gpu)})
    told["made"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    told["command"] = ["hyperguide", *sys.argv[1:]]
    click.echo(table(told))
    if json_path is not None:
        write_atomically(json_path, lambda path: path.write_text(json.dumps(told, indent=1)))
    if html_path is not None:
        write_atomically(html_path, lambda path: path.write_text(page(told)))
    failed = [row for row in told["rows"] if row["problem"]]
    if failed:
        first = f"{failed[0]['model']}: {failed[0]['problem']}"
        raise HyperguideError(
            f"{len(failed)} of {len(rows)} failed and count for nothing until that is mended, "
            f"the first one: {first}."
        )


def _read(path: Path) -> Any:
    """Read a picture as RGB bytes."""
    import cv2
    import numpy as np

    picture = read_picture(path)
    pixels = np.atleast_3d(picture)[..., :3].astype(np.float32) / full_scale(picture.dtype)
    rounded = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    return rounded if rounded.shape[2] == 3 else cv2.cvtColor(rounded[..., 0], cv2.COLOR_GRAY2RGB)
