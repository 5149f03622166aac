"""`hyperguide build`: builds a TensorRT engine from a model file."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from hyperguide.engines.tensorrt.bindings import BUILDERS, TensorRt, open_tensorrt
from hyperguide.engines.tensorrt.build import (
    BuildOptions,
    CancelledError,
    Size,
    build_engine,
    default_sizes,
)
from hyperguide.engines.triton import refuse_entry, write_plan_entry
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import model_path
from hyperguide.model_format.contract import PRECISIONS
from hyperguide.model_format.engine_file import SUFFIX
from hyperguide.model_format.model_file import read_model_file

from .options import BytesType
from .progress import building_bar


class _Sizes(click.ParamType):
    """Three sizes HxW, or a single one for all three."""

    name = "MIN,OPT,MAX"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Size, Size, Size]:
        """Parse the sizes."""
        found = [re.fullmatch(r"(\d+)x(\d+)", part.strip()) for part in str(value).split(",")]
        if len(found) not in (1, 3) or None in found:
            self.fail(f"{value!r} is not like 64x64,720x1280,2160x3840 (HxW)", param, ctx)
        sizes = [(int(match[1]), int(match[2])) for match in found if match]
        return (sizes[0], sizes[0], sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1], sizes[2])


class _Batches(click.ParamType):
    """Three whole numbers, or a single one for all three."""

    name = "MIN,OPT,MAX"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int]:
        """Parse the numbers."""
        parts = str(value).split(",")
        if len(parts) not in (1, 3) or not all(part.strip().isdigit() for part in parts):
            self.fail(f"{value!r} is not like 1,1,8", param, ctx)
        numbers = [int(part) for part in parts] * (3 if len(parts) == 1 else 1)
        return numbers[0], numbers[1], numbers[2]


@click.command(
    epilog="""\b
Examples:
  hyperguide build derain -o derain.engine
  hyperguide build model.onnx -o model.engine --shapes 16x16,1080x1920,2160x3840
  hyperguide build model-fp16.onnx -o model.engine --precision fp16 --target sm86,sm89
"""
)
@click.argument("model")
@click.option(
    "-o", "--output", required=True, type=Path, help=f"The {SUFFIX} file to write; a .json beside."
)
@click.option("--tier", default="fast", show_default=True, help="Tier of a bundled model.")
@click.option(
    "--shapes",
    type=_Sizes(),
    help="Smallest, best and largest picture, HxW.  [default: 16x16,720x1280,2160x3840]",
)
@click.option(
    "--batch",
    "batches",
    type=_Batches(),
    default="1",
    show_default=True,
    help="Smallest, best and largest number of pictures in a call.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Refuse a file of another precision; the file decides the precision.",
)
@click.option(
    "--target",
    "targets",
    help="GPUs to build for by compute capability, as sm89 or sm75,sm86 (TensorRT-RTX). Default: "
    "all from sm80 on; TensorRT builds for this machine's only.",
)
@click.option(
    "--triton",
    type=Path,
    metavar="DIR",
    help="Also write the engine to a model repository for Triton Inference Server.",
)
@click.option(
    "--steerable",
    is_flag=True,
    help="Make the dials inputs of the engine, which then must be given.",
)
@click.option("--tf32", is_flag=True, help="Let fp32 files compute in TF32, faster and less exact.")
@click.option(
    "--workspace", type=BytesType(), help="GPU memory for the search of tactics, such as 2G."
)
@click.option("--timing-cache", type=Path, help="File of measured tactics, to read and extend.")
@click.option(
    "--builder", type=click.Choice(["auto", *BUILDERS]), default="auto", show_default=True
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
def build(
    model: str,
    output: Path,
    tier: str,
    shapes: tuple[Size, Size, Size] | None,
    batches: tuple[int, int, int],
    precision: str | None,
    targets: str | None,
    triton: Path | None,
    steerable: bool,
    tf32: bool,
    workspace: int | None,
    timing_cache: Path | None,
    builder: str,
    force: bool,
) -> None:
    """Build a TensorRT engine from a model file or bundled model.

    The engine is strongly typed: it computes in the precision of the file. The .json beside it
    describes it.
    """
    file = read_model_file(model_path(model, tier))
    tensorrt = open_tensorrt(builder)
    entry = None if triton is None else triton / output.stem
    if entry is not None:
        _check_entry(entry, tensorrt, steerable, batches, force)
    options = BuildOptions(
        shapes or default_sizes(file.info.size_multiple),
        batches,
        precision,
        tuple(part.strip().lower() for part in targets.split(",")) if targets else (),
        steerable,
        workspace,
        timing_cache,
        tf32,
    )
    with _flag() as stopped, building_bar() as report:
        try:
            built = build_engine(
                file, output, options, tensorrt, force, report, lambda: bool(stopped)
            )
        except CancelledError:
            raise KeyboardInterrupt from None
    counts = ", ".join(f"{count} in {name}" for name, count in built.convolutions.most_common())
    default = "sm80 and later" if tensorrt.is_rtx else "this machine's GPU"
    where = ", ".join(options.targets) or default
    click.echo(f"{output}: {len(built.content) / 1000:.0f} kB for {where}; convolutions: {counts}")
    if entry is not None:
        write_plan_entry(entry, file.info, output.read_bytes(), batches[-1], force)
        click.echo(f"{entry}: the same for Triton")


def _check_entry(
    entry: Path, tensorrt: TensorRt, steerable: bool, batches: tuple[int, int, int], force: bool
) -> None:
    """Raise HyperguideError if Triton could not serve the engine to be built."""
    if tensorrt.is_rtx:
        raise HyperguideError(
            "Triton serves engines of TensorRT, not of TensorRT-RTX: build with --builder tensorrt "
            "on the machine that serves, or give --triton to 'hyperguide export'."
        )
    if steerable:
        raise HyperguideError("Triton's clients give a picture only: leave out --steerable.")
    if batches[0] > 1:
        raise HyperguideError("Triton's clients also send single pictures: let --batch begin at 1.")
    refuse_entry(entry, force)


@contextmanager
def _flag() -> Iterator[list[int]]:
    """A list that Ctrl-C appends to: an exception must not pass through TensorRT."""
    caught: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, before)
