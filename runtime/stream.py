"""Enhances frames of a video in order, with maps smoothed over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .arrays import as_numpy
from .errors import HyperguideError
from .pixels import layout_of
from .result import Result
from .stillness import difference, enlarged, is_cut, reduced, stillness

# Noise of videos for tasks whose map does not tell it: that of good cameras, full scale = 1.
_USUAL_NOISE = 4 / 255


class _Before(NamedTuple):
    """What a stream keeps of a frame: a reduced copy, and the map that was used."""

    frame: np.ndarray
    guidance: np.ndarray


class Stream:
    """Enhances the frames of one video.

    The map of a frame is mixed with that of the previous frame: maps predicted separately for each
    frame flicker, and the pictures with them. Where the picture moves, and after a cut, or when the
    frame size changes, the map is not mixed. The stream holds the state, so one enhancer may serve
    many streams.

    with enhancer.stream() as stream:
        for frame in frames:
            show(stream(frame).image)

    smooth: weight of the previous frame's map where nothing moves, in [0, 1).
    map_is_noise: whether maps are levels of noise, by which frames are compared.
    """

    def __init__(
        self, enhancer: Callable[..., Result], smooth: float, map_is_noise: bool = False
    ) -> None:
        self.smooth = float(smooth)
        if not 0 <= self.smooth < 1:
            raise HyperguideError(
                f"The smoothing of a stream must be at least 0 and below 1, not {smooth}."
            )
        self._enhancer = enhancer
        self._map_is_noise = map_is_noise
        self._before: _Before | None = None

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
        glance = reduced(frame)
        result = self._enhancer(frame, **self._memory(frame, glance), **dials)
        if result.guidance is not None:
            self._before = _Before(glance, result.guidance)
        return result

    def reset(self) -> None:
        """Forget the frames so far."""
        self._before = None

    def state(self) -> dict[str, np.ndarray]:
        """What `restore` needs to go on from here."""
        if self._before is None:
            return {}
        return self._before._asdict()

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state."""
        self._before = _Before(**state) if state else None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.reset()

    def _memory(self, frame: np.ndarray, glance: np.ndarray) -> dict[str, np.ndarray]:
        """The dials that mix the previous frame's map in; none where it shows another scene.

        glance: the frame, reduced.
        """
        before, size = self._before, frame.shape[:2]
        if before is None or before.guidance.shape != size or _differ(glance, before.frame):
            return {}
        change = difference(glance, before.frame)
        if is_cut(change):
            return {}
        still = stillness(change, before.guidance if self._map_is_noise else _USUAL_NOISE)
        return {
            "guidance": before.guidance,
            "guidance_mix": enlarged(np.float32(self.smooth) * still, *size),
        }


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two frames have different shapes or types."""
    return one.shape != other.shape or one.dtype != other.dtype
