"""Enhances frames of a video in order, with maps smoothed over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .arrays import as_numpy
from .errors import HyperguideError
from .pixels import layout_of
from .result import Result
from .stillness import difference, enlarged, is_cut, reduced, stillness
from .tasks import Guidance
from .temporal import MIX, TemporalAverage, blended

# Noise of videos for tasks whose map does not tell it: that of good cameras, full scale = 1.
_USUAL_NOISE = 4 / 255
# Names of the average's part of a state begin so.
_OF_AVERAGE = "average_"


class _Before(NamedTuple):
    """What a stream keeps of a frame: a reduced copy, and the map that was used."""

    frame: np.ndarray
    guidance: np.ndarray


class Stream:
    """Enhances the frames of one video.

    Maps that are predicted for each frame on its own flicker, and the pictures with them. So the
    map of a frame is mixed with that of the frame before, except where the picture moves, after a
    cut, or when the frame size changes.

    Noise is different in every frame. With `temporal`, frames are averaged where nothing moves or
    the motion is known, and the map says how much noise is left; see `TemporalAverage`.

    The stream holds the state, so one enhancer may serve many streams.

    with enhancer.stream() as stream:
        for frame in frames:
            show(stream(frame).image)

    smooth: weight of the previous frame's map where nothing moves, in [0, 1).
    temporal: whether to average frames; for maps of the noise level only.
    meaning: of the maps. Frames are compared by maps of the noise level.
    """

    def __init__(
        self,
        enhancer: Callable[..., Result],
        smooth: float,
        temporal: bool,
        meaning: Guidance,
    ) -> None:
        self.smooth = float(smooth)
        if not 0 <= self.smooth < 1:
            raise HyperguideError(
                f"The smoothing of a stream must be at least 0 and below 1, not {smooth}."
            )
        self._enhancer = enhancer
        self._meaning = meaning
        self._before: _Before | None = None
        self._average = TemporalAverage() if temporal else None

    def __call__(self, frame: Any, **dials: Any) -> Result:
        """Enhance the next frame.

        frame: a picture as in `Enhancer.__call__`, not a batch.
        dials: as in a call, but for `with_map`: a stream needs maps. With `guidance`, maps are not
            smoothed; averaging takes it for the noise level of the frame. With averaging,
            `strength` blends with the frame itself.
        """
        dials.pop("with_map", None)
        frame = as_numpy(frame)
        if layout_of(frame).batched:
            raise HyperguideError("A stream takes one frame after the other, not a batch.")
        if dials.get("guidance") is None:
            for without_a_map in ("guidance", "guidance_mix"):
                dials.pop(without_a_map, None)
        if self._average is not None and self._can_average(frame.shape[:2], dials):
            return self._averaged(self._average, frame, dials)
        return self._smoothed(frame, dials)

    @property
    def temporal(self) -> bool:
        """Whether frames are averaged."""
        return self._average is not None

    def reset(self) -> None:
        """Forget the frames so far."""
        self._before = None
        if self._average is not None:
            self._average.reset()

    def state(self) -> dict[str, np.ndarray]:
        """What `restore` needs to go on from here."""
        state = {} if self._before is None else self._before._asdict()
        if self._average is not None:
            state |= {_OF_AVERAGE + name: v for name, v in self._average.state().items()}
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state."""
        averaged = {n: v for n, v in state.items() if n.startswith(_OF_AVERAGE)}
        others = {name: v for name, v in state.items() if name not in averaged}
        self._before = _Before(**others) if others else None
        if self._average is not None:
            self._average.restore({n.removeprefix(_OF_AVERAGE): v for n, v in averaged.items()})

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.reset()

    def _can_average(self, size: tuple[int, int], dials: Mapping[str, Any]) -> bool:
        """Whether dials are as averaging takes them. The enhancer judges all others."""
        strength, told = (np.asarray(dials.get(n, 0.0)) for n in ("strength", "guidance"))
        if any(v.dtype.kind not in "buif" or v.shape not in ((), size) for v in (strength, told)):
            return False
        if not (("strength" not in dials or strength.any()) and np.isfinite(strength).all()):
            return False
        return bool(strength.min() >= 0 <= told.min() <= told.max() <= self._meaning.maximum)

    def _averaged(
        self, average: TemporalAverage, frame: np.ndarray, dials: dict[str, Any]
    ) -> Result:
        """Enhance the average of this frame and those before."""
        told = dials.get("guidance")
        picture, noise = average(frame, noise_level=told)
        if noise is None:
            result = self._smoothed(frame, dials)
        else:
            self._before = None  # its map is that of an average
            noise = np.minimum(noise, np.float32(self._meaning.maximum))
            others = {name: value for name, value in dials.items() if name != "strength"}
            mix = others.pop("guidance_mix", MIX if told is None else 1.0)
            result = self._enhancer(picture, **others | {"guidance": noise, "guidance_mix": mix})
            image = blended(frame, result.image, dials.get("strength", 1.0))
            result = Result(image, result.guidance)
        if told is None:
            average.learn(result.guidance)
        return result

    def _smoothed(self, frame: np.ndarray, dials: dict[str, Any]) -> Result:
        """Enhance a frame with its map smoothed."""
        if "guidance" in dials or self.smooth == 0:
            return self._enhancer(frame, **dials)
        glance = reduced(frame)
        result = self._enhancer(frame, **self._memory(frame, glance), **dials)
        if result.guidance is not None:
            self._before = _Before(glance, result.guidance)
        return result

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
        still = stillness(change, before.guidance if self._meaning.is_noise else _USUAL_NOISE)
        return {
            "guidance": before.guidance,
            "guidance_mix": enlarged(np.float32(self.smooth) * still, *size),
        }


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two frames have different shapes or types."""
    return one.shape != other.shape or one.dtype != other.dtype
