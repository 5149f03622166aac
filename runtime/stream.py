"""Enhances frames of a video in order, with maps smoothed over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from .arrays import as_numpy, in_native_order
from .errors import HyperguideError
from .pixels import layout_of
from .result import Result

# Frames are compared at this size.
_GLANCE = (32, 18)
# Mean difference of two frames, full scale = 1, from which on they count as different scenes.
_SCENE_CHANGE = 0.12


class Stream:
    """Enhances the frames of one video.

    The map of a frame is mixed with that of the previous frame: maps predicted separately for each
    frame flicker, and the pictures with them. After a cut, or when the frame size changes, the map
    is not mixed. The stream holds the state, so one enhancer may serve many streams.

    with enhancer.stream() as stream:
        for frame in frames:
            show(stream(frame).image)

    smooth: weight of the previous frame's map, in [0, 1).
    """

    def __init__(self, enhancer: Callable[..., Result], smooth: float) -> None:
        self.smooth = float(smooth)
        if not 0 <= self.smooth < 1:
            raise HyperguideError(
                f"The smoothing of a stream must be at least 0 and below 1, not {smooth}."
            )
        self._enhancer = enhancer
        self._before: tuple[np.ndarray, np.ndarray] | None = None  # thumbnail and map

    def __call__(self, frame: Any, **dials: Any) -> Result:
        """Enhance the next frame.

        frame: a picture as in `Enhancer.__call__`, not a batch.
        dials: as in a call; if `guidance` is given, nothing is smoothed.
        """
        frame = as_numpy(frame)
        if layout_of(frame).batched:
            raise HyperguideError("A stream takes one frame after the other, not a batch.")
        if dials.get("guidance") is not None or self.smooth == 0:
            return self._enhancer(frame, **dials)
        for without_a_map in ("guidance", "guidance_mix"):
            dials.pop(without_a_map, None)
        thumbnail = _thumbnail(frame)
        if self._before is not None and self._continues(frame, thumbnail):
            result = self._enhancer(
                frame, guidance=self._before[1], guidance_mix=self.smooth, **dials
            )
        else:
            result = self._enhancer(frame, **dials)
        if result.guidance is not None:
            self._before = (thumbnail, result.guidance)
        return result

    def reset(self) -> None:
        """Forget the frames so far."""
        self._before = None

    def state(self) -> dict[str, np.ndarray]:
        """What `restore` needs to go on from here."""
        if self._before is None:
            return {}
        return {"thumbnail": self._before[0], "guidance": self._before[1]}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state."""
        self._before = (state["thumbnail"], state["guidance"]) if state else None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.reset()

    def _continues(self, frame: np.ndarray, thumbnail: np.ndarray) -> bool:
        """Whether a frame shows the same scene as the one before."""
        assert self._before is not None
        before, guidance = self._before
        if guidance.shape != frame.shape[:2] or thumbnail.shape != before.shape:
            return False
        return float(np.abs(thumbnail - before).mean()) < _SCENE_CHANGE


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    """A small copy of a frame, full scale = 1."""
    frame = in_native_order(frame)
    scale = np.iinfo(frame.dtype).max if frame.dtype.kind == "u" else 1
    picture = frame if frame.dtype.kind == "u" else frame.astype(np.float32)
    return cv2.resize(picture, _GLANCE, interpolation=cv2.INTER_AREA).astype(np.float32) / scale
