"""`hyperguide export`: from a run folder to one model file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import click
import torch

from hyperguide.cli.progress import progress_bar
from hyperguide.engines.triton import refuse_entry, write_onnx_entry
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import PRECISIONS
from hyperguide.model_format.model_file import read_model_file
from hyperguide.training.model_weights import load_trained

from .model import MOST_LOSS, Io, Lower, export_model


@click.command(
    epilog="""\b
Examples:
  hyperguide export runs/denoise -o denoise.onnx
  hyperguide export runs/denoise -o denoise-int8.onnx --precision int8 --calib photos/
  hyperguide export runs/denoise -o denoise-fp16.onnx --precision fp16 --calib photos/
  hyperguide export denoise-fast -o mine-int8.onnx --precision int8 --calib my-photos/
  hyperguide export runs/denoise -o camera.onnx --io uint8
  hyperguide export runs/denoise -o web.onnx --io web
  hyperguide export runs/denoise -o denoise.onnx --triton models/
"""
)
@click.argument("run", type=Path)
@click.option("-o", "--output", required=True, type=Path, help="The .onnx file to write.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Precision of the convolutions: fp16 for GPUs, int8 for GPUs and for CPUs with OpenVINO.",
)
@click.option(
    "--calib",
    type=Path,
    multiple=True,
    help="Photos or pairs for fp16 and int8, as --data of 'hyperguide train'. May be repeated.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=0),
    help=f"Steps that fit int8 to the fp32 pair. Default: {Lower.steps}.",
)
@click.option("--accept-loss", is_flag=True, help=f"Write a file that loses over {MOST_LOSS} dB.")
# No longer needed: int8 is fitted to the fp32 pair, whatever that was trained with.
@click.option("--vgg-weights", type=Path, hidden=True, expose_value=False)
@click.option(
    "--io",
    type=click.Choice(get_args(Io)),
    default="float",
    show_default=True,
    help="Type of pictures: planes of floats, or bytes as cameras deliver them (NHWC). "
    "web: floats, and dials without defaults, for ONNX Runtime in JavaScript.",
)
@click.option(
    "--triton",
    type=Path,
    metavar="DIR",
    help="Also write the file to a model repository for Triton Inference Server.",
)
@click.option(
    "--plain", is_flag=True, help="Export without fused or split layers, for comparisons."
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of PyTorch. Default: one per core."
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def export(
    run: Path,
    output: Path,
    precision: str,
    calib: tuple[Path, ...],
    steps: int | None,
    accept_loss: bool,
    io: Io,
    triton: Path | None,
    plain: bool,
    threads: int | None,
    force: bool,
) -> None:
    """Fuse the trained pair of a RUN folder into one ONNX file.

    RUN may also be a model file in fp32 or the name of a bundled one, to export another precision.
    The image and guidance of the file are compared with torch at three sizes before it is written.
    Lower precisions are calibrated on the pictures of --calib, and their loss against fp32 is
    measured on the last of these. An int8 pair is fitted to the fp32 pair for some minutes.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if output.suffix != ".onnx":
        raise HyperguideError(f"The output {output} is no model file: give a name with .onnx.")
    lower = _lower(precision, calib, steps, accept_loss)
    if plain and lower is not None:
        raise HyperguideError("--plain is for comparisons in fp32: leave out --precision.")
    trained = load_trained(run)
    entry = None if triton is None else triton / output.stem
    if entry is not None:
        refuse_entry(entry, force)
    learning = lower is not None and lower.precision == "int8"
    with progress_bar("step") as bar:
        job = bar.add_task("int8", total=lower.steps if lower else 0, visible=learning)
        exported = export_model(
            trained,
            output,
            force,
            lower,
            lambda step: bar.update(job, completed=step),
            plain,
            io,
            click.echo,
        )
    for d in exported.differences:
        click.echo(
            f"{d.size[1]}x{d.size[0]}: worst difference from torch: "
            f"enhanced {d.enhanced:.1e}, guidance {d.guidance:.1e}"
        )
    if exported.loss is not None:
        click.echo(
            f"{precision} on held-out pictures: {abs(exported.loss.enhanced):.3f} dB "
            f"{'below' if exported.loss.enhanced >= 0 else 'above'} fp32, "
            f"the map {exported.loss.guidance:.2g} off (RMSE)"
        )
        click.echo(
            f"twice the map changes them {exported.loss.dial:.2f} times as much as in fp32; the "
            f"planes of gray ones come out at most {exported.loss.tint:.1f}/255 apart"
        )
    for name, size in exported.islands.items():
        click.echo(f"{name} stays in fp32: its values reach {size:.3g}")
    click.echo(f"{output}: {output.stat().st_size / 1000:.0f} kB")
    if entry is not None:
        write_onnx_entry(entry, read_model_file(output), force)
        click.echo(f"{entry}: the same for Triton, the dials being constants")


def _lower(
    precision: str,
    calib: tuple[Path, ...],
    steps: int | None,
    accept_loss: bool,
) -> Lower | None:
    """The settings for a lower precision from the options; None for fp32."""
    if steps is not None and precision != "int8":
        raise HyperguideError("--steps belong to --precision int8: leave them out.")
    if precision == "fp32":
        if calib or accept_loss:
            raise HyperguideError(
                "--calib and --accept-loss belong to --precision fp16 or int8: leave them out."
            )
        return None
    if not calib:
        raise HyperguideError(
            f"{precision} is calibrated on pictures like those to come: "
            "give their folder with --calib."
        )
    kind: Literal["fp16", "int8"] = "fp16" if precision == "fp16" else "int8"
    steps = Lower.steps if steps is None else steps
    return Lower(kind, calib, steps, accept_loss)
