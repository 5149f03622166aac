"""What a user names with -i and -o: files, pipes, cameras, other devices, URLs."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from hyperguide.errors import HyperguideError

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *(
            "mp4",
            "m4v",
            "mov",
            "qt",
            "mkv",
            "webm",
            "avi",
            "ts",
            "m2ts",
            "mts",
            "mpg",
            "mpeg",
            "vob",
        ),
        *("wmv", "asf", "flv", "f4v", "3gp", "3g2", "ogv", "mxf", "nut", "y4m", "ivf", "dv"),
        *("h264", "264", "hevc", "h265", "265", "obu", "mjpeg", "mjpg"),
    )
)

_URL = re.compile(r"([a-z][a-z0-9+.]+)://", re.IGNORECASE)
_DEVICE = re.compile(r"(v4l2|lavfi|x11grab|avfoundation|dshow|fbdev|kmsgrab|gdigrab|decklink):(.+)")
_CAMERA = re.compile(r"camera:(\d+|/dev/\S+)")
# Protocols whose sources send in real time.
_LIVE = frozenset(
    ["rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srtp", "udp", "tcp", "srt", "mms", "mmsh"]
)
# Microseconds that a read from the network may take; see also the time-outs of `source`.
_NETWORK_PATIENCE = 10_000_000


@dataclass(frozen=True)
class Address:
    """A source or a destination.

    name: as the user wrote it. target: what FFmpeg opens. format: of FFmpeg, None to guess.
    is_file: whether it is a file of this machine. is_pipe: standard input or output.
    is_live: whether pictures come in real time, and late ones are worth nothing.
    """

    name: str
    target: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    is_file: bool = False
    is_pipe: bool = False
    is_live: bool = False

    @property
    def is_paced(self) -> bool:
        """Whether frames come faster than in real time, so that a camera must wait for each."""
        return self.is_file or self.format == "lavfi"

    @property
    def path(self) -> Path:
        """The path of a file."""
        return Path(self.name)

    def __str__(self) -> str:
        if self.is_pipe:
            return "standard input" if self.target == "pipe:0" else "standard output"
        return self.name


def is_video(name: str) -> bool:
    """Whether a name is that of a video, pipe, camera, device or URL, by its form alone."""
    special = name == "-" or name.startswith("camera:")
    if special or _URL.match(name) or _DEVICE.fullmatch(name):
        return True
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def parse_source(name: str, live: bool | None = None) -> Address:
    """Parse what stands behind -i.

    live: whether to take only the newest frame; None decides by the kind of source.
    Raises HyperguideError for a camera without a number and files that do not exist.
    """
    if name == "-":
        return Address(name, "pipe:0", "yuv4mpegpipe", is_pipe=True, is_live=bool(live))
    if name.startswith("camera:"):
        plain, options = _with_options(name)
        return _camera(name, plain, options, live is not False)
    device = _DEVICE.fullmatch(name)
    if device is not None:
        plain, options = _with_options(device[2])
        return Address(name, plain, device[1], options, is_live=live is not False)
    url = _URL.match(name)
    if url is not None and url[1].lower() != "file":
        protocol = url[1].lower()
        options = {"rw_timeout": str(_NETWORK_PATIENCE)}
        if protocol in ("rtsp", "rtsps"):
            options = {"timeout": str(_NETWORK_PATIENCE), "rtsp_flags": "prefer_tcp"}
        return Address(
            name, name, None, options, is_live=protocol in _LIVE if live is None else live
        )
    path = Path(name)
    if not path.exists():
        raise HyperguideError(f"There is no file {name}: check the name behind -i.")
    if path.is_dir():
        raise HyperguideError(f"{name} is a folder, not a video: give a file.")
    return Address(name, f"file:{path}", is_file=path.is_file(), is_live=bool(live))


def _with_options(name: str) -> tuple[str, dict[str, str]]:
    """Split `NAME?option=value&option=value`; the options are FFmpeg's."""
    plain, mark, rest = name.partition("?")
    options = {}
    for part in rest.split("&") if mark else []:
        key, equals, value = part.partition("=")
        if not (key and equals):
            raise HyperguideError(
                f"{part!r} in {name} is no option: write NAME?video_size=1280x720&framerate=30."
            )
        options[key] = value
    return plain, options


def _camera(name: str, plain: str, options: dict[str, str], live: bool) -> Address:
    match = _CAMERA.fullmatch(plain)
    if match is None:
        raise HyperguideError(f"{name} names no camera: write camera:0, or camera:/dev/video0.")
    which = match[1]
    if sys.platform == "darwin":
        return Address(name, which, "avfoundation", {"framerate": "30"} | options, is_live=live)
    if sys.platform == "win32":
        raise HyperguideError(
            "Windows names cameras: write dshow:video=NAME instead of camera:N, with the name that "
            "'ffmpeg -list_devices true -f dshow -i dummy' prints."
        )
    target = which if which.startswith("/") else f"/dev/video{which}"
    return Address(name, target, "v4l2", options, is_live=live)
