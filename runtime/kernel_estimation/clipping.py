"""Pixels near full scale, which may be clipped: they do not show what a kernel did."""

from __future__ import annotations

import cv2
import numpy as np

_FULL = 0.98  # of full scale: brighter pixels may be clipped
_HALO = 2  # pixels around those that are clipped


def unclipped(picture: np.ndarray) -> np.ndarray:
    """0 where a picture is near full scale and around, 1 elsewhere."""
    around = np.ones((2 * _HALO + 1, 2 * _HALO + 1), np.uint8)
    clipped = cv2.dilate((picture >= _FULL).astype(np.uint8), around)
    return 1 - clipped.astype(np.float32)


def filled(picture: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """A picture whose unusable pixels are means of usable ones: lights would count as edges."""
    if usable.all():
        return picture
    near = cv2.GaussianBlur(usable, (0, 0), 2 * _HALO) + 1e-6
    return np.where(
        usable > 0, picture, cv2.GaussianBlur(picture * usable, (0, 0), 2 * _HALO) / near
    )
