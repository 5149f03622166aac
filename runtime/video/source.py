"""Decodes the frames of a video file, stream or device one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType

from hyperguide.errors import HyperguideError

from .addresses import Address
from .av_library import av, av_errors, reason
from .deinterlacing import Deinterlacer
from .opening import limit_size, main_stream, open_container
from .planes import digest_of, in_format, planes_of
from .video_info import VideoInfo, describe

__all__ = ["VideoInfo", "VideoSource"]

# Frames that are decoded to see what the rest will be like.
_LOOKED_AT = 3
# Seconds before the place of a resume from which on frames are decoded, for filters that look back.
_LEAD = 2
# Seconds that may be missing at the end: the last frame's duration, rounding.
_SLACK = 0.75


class VideoSource:
    """The frames of the first video stream of a source.

    with VideoSource(address) as source:
        for frame in source.frames():
            ...

    Frames come in the planar format `info.format`, deinterlaced, with increasing `pts`.
    damaged: packets that could not be decoded, so far. ended_early: why the source ended before
    its end, "" if it did not. late_interlaced: interlaced frames, though the first ones were not.
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
        self._hwaccel, self._max_memory, self._live = hwaccel, max_memory, live
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._open()
        try:
            self.info = describe(self._container, self._stream, self._first)
        except BaseException:
            self.close()
            raise

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

    def frames_after(
        self, number: int, pts: int, digest: int, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[av.VideoFrame]:
        """The frames behind the first `number` ones.

        pts, digest: of the last of those, see `digest_of`. Reading starts shortly before it. If it
        is not found again as it was, all is read from the start, which takes longer.
        stop: asked while frames are passed over; none come if it says so.
        """
        return self._found_again(pts, digest) or self._from_start(number, stop)

    def missing(self, until: float) -> float:
        """Seconds that are missing at the end, if the last frame ended at `until`; 0 if none."""
        if self.info.duration is None:
            return 0.0
        start = float((self._stream.start_time or 0) * self.info.time_base)
        missing = self.info.duration - (until - start)
        return missing if missing > max(_SLACK, 3 * self.info.step) else 0.0

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

    def _open(self) -> None:
        self.damaged = self.late_interlaced = 0
        self.ended_early = ""
        self._last: int | None = None
        self._container = open_container(self.address, self._hwaccel, self._live)
        try:
            self._stream = main_stream(self._container, self.address)
            limit_size(self._stream, self.address, self._max_memory)
            self._stream.thread_type = "SLICE" if self._live else "AUTO"
            self._decoded = self._decode()
            self._first = deque(self._look())
        except BaseException:
            self._container.close()
            raise

    def _found_again(self, pts: int, digest: int) -> Iterator[av.VideoFrame] | None:
        """The frames behind a known one; None if it is not found as it was."""
        first, before = self._first[0].pts, pts - round(_LEAD / self.info.time_base)
        if first is None or before <= first:
            return None
        try:
            self._container.seek(before, stream=self._stream)
            self._decoded = self._decode()
            self._first.clear()
            frames = self.frames()
            for frame in frames:
                assert frame.pts is not None
                if frame.pts >= pts:
                    planes = planes_of(frame, self.info.format)
                    same = frame.pts == pts and digest_of(planes) == digest
                    return frames if same else None
        except (HyperguideError, av.error.FFmpegError):
            pass
        return None

    def _from_start(self, number: int, stop: Callable[[], bool]) -> Iterator[av.VideoFrame]:
        """The frames behind the first `number` ones, all decoded."""
        self.close()
        self._open()
        for place, frame in enumerate(self.frames()):
            if place >= number:
                yield frame
            elif stop():
                return

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
        if self.info.interlaced:
            yield from Deinterlacer(self.info.time_base)(frames)
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
            made = in_format(self._reformatter, frame, self.info.format.name)
        made.pts, made.duration = frame.pts, frame.duration
        return made

    def _in_order(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame with a `pts` after that of the frame before it."""
        step = max(round(self.info.step / self.info.time_base), 1)
        if frame.pts is None:
            frame.pts = 0 if self._last is None else self._last + step
        elif self._last is not None and frame.pts <= self._last:
            frame.pts = self._last + 1
        frame.time_base = self.info.time_base
        self._last = frame.pts
        return frame
