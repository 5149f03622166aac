"""`hyperguide enhance`: enhances pictures and folders."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal

import click
import cv2
import numpy as np

from hyperguide.batch.jobs import Job, passed_over, plan_jobs
from hyperguide.batch.resume import in_place, is_newer_than_source
from hyperguide.batch.work import EnhanceOptions, Work
from hyperguide.engines import Device
from hyperguide.enhancer import Enhancer, load
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import BUNDLED_PRECISIONS
from hyperguide.picture_files import gray_plane, read_kernel, read_map, read_picture
from hyperguide.pixels import full_scale

from .folders import enhance_folder
from .messages import say
from .options import BytesType, DeviceType, NameType, TileType
from .progress import building_bar, share_bar


class _Amount(click.FloatRange):
    """A finite number, at least 0."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


@click.command(
    epilog="""\b
Examples:
  hyperguide enhance -i rainy.jpg -o clean.png -t derain
  hyperguide enhance -i photos/ -o clean/ -t denoise -s 0.7
  hyperguide enhance -i photos/ -o clean/ -t denoise -s 0.7 --resume
  hyperguide enhance -i *.png -o clean/ -m my-model.onnx --save-guidance maps/
  hyperguide enhance -i hazy.jpg -o clear.jpg -t dehaze -g maps/edited.png --guidance-scale 1.2
  hyperguide enhance -i shaken.png -o sharp.png -t deblur --kernel kernel.png
"""
)
@click.option("-i", "--input", "inputs", multiple=True, type=NameType(), help="Picture or folder.")
@click.argument("more", nargs=-1, type=NameType(), metavar="[IN]...")
@click.option("-o", "--output", required=True, help="Picture, or folder for several.")
@click.option("-t", "--task", help="Bundled model: denoise, derain, dehaze, deblur.")
@click.option("-m", "--model", type=Path, help="Model file or TensorRT engine instead.")
@click.option("--tier", default="fast", show_default=True, help="Tier of the bundled model.")
@click.option(
    "--precision",
    type=click.Choice([*BUNDLED_PRECISIONS, "bf16"]),
    default="fp32",
    show_default=True,
    help="Precision of the bundled model; bf16 lets OpenVINO compute fp32 files in bf16.",
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
@click.option("--kernel", type=Path, help="Blur kernel, for deblurring: .png, .txt, .dlm or .npy.")
@click.option("--save-guidance", type=NameType(), metavar="DIR", help="Also write the maps.")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    help="Quality of JPEG and WebP, 100 is best.  [default: JPEG 95, WebP lossless]",
)
@click.option("--device", type=DeviceType(), default="auto", show_default=True)
@click.option("--strict", is_flag=True, help="Refuse a GPU that leaves steps to the CPU.")
@click.option("--trust", is_flag=True, help="Load a TensorRT engine that somebody else built.")
@click.option(
    "--tile",
    type=TileType(),
    default="auto",
    show_default=True,
    help="Longest side of the tiles that large pictures are split into.",
)
@click.option(
    "--max-memory",
    type=BytesType(),
    help="Memory limit, such as 2G.  [default: half of what is free]",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with an interrupted folder: skip what was made of its source as it is now.",
)
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
    quality: int | None,
    device: Device,
    strict: bool,
    trust: bool,
    tile: int | Literal["auto"] | None,
    max_memory: int | None,
    force: bool,
    resume: bool,
) -> None:
    """Enhance pictures or folders of pictures.

    The network predicts what to remove (noise level, rain region, scene depth) and removes it.
    """
    sources = [*inputs, *more]
    if not sources:
        raise click.UsageError("Give at least one picture or folder with -i.")
    if (task is None) == (model is None):
        raise click.UsageError("Give either a task with -t or a model file with -m.")
    if not output:
        raise click.UsageError("The name behind -o is empty.")
    if resume and force:
        raise click.UsageError("Give either --resume, to go on, or --force, to begin anew.")
    _silence_opencv()
    if strength == 0 and save_guidance is not None:
        say("No maps are written: at strength 0 none are computed.")
        save_guidance = None
    jobs = plan_jobs(sources, output, save_guidance)
    for note in passed_over(sources, output, save_guidance).notes:
        say(note)
    with building_bar() as building:
        loaded = load(
            model if model is not None else str(task),
            device=device,
            tier=tier,
            precision=precision,
            # One picture is faster with a call on all cores, many with a call on each core.
            at_once=min(os.cpu_count() or 1, len(jobs)),
            trust=trust,
            tile=tile,
            max_memory=max_memory,
            strict=strict,
            building=building,
        )
    if device.kind == "auto":
        say(f"Runs on {loaded.engine} ({loaded.why}).")
    with loaded as enhancer:
        if enhancer.info.task == "deblur" and kernel is None:
            say("Without --kernel the picture is taken for sharp: only noise is removed.")
        dials = EnhanceOptions(
            strength,
            None if mask is None else _read_mask(mask, max_memory),
            None if guidance is None else read_map(guidance, enhancer.info.guidance, max_memory),
            guidance_scale,
            None if kernel is None else read_kernel(kernel),
            quality,
        )
        if len(jobs) == 1 and jobs[0].source == sources[0]:
            _enhance_one(enhancer, jobs[0], dials, Path(output), force, resume)
        else:
            place, limit = Path(output), max_memory
            enhance_folder(enhancer, jobs, dials, place, save_guidance, force, resume, limit)


def _silence_opencv() -> None:
    """Silence OpenCV, whose messages of several lines would surround our one sentence."""
    set_level = getattr(cv2, "setLogLevel", None)  # of OpenCV 4
    (set_level or cv2.utils.logging.setLogLevel)(0)


def _enhance_one(
    enhancer: Enhancer, job: Job, dials: EnhanceOptions, output: Path, force: bool, resume: bool
) -> None:
    if resume and is_newer_than_source(job):
        say(f"{job.output} is there already: skipped.")
        return
    work = Work(enhancer, dials, lambda job: force or (resume and not in_place(job)), output)
    with share_bar(enhancer.info.task) as report:
        enhanced = work.enhance(work.read(job), report)  # frees what was read
    for note in work.write(job, enhanced):
        say(note)


def _read_mask(path: Path, max_memory: int | None) -> np.ndarray:
    picture = gray_plane(read_picture(path, max_memory), f"The mask {path}")
    if not (np.isfinite(picture).all() and (picture >= 0).all()):
        raise HyperguideError(f"The mask {path} has values below 0 or NaN: mend or replace it.")
    return picture.astype(np.float32) / np.float32(full_scale(picture.dtype))
