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

    name: FFmpeg's. only, sound, subtitles: codecs of pictures, sound and subtitles that players
        read from it, where FFmpeg writes more; None for all that FFmpeg writes. constant_rate:
        whether it knows frame numbers, no times. chapters: whether it holds them.
    options: for finished files. live_options: for files that may be cut off.
    """

    name: str
    only: tuple[str, ...] | None = None
    sound: tuple[str, ...] | None = None
    subtitles: tuple[str, ...] | None = None
    constant_rate: bool = False
    chapters: bool = True
    options: dict[str, str] = field(default_factory=dict)
    live_options: dict[str, str] = field(default_factory=dict)

    def holds(self, codec: str, encoder: str) -> bool:
        """Whether it can hold what an encoder makes."""
        if self.only is not None and codec not in self.only:
            return False
        return _takes(self.name, encoder)

    def holds_shape(self, codec: str) -> bool:
        """Whether it keeps pixels that are not square, itself or in the pictures."""
        return self.name in ("mp4", "mov", "3gp") or codec in _SHAPED

    @property
    def global_header(self) -> bool:
        """Whether it keeps the headers of encoders itself."""
        with av.open(io.BytesIO(), "w", format=self.name) as output:
            return bool(output.format.flags & _GLOBAL_HEADER)


# Codecs whose pictures say what shape their pixels have.
_SHAPED = ("h264", "hevc", "mpeg4", "mpeg2video", "mjpeg")

_INDEX_FIRST = {"movflags": "+faststart"}
# A file that is cut off plays up to its last second.
_AT_ONCE = {"flush_packets": "1"}
_FRAGMENTS = {
    "movflags": "+frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "1000000",
    **_AT_ONCE,
}
_CLUSTERS = {"cluster_time_limit": "1000", **_AT_ONCE}
_EXACT_TIMES = {"avoid_negative_ts": "disabled"}  # sound may begin before the pictures
_WIDELY_PLAYED = ("h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg")

_MP4 = Container("mp4", _WIDELY_PLAYED, options=_INDEX_FIRST, live_options=_FRAGMENTS)
_MOV = Container("mov", options=_INDEX_FIRST, live_options=_FRAGMENTS)
_3GP = Container("3gp", ("h264", "mpeg4"), options=_INDEX_FIRST, live_options=_FRAGMENTS)
_TS = Container(
    "mpegts",
    ("h264", "hevc", "mpeg2video"),
    ("aac", "aac_latm", "mp1", "mp2", "mp3", "ac3", "eac3", "dts", "truehd", "opus", "s302m"),
    ("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle"),
    chapters=False,
)
_PS = Container(
    "mpeg",
    ("mpeg2video",),
    ("mp1", "mp2", "mp3", "ac3", "dts", "pcm_dvd"),
    ("dvd_subtitle",),
    chapters=False,
)
_ASF = Container("asf", ("mpeg4",))

_BY_SUFFIX = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".f4v": _MP4,
    ".mov": _MOV,
    ".qt": _MOV,
    ".3gp": _3GP,
    ".mkv": Container("matroska", options=_EXACT_TIMES, live_options=_CLUSTERS),
    ".webm": Container("webm", options=_EXACT_TIMES, live_options=_CLUSTERS),
    ".avi": Container("avi", constant_rate=True, chapters=False),
    ".ts": _TS,
    ".m2ts": _TS,
    ".mts": _TS,
    ".mpg": _PS,
    ".mpeg": _PS,
    ".vob": _PS,
    ".flv": Container("flv", ("h264", "hevc", "av1", "vp9"), chapters=False),
    ".wmv": _ASF,
    ".asf": _ASF,
    ".mxf": Container("mxf", ("mpeg2video", "dnxhd", "prores"), constant_rate=True, chapters=False),
    ".nut": Container("nut"),
    ".y4m": Container("yuv4mpegpipe", ("rawvideo",), constant_rate=True, chapters=False),
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
