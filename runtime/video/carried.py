"""What is carried from the source into the output beside pictures: sound, subtitles, chapters, ...

Packets are copied. Subtitles that are text become the kind of text that the container holds.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from hyperguide.errors import HyperguideError

from .av_library import av
from .containers import Container

Audio = Literal["copy", "none"]

# Codecs of subtitles that are text, and so can be converted into each other.
_TEXT = frozenset(["subrip", "ass", "ssa", "mov_text", "webvtt", "text", "microdvd", "subviewer"])
# What a container's subtitles are converted to, where FFmpeg names no default.
_CONVERTED = {"mp4": "mov_text", "mov": "mov_text", "3gp": "mov_text", "webm": "webvtt"}


@dataclass(frozen=True)
class Track:
    """A stream that is carried. convert: the subtitle codec it becomes, None to copy packets."""

    stream: Any
    convert: str | None = None


@dataclass(frozen=True)
class Carried:
    """What is carried, and sentences on what is not."""

    tracks: tuple[Track, ...]
    attachments: tuple[Any, ...]
    lost: tuple[str, ...]


def plan_carried(
    source: av.container.InputContainer,
    video: av.VideoStream,
    container: Container,
    audio: Audio,
    add_video: Callable[[av.container.OutputContainer], object],
) -> Carried:
    """Try which streams the output container takes, without writing a file.

    add_video: adds the video stream to an output container.
    """
    tracks: list[Track] = []
    attachments: list[Any] = []
    lost: list[str] = []
    chapters = source.chapters()
    for stream in source.streams:
        if stream.index == video.index:
            continue
        if stream.type == "audio" and audio == "none":
            continue
        if stream.type == "attachment":
            if container.name == "matroska":
                attachments.append(stream)
            else:
                lost.append(f"the attachment {stream.metadata.get('filename', stream.index)}")
            continue
        if stream.type == "video" and not stream.disposition & av.stream.Disposition.attached_pic:
            continue  # the source says so itself
        if stream.type == "data" and _is_carried_otherwise(stream, source, len(chapters)):
            continue
        track, why = _try(stream, container, add_video)
        if track is not None:
            tracks.append(track)
        else:
            lost.append(f"{_described(stream)} ({why})")
    if chapters and not container.chapters:
        lost.append("chapters")
    sentences = tuple(f"{container.name} cannot hold {one}: left out." for one in lost)
    return Carried(tuple(tracks), tuple(attachments), sentences)


def add_track(output: av.container.OutputContainer, track: Track) -> Any:
    """Add the stream of a track to an output container."""
    template = track.stream
    if track.convert is None:
        made: Any = output.add_stream_from_template(template)
    else:
        made = output.add_stream(track.convert)
        made.time_base = template.time_base
        made.codec_context.time_base = Fraction(1, 1000)
        header = _subtitle_header(template)
        if header:
            made.codec_context.subtitle_header = header
    made.metadata.update(_kept(template.metadata))
    made.disposition = template.disposition
    return made


def converted(track: Track, made: Any, packet: av.Packet) -> av.Packet | None:
    """A subtitle packet in the codec of the output; None if it shows nothing."""
    found = track.stream.codec_context.decode2(packet)
    if found is None or not len(found):
        return None
    encoded = made.codec_context.encode_subtitle(found)
    encoded.pts = encoded.dts = packet.pts
    encoded.duration = packet.duration
    encoded.time_base = packet.time_base
    return encoded


def packets(source: av.container.InputContainer, tracks: tuple[Track, ...]) -> Iterator[av.Packet]:
    """The packets of tracks in the order of the file, up to damage."""
    if not tracks:
        return
    try:
        for packet in source.demux([track.stream for track in tracks]):
            if packet.dts is None and packet.pts is None and packet.size > 0:
                packet.pts = packet.dts = source.start_time or 0  # a cover picture has no time
                packet.time_base = Fraction(1, av.time_base)
            if packet.dts is not None or packet.pts is not None:
                yield packet
    except (av.error.FFmpegError, OSError, ValueError):
        return  # the decoder of the pictures reports it


def _is_carried_otherwise(stream: Any, source: av.container.InputContainer, chapters: int) -> bool:
    """Whether a data stream is QuickTime's form of chapters, or of a time code."""
    if not source.format.name.startswith("mov"):
        return False
    return "timecode" in stream.metadata or (chapters > 0 and stream.frames == chapters)


def _try(
    stream: Any, container: Container, add_video: Callable[[av.container.OutputContainer], object]
) -> tuple[Track | None, str]:
    """The track for a stream, or why there is none."""
    if stream.type == "data":
        return None, "data"
    if stream.codec_context is None:
        return None, "a codec that FFmpeg does not know"
    name = stream.codec_context.codec.canonical_name
    held = {"audio": container.sound, "subtitle": container.subtitles}.get(stream.type)
    ways = [Track(stream)] if held is None or name in held else []
    if stream.type == "subtitle" and name in _TEXT:
        target = _CONVERTED.get(container.name, "subrip")
        if name != target and (held is None or target in held):
            ways.append(Track(stream, target))
    for track in ways:
        with suppress(av.error.FFmpegError, ValueError, RuntimeError, OSError):
            with av.open(io.BytesIO(), "w", format=container.name) as output:
                add_video(output)
                add_track(output, track)
                output.start_encoding()
            return track, ""
    return None, name


def _subtitle_header(stream: Any) -> bytes:
    """The header with which a subtitle's decoder describes its styles."""
    context = stream.codec_context
    try:
        context.open(strict=False)
    except (av.error.FFmpegError, ValueError):
        return b""
    return context.subtitle_header or b""


def _described(stream: Any) -> str:
    language = stream.metadata.get("language")
    spoken = f" in {language}" if language and language != "und" else ""
    kind = "cover picture" if stream.type == "video" else stream.type
    return f"{kind} track {stream.index}{spoken}"


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata of a stream, less what describes the old packets."""
    gone = ("encoder", "duration", "number_of", "bps", "_statistics", "handler_name", "vendor_id")
    return {k: v for k, v in metadata.items() if not k.lower().startswith(gone)}


def refuse_losses(carried: Carried) -> None:
    """Raise HyperguideError if something is left out."""
    if carried.lost:
        raise HyperguideError(
            f"{' '.join(carried.lost)} Give another name of -o, such as one in .mkv, or leave out "
            "--strict."
        )
