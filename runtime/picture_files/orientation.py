"""Turns pictures upright."""

from __future__ import annotations

import numpy as np


def upright(picture: np.ndarray, orientation: int) -> np.ndarray:
    """A view of a stored picture, shape (H, W, ...), turned by EXIF's orientation of 1 to 8."""
    if orientation in (5, 6, 7, 8):
        picture = picture.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture
