"""Opens sources with FFmpeg and finds the pictures in them."""

from __future__ import annotations

from typing import Any

from hyperguide.errors import HyperguideError
from hyperguide.memory import usable_bytes

from .addresses import Address
from .av_library import av, av_errors

# Seconds until a source that does not answer, or stops sending, is given up.
OPEN_TIMEOUT, READ_TIMEOUT = 10.0, 10.0
# Bytes that a pixel takes in all stages together, for the limit of a frame's size.
_BYTES_PER_PIXEL = 200


def open_container(
    address: Address, hwaccel: str | None = None, live: bool = False
) -> av.container.InputContainer:
    """Open a source. Raises HyperguideError if FFmpeg cannot.

    hwaccel, live: see `VideoSource`.
    """
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


def moving_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """The video streams, without cover pictures."""
    picture = av.stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & picture]


def main_stream(container: av.container.InputContainer, address: Address) -> av.VideoStream:
    """The stream to enhance: the default one, or the first.

    Raises HyperguideError if there is none, or its codec is unknown.
    """
    moving = moving_streams(container)
    if not moving:
        kinds = sorted({stream.type for stream in container.streams})
        holds = f", only {', '.join(kinds)}" if kinds else ""
        raise HyperguideError(f"{address} has no video stream{holds}: give another -i.")
    default = av.stream.Disposition.default
    chosen = next((stream for stream in moving if stream.disposition & default), moving[0])
    if chosen.codec_context is None:
        raise HyperguideError(
            f"{address} holds video that FFmpeg cannot decode: convert it with another program."
        )
    return chosen


def limit_size(stream: av.VideoStream, address: Address, max_memory: int | None) -> None:
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
