"""`hyperguide enhance`: pictures and folders."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import cv2
import numpy as np

from hyperguide.atomic import refuse_existing
from hyperguide.bundled import PRECISIONS
from hyperguide.engines import Device
from hyperguide.enhancer import Dial, Enhancer, load
from hyperguide.errors import HyperguideError
from hyperguide.guidance_files import encode_map, false_color, gray_plane, read_map
from hyperguide.kernel_files import read_kernel
from hyperguide.paths import make_folder
from hyperguide.pictures import read_picture, write_picture
from hyperguide.pixels import full_scale

from .jobs import Job, plan_jobs
from .options import BytesType, DeviceType, TileType
from .progress import progress_bar


class _Amount(click.FloatRange):
    """A finite number, at least 0."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


@dataclass(frozen=True)
class _Dials:
    """What the user turned; `guidance` None lets the network predict."""

    strength: float
    mask: np.ndarray | None
    guidance: Dial | None
    guidance_scale: float
    kernel: np.ndarray | None


@click.command(
    epilog="""\b
Examples:
  hyperguide enhance -i rainy.jpg -o clean.png -t derain
  hyperguide enhance -i photos/ -o clean/ -t denoise -s 0.7
  hyperguide enhance -i *.png -o clean/ -m my-model.onnx --save-guidance maps/
  hyperguide enhance -i hazy.jpg -o clear.jpg -t dehaze -g maps/edited.png --guidance-scale 1.2
"""
)
@click.option("-i", "--input", "inputs", multiple=True, type=Path, help="Picture or folder.")
@click.argument("more", nargs=-1, type=Path, metavar="[IN]...")
@click.option("-o", "--output", required=True, help="Picture, or folder for several.")
@click.option("-t", "--task", help="Bundled model: denoise, derain, dehaze.")
@click.option("-m", "--model", type=Path, help="Model file or TensorRT engine instead.")
@click.option("--tier", default="fast", show_default=True, help="Of the bundled model.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Of the bundled model.",
)
@click.option(
    "-s",
    "--strength",
    type=_Amount(),
    default=1.0,
    show_default=True,
    help="0 returns the input, 1 the trained result, in between blends.",
)
@click.option("-g", "--guidance", metavar="MAP|NUMBER", help="Use this map, do not predict one.")
@click.option(
    "--guidance-scale",
    type=_Amount(),
    default=1.0,
    show_default=True,
    help="Multiplies the map: above 1 removes more.",
)
@click.option("--mask", type=Path, help="Gray picture; the strength is multiplied by it.")
@click.option(
    "--kernel", type=Path, help="Of the blur: .png, .txt, .dlm or .npy; for models that deblur."
)
@click.option("--save-guidance", type=Path, metavar="DIR", help="Also write the maps.")
@click.option("--device", type=DeviceType(), default="auto", show_default=True)
@click.option("--trust", is_flag=True, help="Load a TensorRT engine that somebody else built.")
@click.option(
    "--tile",
    type=TileType(),
    default="auto",
    show_default=True,
    help="Longest side of the parts that large pictures are cut into.",
)
@click.option(
    "--max-memory", type=BytesType(), help="That the process may use, as 2G.  [default: half]"
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
def enhance(
    inputs: tuple[Path, ...],
    more: tuple[Path, ...],
    output: str,
    task: str | None,
    model: Path | None,
    tier: str,
    precision: str,
    strength: float,
    guidance: str | None,
    guidance_scale: float,
    mask: Path | None,
    kernel: Path | None,
    save_guidance: Path | None,
    device: Device,
    trust: bool,
    tile: int | Literal["auto"] | None,
    max_memory: int | None,
    force: bool,
) -> None:
    """Enhance pictures or folders of pictures.

    The network predicts what to remove (noise level, rain region, scene depth) and removes it.
    """
    sources = [*inputs, *more]
    if not sources:
        raise click.UsageError("Give at least one picture or folder with -i.")
    if (task is None) == (model is None):
        raise click.UsageError("Give either a task with -t or a model file with -m.")
    # OpenCV's multi-line messages would surround our one sentence.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    jobs = plan_jobs(sources, output, save_guidance)
    enhancer = load(
        model if model is not None else str(task),
        device=device,
        tier=tier,
        precision=precision,
        trust=trust,
        tile=tile,
        max_memory=max_memory,
    )
    dials = _Dials(
        strength,
        None if mask is None else _read_mask(mask),
        None if guidance is None else read_map(guidance, enhancer.info.guidance),
        guidance_scale,
        None if kernel is None else read_kernel(kernel),
    )
    if len(jobs) == 1 and jobs[0].source == sources[0]:
        for note in _enhance_one(enhancer, jobs[0], dials, force):
            click.echo(note, err=True)
        return
    failed = _enhance_all(enhancer, jobs, dials, force)
    if failed:
        raise HyperguideError(
            f"{failed} of {len(jobs)} pictures failed, see above; the others are in {output}."
        )


def _enhance_all(enhancer: Enhancer, jobs: list[Job], dials: _Dials, force: bool) -> int:
    """Enhance every picture, whatever happens to the others. Returns how many failed."""
    failed = 0
    with progress_bar("picture") as bar:
        row = bar.add_task(enhancer.info.task, total=len(jobs))
        for job in jobs:
            try:
                notes = _enhance_one(enhancer, job, dials, force)
            except HyperguideError as error:
                failed += 1
                notes = [str(error)]
            except Exception as error:  # one odd picture must not stop a folder
                failed += 1
                notes = [f"{job.source}: internal error, {type(error).__name__}: {error}"]
            for note in notes:
                bar.console.print(note, markup=False, highlight=False, soft_wrap=True)
            bar.advance(row)
    return failed


def _enhance_one(enhancer: Enhancer, job: Job, dials: _Dials, force: bool) -> list[str]:
    """Enhance one picture and write its files. Returns notes for the user."""
    for path in job.writes:
        refuse_existing(path, force)
    picture = read_picture(job.source)
    notes: list[str] = []
    strength: Dial = dials.strength
    if dials.mask is not None:
        strength = dials.strength * _fit_mask(dials.mask, picture.shape[:2], notes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = enhancer(
            picture,
            strength=strength,
            guidance=dials.guidance,
            guidance_scale=dials.guidance_scale,
            kernel=dials.kernel,
        )
    notes += [str(w.message) for w in caught]
    for path in job.writes:
        make_folder(path.parent)
    notes += write_picture(job.output, result.image)
    if job.maps and result.guidance is not None:
        meaning = enhancer.info.guidance
        write_picture(job.maps[0], encode_map(result.guidance, meaning))
        write_picture(job.maps[1], false_color(result.guidance, meaning))
    elif job.maps:
        notes.append(f"No map of {job.source} was written: at strength 0 none is computed.")
    return notes


def _read_mask(path: Path) -> np.ndarray:
    picture = gray_plane(read_picture(path), f"The mask {path}")
    return picture.astype(np.float32) / np.float32(full_scale(picture.dtype))


def _fit_mask(mask: np.ndarray, size: tuple[int, ...], notes: list[str]) -> np.ndarray:
    if mask.shape == size:
        return mask
    notes.append(
        f"The mask of {mask.shape[1]}x{mask.shape[0]} pixels was resized to the picture's "
        f"{size[1]}x{size[0]}."
    )
    return cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
