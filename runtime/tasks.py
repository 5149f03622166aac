"""The tasks as data: what each one removes, and what its guidance map means.

Training, export and runtime read the same table, so each task is defined only once.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

from .errors import HyperguideError


@dataclass(frozen=True)
class Guidance:
    """What the values of a guidance map mean.

    name: the physical quantity.
    unit: of one map value.
    minimum, maximum: range of the values; the hyper-network is bounded by it (Sec. 3.2 of the
        paper assumes a bounded proxy), and 16-bit map pictures span it.
    smoothing: default weight of the previous frame's map in video, in [0, 1). Noise and depth
        change slowly; rain falls somewhere else in the next frame.
    scale_meaning: the effect of changing `guidance_scale`.
    """

    name: str
    unit: str
    minimum: float
    maximum: float
    smoothing: float
    scale_meaning: str

    @property
    def is_noise(self) -> bool:
        """Whether the map is the standard deviation of the noise in the picture."""
        return self.name == "noise_level"


@dataclass(frozen=True)
class Task:
    """One degradation and the guidance that describes it."""

    name: str
    removes: str
    guidance: Guidance


_NOISE_LEVEL = Guidance(
    name="noise_level",
    unit="standard deviation, full scale = 1",
    minimum=0.0,
    maximum=80 / 255,
    smoothing=0.8,
    scale_meaning="above 1 smooths more, below 1 keeps more grain and detail",
)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("denoise", "sensor and film noise", _NOISE_LEVEL),
        # Beyond an eighth of full scale there is nothing left to deblur.
        Task("deblur", "blur of a known kernel, with noise", replace(_NOISE_LEVEL, maximum=0.125)),
        Task(
            "derain",
            "rain streaks",
            Guidance(
                name="rain_region",
                unit="probability of a streak",
                minimum=0.0,
                maximum=1.0,
                smoothing=0.0,
                scale_meaning="above 1 removes fainter streaks, below 1 touches fewer pixels",
            ),
        ),
        Task(
            "dehaze",
            "haze and fog",
            Guidance(
                name="scene_depth",
                unit="relative depth, farthest = 1",
                minimum=0.0,
                maximum=1.0,
                smoothing=0.8,
                scale_meaning="above 1 assumes a deeper scene and removes more haze",
            ),
        ),
    )
}


def find_task(name: str) -> Task:
    """Return the task called `name`, or raise HyperguideError that suggests the nearest one."""
    task = TASKS.get(name)
    if task is not None:
        return task
    known = ", ".join(TASKS)
    near = difflib.get_close_matches(name.lower(), TASKS, n=1, cutoff=0.5)
    mend = f"did you mean '{near[0]}'? The" if near else "the"
    raise HyperguideError(f"Unknown task '{name}': {mend} tasks are {known}.")
