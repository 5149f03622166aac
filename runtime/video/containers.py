"""Output containers: their names, what they can hold, and how they are written."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from hyperguide.errors import HyperguideError

from .av_library import av

# FFmpeg's flag of containers that keep the headers of encoders themselves.
_GLOBAL_HEADER = 0x40


@dataclass(frozen=True)
class Container:
    """An output format.

    name: FFmpeg's. only: video codecs that players read from it, where FFmpeg writes more; None
        for all that FFmpeg writes. constant_rate: whether it knows frame numbers, no times.
    options: for finished files. live_options: for files that may be cut off.
    """

    name: str
    only: tuple[str, ...] | None = None
    constant_rate: bool = False
    options: dict[str, str] = field(default_factory=dict)
    live_options: dict[str, str] = field(default_factory=dict)

    def holds(self, codec: str, encoder: str) -> bool:
        """Whether it can hold what an encoder makes."""
        if self.only is not None and codec not in self.only:
            return False
        return _takes(self.name, encoder)

    @property
    def global_header(self) -> bool:
        """Whether it keeps the headers of encoders itself."""
        with av.open(io.BytesIO(), "w", format=self.name) as output:
            return bool(output.format.flags & _GLOBAL_HEADER)


_INDEX_FIRST = {"movflags": "+faststart"}
# A file that is cut off plays up to its last second.
_AT_ONCE = {"flush_packets": "1"}
_FRAGMENTS = {
    "movflags": "+frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "1000000",
    **_AT_ONCE,
}
_CLUSTERS = {"cluster_time_limit": "1000", **_AT_ONCE}
_WIDELY_PLAYED = ("h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg")
_TRANSPORT = ("h264", "hevc", "mpeg2video")

_MP4 = Container("mp4", _WIDELY_PLAYED, False, _INDEX_FIRST, _FRAGMENTS)
_MOV = Container("mov", None, False, _INDEX_FIRST, _FRAGMENTS)
_MKV = Container("matroska", live_options=_CLUSTERS)
_TS = Container("mpegts", _TRANSPORT)
_AVI = Container("avi", None, constant_rate=True)
_3GP = Container("3gp", ("h264", "mpeg4"), False, _INDEX_FIRST, _FRAGMENTS)

_BY_SUFFIX = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MOV,
    ".qt": _MOV,
    ".3gp": _3GP,
    ".mkv": _MKV,
    ".webm": Container("webm", live_options=_CLUSTERS),
    ".avi": _AVI,
    ".ts": _TS,
    ".m2ts": _TS,
    ".mts": _TS,
    ".mpg": Container("mpeg", ("mpeg2video",)),
    ".mpeg": Container("mpeg", ("mpeg2video",)),
    ".flv": Container("flv", ("h264", "hevc", "av1", "vp9")),
    ".wmv": Container("asf", ("mpeg4",)),
    ".asf": Container("asf", ("mpeg4",)),
    ".mxf": Container("mxf", ("mpeg2video", "dnxhd", "prores"), constant_rate=True),
    ".nut": Container("nut"),
    ".y4m": Container("yuv4mpegpipe", ("rawvideo",), constant_rate=True),
}


def container_for(path: Path) -> Container:
    """The container that a file name asks for. Raises HyperguideError if there is none."""
    suffix = path.suffix.lower()
    found = _BY_SUFFIX.get(suffix)
    if found is None:
        named = f"the ending {suffix}" if suffix else "a name without an ending"
        raise HyperguideError(
            f"No video format belongs to {named} of {path}: end the name of -o in .mp4, .mkv, .mov "
            "or .webm."
        )
    return found


@lru_cache
def _takes(container: str, encoder: str) -> bool:
    if container == "yuv4mpegpipe":
        return encoder == "rawvideo"
    with av.open(io.BytesIO(), "w", format=container) as output:
        try:
            output.add_stream(encoder, rate=25)
        except ValueError:
            return False
    return True
