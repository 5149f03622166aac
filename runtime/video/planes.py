"""Frames of FFmpeg as planes in numpy arrays, and back."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .av_library import av
from .coding import PlaneFormat

_FULL = 2  # FFmpeg's number of the full range


def planes_of(frame: av.VideoFrame, format: PlaneFormat) -> list[np.ndarray]:
    """The planes of a frame in the format `format`: views of shape (rows, columns)."""
    kind = np.uint8 if format.depth == 8 else np.uint16
    views = []
    planes: tuple[Any, ...] = frame.planes
    for plane in planes[: format.planes]:
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        views.append(rows.view(kind)[:, : plane.width])
    return views


def in_format(reformatter: Any, frame: av.VideoFrame, name: str, **how: Any) -> av.VideoFrame:
    """The frame in FFmpeg's format `name`; `how` goes to `VideoReformatter.reformat`.

    With several threads, libswscale 9 writes past the end of rows of 10 bits into rows that
    another thread has already made, where the width is no multiple of 64 bytes.
    """
    return reformatter.reformat(frame, format=name, threads=1, **how)


def digest_of(planes: Sequence[np.ndarray]) -> int:
    """A checksum of planes, to find a frame again."""
    found = 0
    for plane in planes:
        found = zlib.crc32(np.ascontiguousarray(plane).data, found)
    return found


def frame_like(
    frame: av.VideoFrame, planes: Sequence[np.ndarray], format: PlaneFormat
) -> av.VideoFrame:
    """A new frame with these planes, and the time and colour tags of `frame`."""
    name = format.name.replace("yuvj", "yuv")
    made = av.VideoFrame(frame.width, frame.height, name)
    for view, plane in zip(planes_of(made, format), planes, strict=True):
        view[...] = plane
    made.time_base = frame.time_base
    made.pts = frame.pts
    made.duration = frame.duration
    made.colorspace = frame.colorspace
    made.color_range = _FULL if format.jpeg else frame.color_range
    made.color_primaries = frame.color_primaries
    made.color_trc = frame.color_trc
    return made
