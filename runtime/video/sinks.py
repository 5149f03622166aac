"""Writes frames as they come: to a pipe, a URL, a device, or a file of unknown length."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from hyperguide.errors import HyperguideError

from .addresses import Address
from .av_library import av, av_errors
from .containers import Container, container_for
from .encoders import EncoderSettings, EncoderWishes, choose_encoder
from .muxing import Target
from .scheduling import usual_scheduling
from .video_info import VideoInfo

# Protocol -> FFmpeg's format of what is sent.
_SENT = {
    "rtmp": "flv",
    "rtmps": "flv",
    "rtsp": "rtsp",
    "rtp": "rtp_mpegts",
    "udp": "mpegts",
    "tcp": "mpegts",
    "http": "mpegts",
    "https": "mpegts",
}
_PIPE = Container("yuv4mpegpipe", ("rawvideo",), constant_rate=True)
# Seconds that a receiver may take to answer.
_PATIENCE = 10.0
# Ticks per second of live frames, as in MPEG transport streams.
CLOCK = 90_000


def parse_destination(name: str) -> Address:
    """Parse what stands behind -o, if it is no picture. Raises HyperguideError for unknown URLs."""
    if name == "-":
        return Address(name, "pipe:1", "yuv4mpegpipe", is_pipe=True)
    if "://" in name:
        protocol = name.split("://")[0].lower()
        if protocol not in _SENT:
            raise HyperguideError(
                f"{name} cannot be sent to: give a URL of {', '.join(_SENT)}, or a file."
            )
        return Address(name, name, _SENT[protocol], is_live=True)
    if name.startswith("/dev/"):
        return Address(name, name, "v4l2", is_live=True)
    return Address(name, name, is_file=True)


class Sink:
    """An output that frames are written to at once.

    path: of a file, where it is written; `Address.path` may be its final name.
    """

    def __init__(
        self,
        address: Address,
        info: VideoInfo,
        wishes: EncoderWishes,
        live: bool,
        path: Path | None = None,
    ) -> None:
        """Open the output. Raises HyperguideError if it cannot be written or does not answer.

        live: whether frames are timed by the clock, in ticks of `CLOCK`; otherwise as the source.
        """
        container = _container(address)
        encoder = _encoder(address, info, container, wishes, live)
        self.notes = encoder.notes
        self.pixel_format = encoder.pixel_format
        base = Fraction(1, CLOCK) if live and not container.constant_rate else info.time_base
        if container.constant_rate or encoder.constant_rate:
            base = 1 / (info.rate or Fraction(25))
        self._target = Target(container, encoder, info, base)
        self._from = Fraction(1, CLOCK) if live else info.time_base
        self._last: int | None = None
        where: Any = str(path if path is not None else address.path) if address.is_file else None
        if where is None:
            where = address.target
        options = dict(address.options)
        if address.is_file:
            options |= container.live_options if live else container.options
        if address.is_pipe:
            options["strict"] = "-1"  # for more than 8 bits
        self._address = address
        with av_errors(f"{address} could not be opened for writing"):
            self._output = av.open(
                where,
                "w",
                format=container.name,
                container_options=options,
                timeout=None if address.is_file or address.is_pipe else (_PATIENCE, _PATIENCE),
            )
            self._stream = self._target.add_video(self._output)
            with usual_scheduling():
                self._output.start_encoding()

    def write(self, frame: av.VideoFrame) -> None:
        """Write a frame in the format `pixel_format`. Raises HyperguideError if that fails."""
        assert frame.pts is not None
        pts = round(frame.pts * self._from / self._target.time_base)
        if self._last is not None:
            pts = max(pts, self._last + 1)
        self._last = pts
        frame.pts, frame.time_base, frame.pict_type = pts, self._target.time_base, 0
        with av_errors(f"Writing to {self._address} failed"):
            self._output.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left, and close the output."""
        with av_errors(f"Writing to {self._address} failed"):
            try:
                self._output.mux(self._stream.encode(None))
            finally:
                self._output.close()

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _container(address: Address) -> Container:
    if address.is_pipe:
        return _PIPE
    if address.is_file:
        return container_for(address.path)
    assert address.format is not None
    if address.format == "v4l2":
        return Container("v4l2", ("rawvideo",), constant_rate=False)
    only = ("h264",) if address.format == "flv" else ("h264", "hevc", "mpeg2video")
    return Container(address.format, only)


def _encoder(
    address: Address, info: VideoInfo, container: Container, wishes: EncoderWishes, live: bool
) -> EncoderSettings:
    if container.only != ("rawvideo",):
        return choose_encoder(info, container, wishes, live)
    if wishes.codec not in (None, "rawvideo"):
        raise HyperguideError(f"{address} takes raw pictures only: leave out --codec.")
    format = wishes.pix_fmt or info.format.name.replace("yuvj", "yuv")
    if container.name == "v4l2":
        format = wishes.pix_fmt or "yuv420p"  # what programs that read loopback devices expect
    elif info.format.kind == "rgb":
        format = wishes.pix_fmt or "yuv444p"
    raw = EncoderSettings("rawvideo", "rawvideo", format, {}, None)
    notes = () if format == info.format.name else (f"{info.format.name} is written as {format}.",)
    return replace(raw, notes=notes)
