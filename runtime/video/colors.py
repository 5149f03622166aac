"""Converts planes to RGB, and back by the difference that the network made.

The way back adds `M (after - before)` to the planes, with chroma averaged over its block. So a
pixel that the network leaves alone stays bit-identical, also where it is whiter than white or
outside of RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from .coding import Coding

Planes = Sequence[np.ndarray]


def to_rgb(planes: Planes, coding: Coding) -> np.ndarray:
    """The picture that planes show, for the network.

    planes: each of shape (rows, columns), uint8 or uint16.
    Returns shape (H, W, 3), or (H, W) for gray; uint8, or uint16 for more than 8 bits. Chroma is
    interpolated linearly, its values taken to lie in the middle of their block.
    """
    format = coding.format
    if format.kind == "gray":
        return _gray_to_full(planes[0], coding)
    if format.kind == "rgb":
        green, blue, red = planes[:3]
        return _to_full(cv2.merge([red, green, blue]), format.depth)
    luma = planes[0]
    height, width = luma.shape
    yuv = cv2.merge([luma, *(_upsampled(chroma, coding, width, height) for chroma in planes[1:3])])
    inverse = np.linalg.inv(_matrix(coding))
    zero = np.array([_black(coding), _middle(coding), _middle(coding)])
    forward = inverse / _share(coding)
    return np.asarray(cv2.transform(yuv, np.column_stack([forward, -forward @ zero])))


def from_rgb(
    planes: Planes, before: np.ndarray, after: np.ndarray, coding: Coding
) -> list[np.ndarray]:
    """The planes of the enhanced picture.

    planes: of the frame. before: what `to_rgb` made of them. after: the enhanced picture.
    """
    format = coding.format
    change = cv2.subtract(after, before, dtype=cv2.CV_32F)
    if format.kind == "gray":
        changes: list[Any] = [change * np.float32(_gray_gain(coding))]
    elif format.kind == "rgb":
        red, green, blue = cv2.split(change * np.float32(_share(coding)))
        changes = [green, blue, red]
    else:
        matrix = _matrix(coding) * _share(coding)
        luma = cv2.transform(change, matrix[:1])
        changes = [luma, *cv2.split(cv2.transform(_averaged(change, coding), matrix[1:]))]
    changed = [_added(p, c, format.depth) for p, c in zip(planes, changes, strict=False)]
    return [*changed, *planes[len(changed) :]]  # alpha stays


def _averaged(change: np.ndarray, coding: Coding) -> np.ndarray:
    """The mean over each block of luma that shares a chroma value."""
    columns, rows = coding.format.sub
    if (columns, rows) == (1, 1):
        return change
    height, width = change.shape[:2]
    more = -height % rows, -width % columns
    if any(more):
        change = cv2.copyMakeBorder(change, 0, more[0], 0, more[1], cv2.BORDER_REPLICATE)
    height, width = change.shape[:2]
    size = width // columns, height // rows
    return np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_AREA))


def _upsampled(chroma: np.ndarray, coding: Coding, width: int, height: int) -> np.ndarray:
    columns, rows = coding.format.sub
    if (columns, rows) == (1, 1):
        return chroma
    size = chroma.shape[1] * columns, chroma.shape[0] * rows
    return np.asarray(cv2.resize(chroma, size, interpolation=cv2.INTER_LINEAR))[:height, :width]


def _added(plane: np.ndarray, change: np.ndarray, depth: int) -> np.ndarray:
    """`plane + change`, rounded and within the plane's range."""
    total = cv2.add(plane, change, dtype=cv2.CV_8U if depth == 8 else cv2.CV_16U)
    if depth in (8, 16):
        return np.asarray(total)
    return np.minimum(total, _full_of(depth))


def _matrix(coding: Coding) -> np.ndarray:
    """R, G, B in [0, 1] to Y, U, V, in units of the planes' highest value (H.273, eq. 38 to 43)."""
    red, blue = coding.red, coding.blue
    luma = np.array([red, 1 - red - blue, blue])
    u = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    v = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    if coding.full_range:
        return np.stack([luma, u, v])
    unit = float(1 << (coding.format.depth - 8)) / _full(coding)
    return np.stack([luma * 219, u * 224, v * 224]) * unit


def _full_of(depth: int) -> int:
    return (1 << depth) - 1


def _full(coding: Coding) -> int:
    """The highest value of the planes."""
    return _full_of(coding.format.depth)


def _share(coding: Coding) -> float:
    """What a step of the picture is worth in the planes, where both use their whole range."""
    return _full(coding) / (255 if coding.format.depth == 8 else 65535)


def _black(coding: Coding) -> float:
    return 0.0 if coding.full_range else float(16 << (coding.format.depth - 8))


def _middle(coding: Coding) -> float:
    return float(1 << (coding.format.depth - 1))


def _to_full(picture: np.ndarray, depth: int) -> np.ndarray:
    """Values of some depth as uint8, or as uint16 that use its whole range."""
    if depth in (8, 16):
        return picture
    return np.asarray(cv2.addWeighted(picture, 65535 / _full_of(depth), picture, 0, 0))


def _gray_gain(coding: Coding) -> float:
    """What a step of the 8-bit or 16-bit picture is worth in a gray plane."""
    share = _share(coding)
    return (
        share if coding.full_range else share * (219 << (coding.format.depth - 8)) / _full(coding)
    )


def _gray_to_full(plane: np.ndarray, coding: Coding) -> np.ndarray:
    gain = _gray_gain(coding)
    if gain == 1:
        return plane
    return np.asarray(cv2.addWeighted(plane, 1 / gain, plane, 0, -_black(coding) / gain))
