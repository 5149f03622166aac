"""`hyperguide export`: from a run folder to one model file."""

from __future__ import annotations

from pathlib import Path

import click
import torch

from hyperguide.bundled import PRECISIONS
from hyperguide.cli.progress import progress_bar
from hyperguide.errors import HyperguideError
from hyperguide.training.checkpoint import load_run

from .model import MOST_LOSS, Int8, export_model


@click.command(
    epilog="""\b
Examples:
  hyperguide export runs/denoise -o denoise.onnx
  hyperguide export runs/denoise -o denoise-int8.onnx --precision int8 --calib photos/
"""
)
@click.argument("run", type=Path)
@click.option("-o", "--output", required=True, type=Path, help="The .onnx file to write.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Of the convolutions. int8 is explicitly quantised and about twice as fast on CPUs.",
)
@click.option(
    "--calib",
    type=Path,
    multiple=True,
    help="Photos or pairs for int8, as --data of 'hyperguide train'. May be repeated.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=0),
    help=f"For which int8 goes on learning. Default: {Int8.steps}.",
)
@click.option("--accept-loss", is_flag=True, help=f"Write int8 that loses over {MOST_LOSS} dB.")
@click.option("--threads", type=click.IntRange(min=1), help="Of torch. Default: one per core.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def export(
    run: Path,
    output: Path,
    precision: str,
    calib: tuple[Path, ...],
    steps: int | None,
    accept_loss: bool,
    threads: int | None,
    force: bool,
) -> None:
    """Fuse the trained pair of a RUN folder into one ONNX file.

    The file is compared with torch before it appears: image and guidance, three sizes. An int8 pair
    goes on learning for some minutes with rounded weights and values, on pictures of --calib, and
    its loss against fp32 is measured on the last of them.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    int8 = None
    if precision == "int8":
        if not calib:
            raise HyperguideError(
                "int8 is calibrated on pictures like those to come: give their folder with --calib."
            )
        int8 = Int8(calib, Int8.steps if steps is None else steps, accept_loss)
    elif calib or steps is not None or accept_loss:
        raise HyperguideError("--calib, --steps and --accept-loss belong to --precision int8.")
    trained = load_run(run)
    with progress_bar("step") as bar:
        job = bar.add_task("int8", total=int8.steps if int8 else 0, visible=int8 is not None)
        exported = export_model(
            trained, output, force, int8, lambda step: bar.update(job, completed=step)
        )
    for d in exported.differences:
        click.echo(
            f"{d.size[1]}x{d.size[0]}: worst difference from torch: "
            f"enhanced {d.enhanced:.1e}, guidance {d.guidance:.1e}"
        )
    if exported.loss is not None:
        click.echo(
            f"int8 on held-out pictures: {exported.loss.enhanced:.3f} dB below fp32, "
            f"the map {exported.loss.guidance:.2g} off (RMSE)"
        )
    click.echo(f"{output}: {output.stat().st_size / 1000:.0f} kB")
