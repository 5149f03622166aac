"""`hyperguide eval`: measure a target on a test suite."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import torch

from hyperguide.cli.progress import progress_bar
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import check_suffix, write_picture
from hyperguide.storage.atomic import refuse_existing, refuse_missing_folder, write_atomically
from hyperguide.tasks import TASKS

from .catalog import open_suite
from .contamination import contamination, refuse_contaminated
from .measure import Example, Measurement, measure
from .photo_sheet import draw_photos, find_photos, look_at, photo_lines
from .protocols import PROTOCOLS
from .record import open_record, record, suite_title
from .report import summary, table, to_json
from .restorers import open_target
from .sheet import draw_sheet, pick
from .suites import Boundary, Options, Suite
from .target import Target


class _Numbers(click.ParamType):
    """Comma-separated numbers of at least 0."""

    name = "NUMBERS"

    def __init__(self, count: int | None = None) -> None:
        self.count = count

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Parse the text. Usage errors are shown by click."""
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers like 1,2,3", param, ctx)
        if not all(0 <= number < float("inf") for number in numbers):
            self.fail("all numbers must be at least 0, and finite", param, ctx)
        if self.count not in (None, len(numbers)):
            self.fail(f"{self.count} numbers are needed, not {len(numbers)}", param, ctx)
        return numbers


@click.command(
    "eval",
    epilog="""\b
Examples:
  hyperguide eval denoise --suite bsd68 --data tests/
  hyperguide eval runs/deblur --suite levin --noise 1,3,5 --json deblur.json
  hyperguide eval denoise --suite levin --quadrants 1,2,3,4 --sheet quadrants.png
  hyperguide eval prenet.pth --suite rain100l
  hyperguide eval stages_01-10_finetuned.hdf5 --suite levin --noise 3 --told-noise 1
  hyperguide eval model.onnx --suite pairs:photos/
  hyperguide eval model.onnx --suite polyu --data tests/
  hyperguide eval model.onnx --suite harmless:photos/
  hyperguide eval model.onnx --suite sheet:photos/ --scale 0.5,1,2 --sheet photos.png
  hyperguide eval model.onnx --suite bsd68 --record
""",
)
@click.argument("target")
@click.option(
    "--suite",
    "suite_name",
    required=True,
    metavar="NAME",
    help="bsd68, set12, polyu, levin, levin-captured, sun80, rain100l, rain100h, sots, "
    "sots-disturbed; "
    "pairs:DIR with DIR/input and DIR/target; "
    "harmless:DIR, whose pictures should come back as they are; text:DIR, with text drawn "
    "over them; or sheet:DIR, photos without any "
    "truth, to be looked at.",
)
@click.option(
    "--data", type=Path, envvar="HYPERGUIDE_DATA", show_envvar=True, help="Folder of the test data."
)
@click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    help="How to score, if not as usual for the suite.",
)
@click.option(
    "--noise",
    type=_Numbers(),
    help="Noise levels: of 255 for bsd68 and set12, in percent of full scale for levin and sun80.",
)
@click.option(
    "--quadrants",
    type=_Numbers(4),
    metavar="A,B,C,D",
    help="Four levels in percent, in the four quarters of each picture, instead of --noise.",
)
@click.option(
    "--told-noise",
    type=click.FloatRange(0),
    metavar="X",
    help="Tell the target this level, in the unit of --noise, whatever the true one is.",
)
@click.option(
    "--scale",
    "scales",
    type=_Numbers(),
    default="1",
    help="Scale the target's map, as the dial guidance_scale does. Several for sheet:DIR.",
)
@click.option(
    "--boundary",
    type=click.Choice(["same", "valid"]),
    help="Blur of levin and sun80: zeros outside the picture (the usual), or its surroundings.",
)
@click.option("--color", is_flag=True, help="The colour originals (bsd68).")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many pictures.")
@click.option("--tier", default="fast", show_default=True, help="Tier of a bundled model.")
@click.option("--json", "json_file", type=Path, help="Write every picture's figures to this file.")
@click.option("--sheet", "sheet_file", type=Path, help="Write a picture with a few examples.")
@click.option(
    "--record",
    "into_file",
    is_flag=True,
    help="Write the result into the model file, where 'hyperguide info' shows it.",
)
@click.option(
    "--accept-contamination",
    "accepted",
    is_flag=True,
    help="Record a result though the target was trained on pictures of the suite.",
)
@click.option("--threads", type=click.IntRange(1), help="Processor threads; all cores by default.")
@click.option("--force", is_flag=True, help="Replace existing files.")
def evaluate(
    target: str,
    suite_name: str,
    data: Path | None,
    protocol: str | None,
    noise: tuple[float, ...] | None,
    quadrants: tuple[float, float, float, float] | None,
    told_noise: float | None,
    scales: tuple[float, ...],
    boundary: Boundary | None,
    color: bool,
    limit: int | None,
    tier: str,
    json_file: Path | None,
    sheet_file: Path | None,
    into_file: bool,
    accepted: bool,
    threads: int | None,
    force: bool,
) -> None:
    """Measure TARGET on a test suite.

    TARGET is a run folder, a model file, the task of a bundled model, or another method.

    Weights published by others: .pth of PReNet, GridDehazeNet, AOD-Net, SPANet or IRCNN, .mat of
    CSF, .hdf5 of FDN with its config.json beside it.

    Without weights: 'input' scores the degraded pictures; 'wiener', 'fd' and 'richardson-lucy'
    deblur; 'bm3d' denoises; 'dark-channel' removes haze.

    CSF, FDN, IRCNN, 'wiener' and 'bm3d' are told the true noise level.
    """
    _refuse_outputs(target, json_file, sheet_file, force)
    if into_file and (quadrants or told_noise is not None or limit or scales != (1,)):
        raise HyperguideError(
            "--record keeps what the model itself does on a whole suite: "
            "leave out --quadrants, --told-noise, --scale and --limit."
        )
    if into_file:
        open_record(target)  # fails before the work, not after it
    if threads is not None:
        torch.set_num_threads(threads)
    opened = open_target(target, tier, threads or 0)
    kind, _, folder = suite_name.partition(":")
    if kind == "sheet" and folder:
        of_truth = (json_file, into_file, accepted, protocol, noise, quadrants, boundary, color)
        if any(of_truth) or told_noise is not None:
            raise HyperguideError(
                "sheet:DIR has no truth to measure against: it knows --scale, --limit and --sheet."
            )
        click.echo(_show(opened, Path(folder), scales, limit, sheet_file))
        return
    if len(scales) > 1:
        raise HyperguideError("Several --scale are for sheet:DIR: give one.")
    options = Options(
        data=data,
        noise=noise,
        quadrants=quadrants,
        boundary=boundary,
        color=color,
        limit=limit,
        # Only deblurring targets and references get blurred pictures.
        blur=opened.task in (None, "deblur"),
        guidance=None if opened.task is None else TASKS[opened.task].guidance,
    )
    suite = open_suite(suite_name, options)
    told = _told_level(told_noise, suite, opened)
    name = protocol or suite.protocol
    measurements, examples = _run(suite, opened, name, told, scales[0], sheet_file is not None)
    if json_file is not None:
        settings = {
            "suite": suite_name,
            "noise": noise,
            "quadrants": quadrants,
            "told_noise": told_noise,
            "scale": scales[0],
            "boundary": boundary,
            "color": color,
            "limit": limit,
            "threads": threads,
        }
        text = to_json(suite, opened, name, measurements, settings)
        write_atomically(json_file, lambda temporary: temporary.write_text(text))
    if sheet_file is not None:
        write_picture(sheet_file, draw_sheet(examples, suite.guidance))
    click.echo(table(suite, opened, name, measurements))
    if into_file:
        found = contamination(measurements, opened)
        refuse_contaminated(found, accepted)
        title = suite_title(suite_name, color, boundary)
        record(open_record(target), title, summary(name, measurements, found))


