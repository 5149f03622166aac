"""What a source says about its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .av_library import av
from .coding import Coding, PlaneFormat, coding_of, planar_name, plane_format
from .hdr import Hdr, hdr_of
from .opening import moving_streams

_MOST_TICKS = 240  # per second
# What pictures may carry beside themselves, and encoders do not take from here.
_LEFT_OUT = {
    "A53_CC": "closed captions inside the pictures",
    "DYNAMIC_HDR_PLUS": "HDR10+ data",
    "DOVI_METADATA": "Dolby Vision data",
}


@dataclass(frozen=True)
class VideoInfo:
    """What a source says about its pictures.

    pixel_format: as decoded; `format` is the planar one in which frames are enhanced.
    rate: frames per second on average, None if unknown. tick_rate: least rate that has a place for
    each frame, 25 if unknown. time_base: of every `pts`, in seconds.
    duration: in seconds, None if unknown. count: number of frames, an estimate; None if unknown.
    matrix, range, primaries, transfer: numbers as in H.273 and FFmpeg. aspect: of a pixel.
    rotation: degrees to turn counter-clockwise for display. notes: what a user should know.
    """

    codec: str
    width: int
    height: int
    pixel_format: str
    format: PlaneFormat
    coding: Coding
    rate: Fraction | None
    tick_rate: Fraction
    time_base: Fraction
    duration: float | None
    count: int | None
    matrix: int
    range: int
    primaries: int
    transfer: int
    aspect: Fraction | None
    rotation: int
    interlaced: bool
    hdr: Hdr | None
    notes: tuple[str, ...]

    @property
    def step(self) -> float:
        """Seconds between frames, 0.04 if unknown."""
        return float(1 / self.rate) if self.rate else 0.04


def describe(
    container: av.container.InputContainer, stream: av.VideoStream, first: Sequence[av.VideoFrame]
) -> VideoInfo:
    """Describe a stream by its headers and first frames."""
    frame = first[0]
    notes = []
    number = len(moving_streams(container))
    if number > 1:
        notes.append(f"It has {number} video streams: number {stream.index} is enhanced.")
    bits = max((component.bits for component in frame.format.components), default=8)
    name, exact = planar_name(frame.format.name, bits, frame.format.is_rgb)
    format = plane_format(name)
    assert format is not None
    if not exact:
        notes.append(f"{frame.format.name} is converted to {name} to be enhanced.")
    coding, assumed = coding_of(format, frame.height, frame.colorspace, frame.color_range)
    if assumed:
        notes.append(assumed)
    interlaced = any(one.interlaced_frame for one in first)
    if interlaced:
        notes.append("Interlaced: deinterlaced with bwdif.")
    side_data: list[Any] = [data for one in first for data in one.side_data]
    found = {data.type.name for data in side_data}
    notes += [f"Left out: {what}." for name, what in _LEFT_OUT.items() if name in found]
    if stream.metadata.get("alpha_mode") == "1" and not format.alpha:
        notes.append("Left out: transparency, which FFmpeg does not decode here.")
    duration = _duration(container, stream)
    rate = stream.average_rate or stream.guessed_rate
    count = stream.frames or (round(duration * rate) if duration and rate else None)
    return VideoInfo(
        codec=stream.codec_context.codec.canonical_name,
        width=frame.width,
        height=frame.height,
        pixel_format=frame.format.name,
        format=format,
        coding=coding,
        rate=rate,
        tick_rate=_tick_rate(rate, stream.base_rate),
        time_base=stream.time_base or Fraction(1, 90_000),
        duration=duration,
        count=count,
        matrix=frame.colorspace,
        range=frame.color_range,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        aspect=stream.sample_aspect_ratio or None,
        rotation=frame.rotation,
        interlaced=interlaced,
        hdr=hdr_of(frame),
        notes=tuple(notes),
    )


def _tick_rate(rate: Fraction | None, base: Fraction | None) -> Fraction:
    """FFmpeg's guess of the rate of which all times are multiples, unless it is too fine."""
    if rate and base and rate <= base <= _MOST_TICKS:
        return base
    return rate or Fraction(25)


def _duration(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is None or container.duration <= 0:
        return None
    return float(container.duration) / av.time_base
