"""Frames for apps that bring their own loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .addresses import Address
from .colors import to_rgb
from .planes import planes_of
from .source import VideoSource


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    image: RGB, shape (H, W, 3), or (H, W) for gray; uint8, or uint16 for more than 8 bits.
    pts: time in units of `time_base`. seconds: the same in seconds.
    """

    image: np.ndarray
    pts: int
    time_base: Fraction

    @property
    def seconds(self) -> float:
        """The time of the frame."""
        return float(self.pts * self.time_base)


def frames_of(address: Address) -> Iterator[Frame]:
    """The frames of a source in order."""
    with VideoSource(address) as source:
        info = source.info
        for frame in source.frames():
            assert frame.pts is not None
            image = to_rgb(planes_of(frame, info.format), info.coding)
            yield Frame(image, frame.pts, info.time_base)
