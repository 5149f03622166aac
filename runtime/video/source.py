"""Opens a video file, stream or device, and decodes its frames one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any

from hyperguide.errors import HyperguideError
from hyperguide.memory import usable_bytes

from .addresses import Address
from .av_library import av, av_errors, reason
from .coding import Coding, PlaneFormat, coding_of, planar_name, plane_format
from .deinterlacing import Deinterlacer
from .hdr import Hdr, hdr_of

# Seconds until a source that does not answer, or stops sending, is given up.
OPEN_TIMEOUT, READ_TIMEOUT = 10.0, 10.0
# Frames that are decoded to see what the rest will be like.
_LOOKED_AT = 3
# Seconds before the place of a resume from which on frames are decoded, for filters that look back.
_LEAD = 2
# Bytes that a pixel takes in all stages together, for the limit of a frame's size.
_BYTES_PER_PIXEL = 200
# Seconds that may be missing at the end: the last frame's duration, rounding.
_SLACK = 0.75


@dataclass(frozen=True)
class VideoInfo:
    """What a source says about its pictures.

    pixel_format: as decoded; `format` is the planar one in which frames are enhanced.
    rate: frames per second on average, None if unknown. time_base: of every `pts`, in seconds.
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


class VideoSource:
    """The frames of the first video stream of a source.

    with VideoSource(address) as source:
        for frame in source.frames():
            ...

    Frames come in the planar format `info.format`, deinterlaced, with increasing `pts`.
    damaged: packets that could not be decoded, so far. ended_early: why the source ended before
    its end, "" if it did not.
    """

    def __init__(
        self,
        address: Address,
        hwaccel: str | None = None,
        max_memory: int | None = None,
        live: bool = False,
    ) -> None:
        """Open a source and decode its first frames.

        hwaccel: FFmpeg's name of a decoder in hardware, such as cuda; falls back to the CPU.
        live: give frames as soon as they are there, rather than many at a time.
        Raises HyperguideError if it cannot be opened, has no video, or its frames are too large.
        """
        self.address = address
        self.damaged = 0
        self.ended_early = ""
        self.late_interlaced = 0
        self._container = _open(address, hwaccel, live)
        try:
            self._stream, notes = _main_stream(self._container, address)
            _limit_size(self._stream, address, max_memory)
            self._stream.thread_type = "SLICE" if live else "AUTO"
            self._decoded = self._decode()
            self._first = deque(self._look())
            self.info = self._describe(self._first[0], notes)
        except BaseException:
            self._container.close()
            raise
        self._deinterlacer = Deinterlacer(self._stream) if self.info.interlaced else None
        self._last: int | None = None
        self._reformatter = av.video.reformatter.VideoReformatter()

    @property
    def container(self) -> av.container.InputContainer:
        """FFmpeg's container, for what is not video."""
        return self._container

    @property
    def stream(self) -> av.VideoStream:
        """FFmpeg's stream."""
        return self._stream

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames, in the format `info.format`.

        Raises HyperguideError if the size or format changes on the way.
        """
        for frame in self._deinterlaced(self._all()):
            self._check(frame)
            yield self._in_order(self._planar(frame))

    def frames_after(self, pts: int, skipped: int) -> Iterator[av.VideoFrame]:
        """The frames behind that of a `pts`, which was frame number `skipped` (from 1)."""
        if self._seek(pts):
            for frame in self.frames():
                assert frame.pts is not None
                if frame.pts > pts:
                    yield frame
            return
        for number, frame in enumerate(self.frames()):
            if number >= skipped:
                yield frame

    def missing(self, until: float) -> float:
        """Seconds that are missing at the end, if the last frame ended at `until`; 0 if none."""
        if self.info.duration is None:
            return 0.0
        start = float((self._stream.start_time or 0) * self.info.time_base)
        missing = self.info.duration - (until - start)
        return missing if missing > max(_SLACK, 3 * _step(self.info)) else 0.0

    def close(self) -> None:
        """Close the source."""
        self._container.close()

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _look(self) -> list[av.VideoFrame]:
        found = []
        for frame in self._decoded:
            found.append(frame)
            if len(found) == _LOOKED_AT:
                break
        if not found:
            why = self.ended_early or "nothing could be decoded"
            raise HyperguideError(
                f"{self.address} holds no video frame, {why}: check the file with another player."
            )
        return found

    def _all(self) -> Iterator[av.VideoFrame]:
        while self._first:
            yield self._first.popleft()
        yield from self._decoded

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Decode to the end. Damage is counted, not raised."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError, ValueError) as error:
                self.ended_early = reason(error)
                packet = None
            if packet is None:
                return
            self.damaged += packet.is_corrupt
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                self.damaged += packet.size > 0  # the empty last packet only flushes
                continue
            yield from frames

    def _deinterlaced(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        if self._deinterlacer is not None:
            yield from self._deinterlacer(frames)
            return
        for frame in frames:
            self.late_interlaced += frame.interlaced_frame
            yield frame

    def _check(self, frame: av.VideoFrame) -> None:
        info = self.info
        size = frame.width, frame.height
        if size != (info.width, info.height) or frame.format.name != info.pixel_format:
            at = "" if frame.pts is None else f" at {float(frame.pts * info.time_base):.2f} s"
            raise HyperguideError(
                f"{self.address} changes{at} from {info.width}x{info.height} {info.pixel_format} "
                f"to {size[0]}x{size[1]} {frame.format.name}: cut the file there and enhance the "
                "parts."
            )

    def _planar(self, frame: av.VideoFrame) -> av.VideoFrame:
        if frame.format.name == self.info.format.name:
            return frame
        with av_errors(f"{self.address}: {frame.format.name} could not be converted"):
            made = self._reformatter.reformat(frame, format=self.info.format.name)
        made.pts, made.duration = frame.pts, frame.duration
        return made

    def _in_order(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame with a `pts` after that of the frame before it."""
        step = max(round(_step(self.info) / self.info.time_base), 1)
        if frame.pts is None:
            frame.pts = 0 if self._last is None else self._last + step
        elif self._last is not None and frame.pts <= self._last:
            frame.pts = self._last + 1
        frame.time_base = self.info.time_base
        self._last = frame.pts
        return frame

    def _seek(self, pts: int) -> bool:
        """Go shortly before a frame; False if the source has to be read from its start."""
        lead = round(_LEAD / self.info.time_base)
        first = self._first[0].pts if self._first else None
        if first is None or pts - lead <= first:
            return True  # near the start: those read so far are the first ones
        try:
            self._container.seek(max(pts - lead, first), stream=self._stream)
        except av.error.FFmpegError:
            return True
        self._decoded = self._decode()
        looked = self._look()
        if looked[0].pts is not None and looked[0].pts <= pts:
            self._first = deque(looked)
            return True
        self._container.seek(first, stream=self._stream)
        self._decoded = self._decode()
        self._first = deque(self._look())
        return self._first[0].pts is not None

    def _describe(self, frame: av.VideoFrame, notes: list[str]) -> VideoInfo:
        stream, context = self._stream, self._stream.codec_context
        bits = max((component.bits for component in frame.format.components), default=8)
        name, exact = planar_name(frame.format.name, bits, frame.format.is_rgb)
        format = plane_format(name)
        assert format is not None
        if not exact:
            notes.append(f"{frame.format.name} is converted to {name} to be enhanced.")
        coding, assumed = coding_of(format, frame.height, frame.colorspace, frame.color_range)
        if assumed:
            notes.append(f"{assumed}.")
        interlaced = any(one.interlaced_frame for one in self._first)
        if interlaced:
            notes.append("Interlaced: deinterlaced with bwdif.")
        duration = _duration(self._container, stream)
        rate = stream.average_rate or stream.guessed_rate
        count = stream.frames or (round(duration * rate) if duration and rate else None)
        return VideoInfo(
            codec=context.name,
            width=frame.width,
            height=frame.height,
            pixel_format=frame.format.name,
            format=format,
            coding=coding,
            rate=rate,
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


def _open(address: Address, hwaccel: str | None, live: bool) -> av.container.InputContainer:
    options = dict(address.options)
    if live and not address.is_file:
        options |= {"fflags": "nobuffer", "flags": "low_delay"}
    timeout = None if address.is_file else (OPEN_TIMEOUT, READ_TIMEOUT)
    with av_errors(f"{address} could not be opened as a video"):
        found: Any = av.open(
            address.target,
            "r",
            format=address.format,
            options=options,
            timeout=None if address.is_pipe else timeout,
            metadata_errors="replace",
            hwaccel=None if hwaccel is None else _hwaccel(hwaccel),
        )
    return found


def _hwaccel(name: str) -> Any:
    from av.codec.hwaccel import HWAccel

    return HWAccel(name, allow_software_fallback=True)


def _main_stream(
    container: av.container.InputContainer, address: Address
) -> tuple[av.VideoStream, list[str]]:
    """The stream to enhance, and a note if there are others."""
    disposition = av.stream.Disposition
    moving = [s for s in container.streams.video if not s.disposition & disposition.attached_pic]
    if not moving:
        kinds = sorted({stream.type for stream in container.streams})
        holds = f", only {', '.join(kinds)}" if kinds else ""
        raise HyperguideError(f"{address} has no video stream{holds}: give another -i.")
    chosen = next((s for s in moving if s.disposition & disposition.default), moving[0])
    if chosen.codec_context is None:
        raise HyperguideError(
            f"{address} holds video that FFmpeg cannot decode: convert it with another program."
        )
    if len(moving) == 1:
        return chosen, []
    return chosen, [f"It has {len(moving)} video streams: number {chosen.index} is enhanced."]


def _limit_size(stream: av.VideoStream, address: Address, max_memory: int | None) -> None:
    """Refuse frames that would not fit into memory, now and later in the stream."""
    usable = usable_bytes(max_memory)
    if usable is None:
        return
    most = max(usable // _BYTES_PER_PIXEL, 1)
    context = stream.codec_context
    if context.width * context.height > most:
        raise HyperguideError(
            f"{address} has frames of {context.width}x{context.height} pixels, for which there is "
            "not enough memory: close other programs, or give a higher --max-memory."
        )
    context.options = {**context.options, "max_pixels": str(most)}


def _duration(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is None or container.duration <= 0:
        return None
    return float(container.duration) / av.time_base


def _step(info: VideoInfo) -> float:
    """Seconds between frames."""
    return float(1 / info.rate) if info.rate else 0.04