def _show(
    target: Target,
    folder: Path,
    scales: tuple[float, ...],
    limit: int | None,
    sheet_file: Path | None,
) -> str:
    """Run photos through the target under a progress bar; returns the table."""
    photos = find_photos(folder, limit)
    with progress_bar("photo") as bar:
        row = bar.add_task("eval", total=len(photos))
        looked = look_at(photos, target, scales, lambda: bar.update(row, advance=1))
    if sheet_file is not None:
        write_picture(sheet_file, draw_photos(looked))
    return photo_lines(looked, target, scales)


def _refuse_outputs(
    target: str, json_file: Path | None, sheet_file: Path | None, force: bool
) -> None:
    if sheet_file is not None:
        check_suffix(sheet_file)
    if json_file is not None and sheet_file is not None and _same(json_file, sheet_file):
        raise HyperguideError(f"--json and --sheet both name {json_file}: give them two names.")
    for path in (json_file, sheet_file):
        if path is not None:
            refuse_existing(path, force)
            refuse_missing_folder(path)
            if _same(path, Path(target)):
                raise HyperguideError(f"{path} is what is measured: choose another output.")


def _same(a: Path, b: Path) -> bool:
    return os.path.realpath(a) == os.path.realpath(b)


def _told_level(told_noise: float | None, suite: Suite, target: Target) -> float | None:
    """The level of `--told-noise`, full scale = 1."""
    if told_noise is None:
        return None
    if suite.unit is None:
        raise HyperguideError("--told-noise belongs to suites with noise: leave it out.")
    own = target.kind in ("run", "model file") and target.task in ("denoise", "deblur")
    takes = target.informed or own
    if not takes:
        raise HyperguideError(f"{target.name} takes no noise level: leave out --told-noise.")
    return told_noise * suite.unit


def _run(
    suite: Suite, target: Target, protocol: str, told: float | None, scale: float, keep: bool
) -> tuple[list[Measurement], list[Example]]:
    """Measure all pictures under a progress bar. keep: keep a few for the sheet."""
    measurements: list[Measurement] = []
    examples: list[Example] = []
    shown = pick(len(suite.cases)) if keep else set()
    with progress_bar("picture", "psnr") as bar:
        row = bar.add_task("eval", total=len(suite.cases), psnr="")
        for example in measure(suite, target, PROTOCOLS[protocol], told, scale):
            if len(measurements) in shown:
                examples.append(example)
            measurements.append(example.measurement)
            psnr = sum(m.output.psnr for m in measurements) / len(measurements)
            bar.update(row, advance=1, psnr=f"{psnr:.2f} dB")
    return measurements, examples
