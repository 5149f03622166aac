"""`hyperguide enhance`: enhances pictures, folders, videos and cameras."""

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
from hyperguide.model_format.bundled import BUNDLED_PRECISIONS, model_path
from hyperguide.model_format.engine_file import read_file
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.picture_files import gray_plane, read_kernel, read_map, read_picture
from hyperguide.pixels import full_scale
from hyperguide.video.addresses import is_video

from .folders import enhance_folder
from .messages import say
from .options import BytesType, DeviceType, NameType, SourceType, TileType
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
  hyperguide enhance -i film.mp4 -o film-clean.mp4 -t denoise --precision int8
  hyperguide enhance -i film.mkv -o film-clean.mkv -t denoise --codec hevc --crf 22 --resume
  hyperguide enhance -i camera:0 --show -t denoise --tier live --precision int8
  ffmpeg -i in.mov -f yuv4mpegpipe - | hyperguide enhance -i - -o - -t denoise | ffplay -
"""
)
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    type=SourceType(),
    help="Picture, folder, video, camera:N, URL, or - for YUV4MPEG2 from a pipe.",
)
@click.argument("more", nargs=-1, type=SourceType(), metavar="[IN]...")
@click.option(
    "-o",
    "--output",
    help="Picture or video, folder for several, URL, or - for a pipe.",
)
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
@click.option(
    "--smooth",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="A",
    help="Weight of the previous frame's map in video.  [default: as the task needs]",
)
@click.option("--codec", help="Codec or FFmpeg encoder of the video.  [default: as the source]")
@click.option("--crf", type=click.IntRange(0, 63), help="Quality of the video, lower is better.")
@click.option("--preset", help="Speed of the video encoder, such as fast.")
@click.option("--pix-fmt", help="Pixel format of the video.  [default: as the source]")
@click.option(
    "--audio",
    type=click.Choice(["copy", "none"]),
    default="copy",
    show_default=True,
    help="Sound of the video.",
)
@click.option("--show", is_flag=True, help="Show cameras and streams in a window.")
@click.option(
    "--live/--no-live",
    default=None,
    help="Take only the newest frame.  [default: for cameras and streams]",
)
@click.option("--hwaccel", metavar="NAME", help="Decode the video in hardware, such as cuda.")
@click.option("--kernel", type=Path, help="Blur kernel, for deblurring: .png, .txt, .dlm or .npy.")
@click.option("--save-guidance", type=NameType(), metavar="DIR", help="Also write the maps.")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    help="Quality of JPEG and WebP, 100 is best.  [default: JPEG 95, WebP lossless]",
)
@click.option("--device", type=DeviceType(), default="auto", show_default=True)
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse a GPU that leaves steps to the CPU, and outputs that cannot hold all of a video.",
)
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
    help="Go on with an interrupted folder or video.",
)
def enhance(
    inputs: tuple[str, ...],
    more: tuple[str, ...],
    output: str | None,
    task: str | None,
    model: Path | None,
    tier: str,
    precision: str,
    strength: float,
    guidance: str | None,
    guidance_scale: float,
    mask: Path | None,
    smooth: float | None,
    codec: str | None,
    crf: int | None,
    preset: str | None,
    pix_fmt: str | None,
    audio: Literal["copy", "none"],
    show: bool,
    live: bool | None,
    hwaccel: str | None,
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
    """Enhance pictures, folders of pictures, videos and cameras.

    The network predicts what to remove (noise level, rain region, scene depth) and removes it.
    """
    names = [*inputs, *more]
    if not names:
        raise click.UsageError("Give at least one picture, folder or video with -i.")
    if (task is None) == (model is None):
        raise click.UsageError("Give either a task with -t or a model file with -m.")
    if output == "" or (output is None and not show):
        raise click.UsageError("Give the name of the output with -o.")
    if resume and force:
        raise click.UsageError("Give either --resume, to go on, or --force, to begin anew.")
    _silence_opencv()
    if strength == 0 and save_guidance is not None:
        say("No maps are written: at strength 0 none are computed.")
        save_guidance = None
    loading: dict[str, Any] = {
        "device": device,
        "tier": tier,
        "precision": precision,
        "trust": trust,
        "tile": tile,
        "max_memory": max_memory,
        "strict": strict,
    }

    def opened(at_once: int) -> Enhancer:
        with building_bar() as building:
            name = model if model is not None else str(task)
            loaded = load(name, at_once=at_once, building=building, **loading)
        if device.kind == "auto":
            say(f"Runs on {loaded.engine} ({loaded.why}).")
        if loaded.info.task == "deblur" and kernel is None:
            say("Without --kernel the picture is taken for sharp: only noise is removed.")
        return loaded

    def options_for(info: ModelInfo) -> EnhanceOptions:
        return EnhanceOptions(
            strength,
            None if mask is None else _read_mask(mask, max_memory),
            None if guidance is None else read_map(guidance, info.guidance, max_memory),
            guidance_scale,
            None if kernel is None else read_kernel(kernel),
            quality,
        )

    if any(map(is_video, names)):
        if save_guidance is not None or quality is not None:
            raise click.UsageError("--save-guidance and --quality are for pictures.")
        from hyperguide.video.encoders import EncoderWishes
        from hyperguide.video.files import FileOptions

        from .live import enhance_live
        from .videos import enhance_videos, parse_destination, parse_sources, plan_videos

        def video_options(info: ModelInfo) -> FileOptions:
            return FileOptions(
                _frame_dials(options_for(info)),
                smooth,
                wishes=EncoderWishes(codec, crf, preset, pix_fmt),
                audio=audio,
                strict=strict,
                hwaccel=hwaccel,
                max_memory=max_memory,
            )

        found = parse_sources(names, True if show and output is None else live)
        if found[0].is_live:
            path = model_path(model if model is not None else str(task), tier, precision)
            dials = video_options(read_file(path, trust).info)
            destination = None if output is None else parse_destination(output)
            enhance_live(lambda: opened(at_once=1), found[0], destination, show, dials, force)
            return
        if show or output is None:
            raise click.UsageError("--show plays a file without writing it: leave out -o.")
        videos = plan_videos(found, output)
        with opened(at_once=1) as enhancer:
            enhance_videos(enhancer, videos, video_options(enhancer.info), force, resume)
        return
    if show or output is None:
        raise click.UsageError("--show is for cameras, streams and videos: leave it out.")
    sources = [Path(name) for name in names]
    jobs = plan_jobs(sources, output, save_guidance)
    for note in passed_over(sources, output, save_guidance).notes:
        say(note)
    # One picture is faster with a call on all cores, many with a call on each core.
    with opened(at_once=min(os.cpu_count() or 1, len(jobs))) as enhancer:
        chosen = options_for(enhancer.info)
        if len(jobs) == 1 and jobs[0].source == sources[0]:
            _enhance_one(enhancer, jobs[0], chosen, Path(output), force, resume)
        else:
            place, limit = Path(output), max_memory
            enhance_folder(enhancer, jobs, chosen, place, save_guidance, force, resume, limit)


def _frame_dials(options: EnhanceOptions) -> dict[str, Any]:
    """The dials of every frame, as in `Enhancer.__call__`, but for those at their defaults."""
    dials: dict[str, Any] = {}
    if options.strength != 1 or options.mask is not None:
        mask = 1.0 if options.mask is None else options.mask
        dials["strength"] = options.strength * mask
    if options.guidance is not None:
        dials["guidance"] = options.guidance
    if options.guidance_scale != 1:
        dials["guidance_scale"] = options.guidance_scale
    if options.kernel is not None:
        dials["kernel"] = options.kernel
    return dials


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
