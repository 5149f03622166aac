"""Where in a picture a kernel shows best."""

from __future__ import annotations

import cv2
import numpy as np

from .clipping import unclipped

_STRUCTURE = 5  # side of the neighbourhoods in which gradients should agree, in pixels
_LEAST = 0.2  # of the edges of the best window: with fewer, kernels do not show
_APART = 4  # windows lie at least this part of a side of the picture from each other
_FLAT = 0.02  # gradients of noise: they count as disagreeing


class Windows:
    """Windows of a picture, the one with most edges first.

    Edges are where the gradients of a neighbourhood agree, which those of noise and of texture
    finer than the kernel do not (Xu, Jia, "Two-phase kernel estimation for robust motion
    deblurring", 2010, eq. 2). Clipped pixels count nothing.

    picture: gray, (H, W), float32, full scale = 1.
    """

    def __init__(self, picture: np.ndarray) -> None:
        self._picture = picture
        self._sums = cv2.integral(_edges(picture))

    def best(self, side: int, count: int) -> list[np.ndarray]:
        """Up to `count` windows far from each other, none of them nearly empty; views.

        side: of the windows; they are smaller along sides of the picture that are shorter.
        """
        shape, sums = self._picture.shape, self._sums
        height, width = (min(side, length) for length in shape)
        rows, columns = (_places(length, side) for length in shape)
        scores = {
            (top, left): float(
                sums[top + height, left + width]
                - sums[top, left + width]
                - sums[top + height, left]
                + sums[top, left]
            )
            for top in rows
            for left in columns
        }
        # Where a camera turned or depth differs, neighbours are blurred alike.
        apart = [max(side, length // _APART) for length in shape]
        chosen: list[tuple[int, int]] = []
        for top, left in sorted(scores, key=lambda place: -scores[place]):
            empty = chosen and scores[top, left] < _LEAST * scores[chosen[0]]
            if len(chosen) == count or empty:
                break
            if all(abs(top - y) >= apart[0] or abs(left - x) >= apart[1] for y, x in chosen):
                chosen.append((top, left))
        return [self._picture[top : top + height, left : left + width] for top, left in chosen]


def _places(length: int, side: int) -> list[int]:
    """Where windows may begin: every quarter of a side, and at the end."""
    last = max(length - side, 0)
    return sorted({*range(0, last, max(side // 4, 1)), last})


def _edges(picture: np.ndarray) -> np.ndarray:
    """How much of an edge each pixel lies on."""
    dx = cv2.Sobel(picture, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(picture, cv2.CV_32F, 0, 1, scale=1 / 8)
    box = (_STRUCTURE, _STRUCTURE)
    size = cv2.magnitude(dx, dy)
    along = cv2.magnitude(cv2.blur(dx, box), cv2.blur(dy, box))
    agreement = along / (cv2.blur(size, box) + _FLAT)
    return agreement * np.sqrt(size) * unclipped(picture)
