"""The stages that frames of any source pass: to RGB, through the network, and back to planes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.stream import Stream
from hyperguide.tasks import Guidance

from .av_library import av, av_errors
from .coding import output_tags
from .colors import from_rgb, to_rgb
from .maps import saved
from .pipeline import Stage
from .planes import digest_of, frame_like, in_format, planes_of
from .video_info import VideoInfo

# How FFmpeg scales chroma: slowly and without bias.
_WAYS = av.video.reformatter.Interpolation
_EXACT = _WAYS.BICUBIC | _WAYS.ACCURATE_RND | _WAYS.FULL_CHR_H_INT | _WAYS.FULL_CHR_H_INP
_LIMITED, _FULL = 1, 2  # FFmpeg's numbers of the ranges

# Every so many rows and columns are looked at to notice an output of one colour.
_GRID = 16
# Levels of 255 that the reduced input must span where the output spans none.
_SPAN = 16


@dataclass
class Item:
    """A frame on its way.

    number: from 0 in the output. picture: RGB, later the enhanced one. planes: of the source.
    guidance: the map. state, digest: of the stream after this frame and of its planes, if a segment
    ends with it.
    """

    number: int
    frame: av.VideoFrame
    planes: list[np.ndarray] = field(default_factory=list)
    before: np.ndarray | None = None
    picture: np.ndarray | None = None
    guidance: np.ndarray | None = None
    state: dict[str, np.ndarray] | None = None
    digest: int = 0


def frame_stages(
    stream: Stream,
    dials: Mapping[str, Any],
    info: VideoInfo,
    pixel_format: str,
    segment: int = 0,
    maps: tuple[Path, Guidance] | None = None,
) -> dict[str, Stage]:
    """The stages of a pipeline from decoded frames to those that an encoder takes.

    segment: see `enhanced`. maps: where to write them, and what they mean; None for nowhere.
    """
    stages: dict[str, Stage] = {
        "colours": lambda items: colors_in(items, info),
        "enhance": lambda items: enhanced(items, stream, dials, segment, info),
    }
    if maps is not None:
        stages["maps"] = lambda items: saved(items, *maps)
    stages["colours back"] = lambda items: colors_out(items, info, pixel_format)
    return stages


def colors_in(items: Iterator[Item], info: VideoInfo) -> Iterator[Item]:
    """Make pictures of frames."""
    for item in items:
        item.planes = planes_of(item.frame, info.format)
        item.before = to_rgb(item.planes, info.coding)
        yield item


def enhanced(
    items: Iterator[Item], stream: Stream, dials: Mapping[str, Any], segment: int, info: VideoInfo
) -> Iterator[Item]:
    """Enhance pictures in order.

    segment: number of frames after which the stream's state is wanted; 0 for never.
    """
    for item in items:
        assert item.before is not None
        try:
            result = stream(item.before, **dials)
        except HyperguideError as error:
            raise HyperguideError(f"At {seconds_of(item.frame, info):.2f} s: {error}") from error
        item.picture, item.guidance = result.image, result.guidance
        _refuse_constant(item, info)
        if segment and (item.number + 1) % segment == 0:
            item.state, item.digest = stream.state(), digest_of(item.planes)
        yield item


def colors_out(items: Iterator[Item], info: VideoInfo, pixel_format: str) -> Iterator[Item]:
    """Make frames of enhanced pictures, in the format that the encoder takes."""
    reformatter = av.video.reformatter.VideoReformatter()
    for item in items:
        assert item.before is not None
        assert item.picture is not None
        planes = from_rgb(item.planes, item.before, item.picture, info.coding)
        made = frame_like(item.frame, planes, info.format)
        if made.format.name != pixel_format:
            made = _reformatted(reformatter, made, pixel_format, info)
        item.frame = made
        item.planes, item.before, item.picture = [], None, None
        yield item


def seconds_of(frame: av.VideoFrame, info: VideoInfo) -> float:
    """The time of a frame."""
    return 0.0 if frame.pts is None else float(frame.pts * info.time_base)


def _reformatted(
    reformatter: Any, frame: av.VideoFrame, pixel_format: str, info: VideoInfo
) -> av.VideoFrame:
    """The frame in another format, tagged as the encoder expects."""
    coding = info.coding
    matrix, range = output_tags(coding, info.matrix, info.range, pixel_format, info.height)
    frame.colorspace, frame.color_range = coding.matrix, _FULL if coding.full_range else _LIMITED
    with av_errors(f"Frames could not be converted to {pixel_format}"):
        made = in_format(
            reformatter,
            frame,
            pixel_format,
            interpolation=_EXACT,
            dst_colorspace=matrix if coding.format.kind == "rgb" else coding.matrix,
            dst_color_range=range or _LIMITED,
        )
    made.colorspace, made.color_range = matrix, range
    made.pts, made.duration, made.time_base = frame.pts, frame.duration, frame.time_base
    return made


def _refuse_constant(item: Item, info: VideoInfo) -> None:
    """Raise HyperguideError for one colour in place of a picture, as broken drivers give it."""
    assert item.picture is not None
    assert item.before is not None
    if _span(item.picture[::_GRID, ::_GRID]):
        return
    size = max(info.width // _GRID, 1), max(info.height // _GRID, 1)
    before = cv2.resize(item.before, size, interpolation=cv2.INTER_AREA)  # without noise
    if _span(before) > _SPAN * (1 if before.dtype == np.uint8 else 257):
        raise HyperguideError(
            f"The frame at {seconds_of(item.frame, info):.2f} s came back in one colour: run "
            "'hyperguide verify' on the model with the same --device."
        )


def _span(picture: np.ndarray) -> int:
    """The largest difference of two pixels in one channel."""
    return int(np.ptp(picture, axis=(0, 1)).max())
