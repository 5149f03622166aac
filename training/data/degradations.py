"""The degradations of all tasks.

Each class has the ranges of one degradation. Its `degrade` takes clean crops, their depth and a
generator and returns the observation y, the target x, the true map sigma_gt in the task's unit,
and the kernel. All randomness comes from the generator, so that a seed reproduces a run. `margin`
is the number of pixels by which crops must be larger than samples.
"""

from __future__ import annotations

from .blur import Blur
from .haze import Haze
from .noise import Noise
from .rain import Rain

__all__ = ["DEGRADATIONS", "Blur", "Degradation", "Haze", "Noise", "Rain"]

Degradation = Noise | Rain | Haze | Blur

DEGRADATIONS: dict[str, type[Noise] | type[Rain] | type[Haze] | type[Blur]] = {
    "denoise": Noise,
    "derain": Rain,
    "dehaze": Haze,
    "deblur": Blur,
}
