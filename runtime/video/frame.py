"""Frames for apps that bring their own loop, and a writer for what they make of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import refuse_existing, refuse_missing_folder

from .addresses import Address
from .av_library import av
from .colors import to_rgb
from .encoders import EncoderWishes
from .enhancing import Item, colors_out
from .live import part_name
from .planes import planes_of
from .sinks import Sink
from .source import VideoSource
from .video_info import VideoInfo


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    image: RGB, shape (H, W, 3), or (H, W) for gray; uint8, or uint16 for more than 8 bits.
    pts: time in units of `time_base`. info: of the video.
    """

    image: np.ndarray
    pts: int
    time_base: Fraction
    info: VideoInfo
    decoded: av.VideoFrame = field(repr=False)

    @property
    def seconds(self) -> float:
        """The time of the frame."""
        return float(self.pts * self.time_base)


def frames_of(address: Address) -> Iterator[Frame]:
    """The frames of a source in order. Raises HyperguideError if it is damaged."""
    with VideoSource(address) as source:
        info = source.info
        for frame in source.frames():
            assert frame.pts is not None
            image = to_rgb(planes_of(frame, info.format), info.coding)
            yield Frame(image, frame.pts, info.time_base, info, frame)
        if source.ended_early:
            raise HyperguideError(
                f"{address} ends early ({source.ended_early}): get a complete copy of it."
            )


class Writer:
    """Writes what an app makes of frames, with their times and colour tags; pictures only.

    with Writer("out.mp4") as writer:
        for frame in frames("in.mp4"):
            writer.write(frame, enhancer(frame.image).image)

    The file gets its name when it is complete; until then it ends in .part and the suffix.
    """

    def __init__(
        self, path: str | Path, wishes: EncoderWishes | None = None, force: bool = False
    ) -> None:
        """Prepare to write. wishes: about the encoder. force: replace an existing file.

        Raises HyperguideError if the file may not be written.
        """
        self.path = Path(path)
        refuse_missing_folder(self.path)
        refuse_existing(self.path, force)
        self._wishes = wishes or EncoderWishes()
        self._sink: Sink | None = None

    def write(self, frame: Frame, image: np.ndarray) -> None:
        """Write a picture in place of a frame, `image` of the same shape and type.

        Pixels that are equal to `frame.image` are handed to the encoder as they were decoded.
        """
        if image.shape != frame.image.shape or image.dtype != frame.image.dtype:
            raise HyperguideError(
                f"A picture of {image.dtype} {image.shape} cannot take the place of a frame of "
                f"{frame.image.dtype} {frame.image.shape}: bring it to that."
            )
        if self._sink is None:
            address = Address(str(self.path), str(self.path), is_file=True)
            self._sink = Sink(address, frame.info, self._wishes, False, part_name(self.path))
        planes = planes_of(frame.decoded, frame.info.format)
        item = Item(0, frame.decoded, planes, frame.image, image)
        (made,) = colors_out(iter([item]), frame.info, self._sink.pixel_format)
        self._sink.write(made.frame)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sink is None:
            return
        self._sink.close()
        if error is None:
            part_name(self.path).replace(self.path)
