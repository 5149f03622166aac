"""Haze removal by the dark channel prior.

K. He, J. Sun, X. Tang, Single Image Haze Removal Using Dark Channel Prior, CVPR 2009, with the
guided filter of their paper at ECCV 2010 in place of matting.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.inference.guided_upsampling import fit_lines

# The paper's settings.
PATCH = 15
OMEGA = 0.95  # share of the haze that is removed
LEAST_TRANSMISSION = 0.1
_BRIGHTEST = 1000  # one pixel in so many decides on the airlight

# Window and regulariser of the guided filter in its authors' example of haze removal.
GUIDED_RADIUS = 20
GUIDED_FLAT = 1e-3


def dark_channel(hazy: np.ndarray) -> np.ndarray:
    """Remove the haze of a picture.

    hazy: shape (H, W, 3) in [0, 1]. Returns the same shape, float32, not clipped.
    Raises HyperguideError for a gray picture.
    """
    if hazy.ndim != 3:
        raise HyperguideError("The dark channel needs colour, but the suite's pictures are gray.")
    picture = hazy.astype(np.float32)
    light = airlight(picture)
    coarse = 1 - OMEGA * darkest(picture / light)
    fine = guided_filter(picture.mean(2), coarse, GUIDED_RADIUS, GUIDED_FLAT)
    transmission = np.maximum(fine, LEAST_TRANSMISSION)[..., None]
    return np.asarray((picture - light) / transmission + light, np.float32)


def darkest(picture: np.ndarray) -> np.ndarray:
    """The dark channel, Eq. 5: the least value of all colours in a patch around each pixel.

    picture: float32, shape (H, W, 3). Returns shape (H, W).
    """
    return cv2.erode(picture.min(2), np.ones((PATCH, PATCH), np.uint8))


def airlight(picture: np.ndarray) -> np.ndarray:
    """The brightest of the pixels with the lightest dark channel, section 4.4; shape (3,).

    At least 1/255, so that a black picture can be divided by it.
    """
    dark = darkest(picture)
    lightest = np.argsort(dark, axis=None)[-max(dark.size // _BRIGHTEST, 1) :]
    candidates = picture.reshape(-1, 3)[lightest]
    found = candidates[candidates.sum(1).argmax()]
    return np.maximum(found, np.float32(1 / 255))


def guided_filter(guide: np.ndarray, values: np.ndarray, radius: int, flat: float) -> np.ndarray:
    """Smooth values, but not across the edges of a guide; both of shape (H, W)."""
    side = 2 * radius + 1
    mean = partial(cv2.boxFilter, ddepth=-1, ksize=(side, side), borderType=cv2.BORDER_REFLECT)
    gain, offset = fit_lines(guide, values, mean, flat)
    return mean(gain) * guide + mean(offset)
