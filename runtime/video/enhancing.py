"""The stages that frames of any source pass: to RGB, through the network, and back to planes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.stream import Stream

from .av_library import av, av_errors
from .colors import from_rgb, to_rgb
from .planes import frame_like, planes_of
from .source import VideoInfo

# Every so many rows and columns are looked at to notice an output of one colour.
_GRID = 16
# Levels of 255 that the input must span where the output spans none.
_SPAN = 16


@dataclass
class Item:
    """A frame on its way.

    number: from 0 in the output. picture: RGB, later the enhanced one. planes: of the source.
    guidance: the map; its mean stays when it is dropped. state: of the stream after this frame, if
    a segment ends with it.
    """

    number: int
    frame: av.VideoFrame
    planes: list[np.ndarray] = field(default_factory=list)
    before: np.ndarray | None = None
    picture: np.ndarray | None = None
    guidance: np.ndarray | None = None
    state: dict[str, np.ndarray] | None = None


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
            item.state = stream.state()
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
            made = _reformatted(reformatter, made, pixel_format)
        item.frame = made
        item.planes, item.before, item.picture = [], None, None
        yield item


def seconds_of(frame: av.VideoFrame, info: VideoInfo) -> float:
    """The time of a frame."""
    return 0.0 if frame.pts is None else float(frame.pts * info.time_base)


def _reformatted(reformatter: Any, frame: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    with av_errors(f"Frames could not be converted to {pixel_format}"):
        made = reformatter.reformat(frame, format=pixel_format)
    made.pts, made.duration, made.time_base = frame.pts, frame.duration, frame.time_base
    return made


def _refuse_constant(item: Item, info: VideoInfo) -> None:
    """Raise HyperguideError for one colour in place of a picture, as broken drivers give it."""
    assert item.picture is not None
    assert item.before is not None
    after = item.picture[::_GRID, ::_GRID]
    if np.ptp(after.reshape(-1, after.shape[-1] if after.ndim == 3 else 1), axis=0).any():
        return
    before = item.before[::_GRID, ::_GRID]
    if np.ptp(before) > _SPAN * (1 if before.dtype == np.uint8 else 257):
        raise HyperguideError(
            f"The frame at {seconds_of(item.frame, info):.2f} s came back in one colour: run "
            "'hyperguide verify' on the model with the same --device."
        )
