"""Joins encoded pictures with the sound and the rest of the source into the output file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .av_library import av, av_errors
from .carried import Carried, Track, add_track, converted, packets
from .containers import Container
from .encoders import EncoderSettings, open_encoder
from .scheduling import usual_scheduling
from .stored_packets import StoredPacket
from .video_info import VideoInfo

_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Target:
    """The output file and its pictures.

    time_base: of the encoder.
    """

    container: Container
    encoder: EncoderSettings
    info: VideoInfo
    time_base: Fraction

    def check(self) -> None:
        """Raise HyperguideError if the encoder refuses its settings."""
        open_encoder(self.encoder, self.info, self.time_base, self.container.global_header)

    def add_video(self, output: av.container.OutputContainer) -> av.VideoStream:
        """Add the stream of the pictures to an output container."""
        stream: Any = output.add_stream(self.encoder.name, rate=self.info.rate or 25)
        stream.time_base = self.time_base
        open_encoder(
            self.encoder,
            self.info,
            self.time_base,
            self.container.global_header,
            into=stream.codec_context,
        )
        if self.encoder.codec == "hevc" and self.container.name in ("mp4", "mov"):
            stream.codec_context.codec_tag = "hvc1"  # the one that Apple's players know
        if self.info.rotation:
            stream.set_display_rotation(self.info.rotation)
        return stream


def write_file(
    path: Path,
    target: Target,
    video: Iterable[tuple[StoredPacket, bytes]],
    stored: list[StoredPacket],
    source: av.container.InputContainer,
    main: av.VideoStream,
    carried: Carried,
    until: float | None,
) -> None:
    """Write the output file.

    video: the packets in decoding order with their bytes. stored: the same packets without them.
    source: opened anew, at its start. main: its stream of the pictures.
    until: seconds at which the output ends, if before the source.
    """
    shift = max(source.start_time or 0, 0)
    with (
        av_errors(f"Writing a file of the format {target.container.name} failed"),
        av.open(
            str(path), "w", format=target.container.name, container_options=target.container.options
        ) as output,
    ):
        output.metadata.update(_kept(source.metadata))
        stream = target.add_video(output)
        stream.metadata.update(
            {k: v for k, v in main.metadata.items() if k in ("language", "title", "timecode")}
        )
        stream.disposition = main.disposition
        made = {track.stream.index: add_track(output, track) for track in carried.tracks}
        for one in carried.attachments:
            name = one.metadata.get("filename", f"attachment-{one.index}")
            kind = one.mimetype or "application/octet-stream"
            output.add_attachment(name, kind, bytes(one.data))
        if chapters := _chapters(source, shift, until):
            output.set_chapters(chapters)
        with usual_scheduling():
            output.start_encoding()
        pictures = _pictures(video, stored, stream, target.time_base, shift)
        later = _Merged(pictures)
        tracks = {track.stream.index: track for track in carried.tracks}
        for packet in packets(source, carried.tracks):
            ticks = packet.pts if packet.dts is None else packet.dts
            assert ticks is not None
            at = float(ticks * packet.time_base)
            if until is not None and at >= until:
                continue
            for picture in later.before(at - shift / _MICROSECONDS):
                output.mux(picture)
            carry = _carry(tracks[packet.stream_index], made[packet.stream_index], packet, shift)
            if carry is not None:
                output.mux(carry)
        for picture in later.rest():
            output.mux(picture)


def _pictures(
    video: Iterable[tuple[StoredPacket, bytes]],
    stored: list[StoredPacket],
    stream: Any,
    time_base: Fraction,
    shift: int,
) -> Iterator[av.Packet]:
    """Packets with their decoding times.

    Each segment comes from a fresh encoder, whose decoding times begin before those of its
    pictures and overlap with the segment before. In order of decoding, packet `i` gets the
    `i - depth`-th time of display, `depth` so that none is decoded after its display.
    """
    times = sorted(packet.pts for packet in stored)
    rank = {pts: place for place, pts in enumerate(times)}
    depth = max((i - rank[packet.pts] for i, packet in enumerate(stored)), default=0)
    step = max(times[1] - times[0], 1) if len(times) > 1 else 1
    back = round(Fraction(shift, _MICROSECONDS) / time_base)
    for i, (one, content) in enumerate(video):
        packet = av.Packet(content)
        packet.time_base = time_base
        packet.pts = one.pts - back
        packet.dts = (times[i - depth] if i >= depth else times[0] - (depth - i) * step) - back
        packet.duration = one.duration
        packet.is_keyframe = one.is_keyframe
        packet.stream = stream
        yield packet


class _Merged:
    """Packets that are given out up to a time."""

    def __init__(self, packets: Iterator[av.Packet]) -> None:
        self._packets = packets
        self._next = next(packets, None)

    def before(self, seconds: float) -> Iterator[av.Packet]:
        while (packet := self._next) is not None:
            assert packet.dts is not None
            if packet.dts * packet.time_base > seconds:
                return
            self._next = next(self._packets, None)
            yield packet

    def rest(self) -> Iterator[av.Packet]:
        return self.before(float("inf"))


def _carry(track: Track, made: Any, packet: av.Packet, shift: int) -> av.Packet | None:
    if track.convert is not None:
        found = converted(track, made, packet)
        if found is None:
            return None
        packet = found
    back = round(Fraction(shift, _MICROSECONDS) / packet.time_base)
    if packet.pts is not None:
        packet.pts -= back
    if packet.dts is not None:
        packet.dts -= back
    packet.stream = made
    return packet


def _chapters(source: av.container.InputContainer, shift: int, until: float | None) -> list[Any]:
    """The chapters that begin before the end, `shift` microseconds earlier."""
    found = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1, _MICROSECONDS)
        back = round(Fraction(shift, _MICROSECONDS) / base)
        last = chapter["end"] if until is None else min(chapter["end"], round(until / base))
        if chapter["start"] < last:
            found.append({**chapter, "start": chapter["start"] - back, "end": last - back})
    return found


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata of a file, less what describes how it was written."""
    gone = ("encoder", "major_brand", "minor_version", "compatible_brands")
    return {key: value for key, value in metadata.items() if key.lower() not in gone}
