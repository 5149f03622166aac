"""`hyperguide enhance`: enhances pictures, folders, videos and cameras."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from hyperguide.model_format.bundled import BUNDLED_PRECISIONS
from hyperguide.video.addresses import is_video

from .choices import Choices
from .options import BytesType, DeviceType, NameType, SourceType, TileType
from .pictures import enhance_pictures


class _Amount(click.FloatRange):
    """A finite number, at least 0."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class _OddNumber(click.IntRange):
    """An odd number, at least 3."""

    def __init__(self) -> None:
        super().__init__(min=3)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number % 2 == 0:
            self.fail(
                f"{value} is even: the kernel has a middle, so give an odd number.", param, ctx
            )
        return number


@click.command(
    epilog="""\b
Examples:
  hyperguide enhance -i rainy.jpg -o clean.png -t derain
  hyperguide enhance -i photos/ -o clean/ -t denoise -s 0.7
  hyperguide enhance -i *.png -o clean/ -m my-model.onnx --save-guidance maps/
  hyperguide enhance -i hazy.jpg -o clear.jpg -t dehaze -g maps/edited.png --guidance-scale 1.2
  hyperguide enhance -i shaken.png -o sharp.png -t deblur --kernel kernel.png
  hyperguide enhance -i shaken.jpg -o sharp.jpg -t deblur --kernel auto --save-kernel kernel.png
  hyperguide enhance -i film.mp4 -o film-clean.mp4 -t denoise --precision int8
  hyperguide enhance -i film.mkv -o film-clean.mkv -t denoise --codec hevc --crf 22 --resume
  hyperguide enhance -i photos/ -o clean/ -t denoise --ray
  hyperguide enhance -i s3://bucket/photos -o s3://bucket/clean -t denoise --ray head:6379
  hyperguide enhance -i camera:0 --show -t denoise --precision int8
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
    "--kernel",
    type=SourceType(),
    metavar="FILE | auto",
    help="Blur kernel, for deblurring: .png, .txt, .dlm or .npy; auto estimates it.",
)
@click.option(
    "--kernel-size",
    type=_OddNumber(),
    metavar="N",
    help="Rows and columns of the kernel that auto estimates.  [default: found out]",
)
@click.option(
    "--save-kernel",
    type=SourceType(),
    metavar="F",
    help="Also write that kernel, as a PNG; for several pictures, into a folder.",
)
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
@click.option(
    "--smooth",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="A",
    help="Weight of the previous frame's map in video.  [default: as the task needs]",
)
@click.option(
    "--temporal/--no-temporal",
    default=None,
    help="Average the frames of video where nothing moves.  [default: for denoise]",
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
@click.option(
    "--ray",
    is_flag=False,
    flag_value="",
    metavar="[ADDRESS]",
    help="Enhance a folder on a Ray cluster: host:6379, auto, or without ADDRESS a new one here.",
)
@click.option(
    "--ray-workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of workers.  [default: one for every 4 cores, or for each GPU]",
)
def enhance(inputs: tuple[str, ...], more: tuple[str, ...], **options: Any) -> None:
    """Enhance pictures, folders of pictures, videos and cameras.

    The network predicts what to remove (noise level, rain region, scene depth) and removes it.
    """
    choices = Choices((*inputs, *more), **options)
    if choices.ray is not None:
        from .on_cluster import enhance_on_cluster

        enhance_on_cluster(choices)
    elif any(map(is_video, choices.inputs)):
        from .videos import enhance_videos  # needs PyAV

        enhance_videos(choices)
    else:
        enhance_pictures(choices)
