"""The result of a call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Result:
    """The enhanced picture and its guidance map.

    image: of the input's shape and type.
    guidance: the map that was used, before `guidance_scale`, in the unit of
        `Enhancer.info.guidance`; float32, shape (H, W), or (N, H, W) for a batch. None if
        strength was 0, since no map is computed then, or if it was not wanted.
    """

    image: np.ndarray
    guidance: np.ndarray | None
