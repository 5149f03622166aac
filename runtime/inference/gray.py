"""Finds and converts gray pictures that are stored in colour, as three equal planes."""

from __future__ import annotations

import numpy as np

# Rows across a picture that are compared first, and rows per block of the full comparison.
_PROBES = 16
_ROWS = 64


def gray_ones(pictures: np.ndarray) -> np.ndarray:
    """Which of the pictures have three equal planes, bool of shape (N,).

    pictures: shape (N, H, W, C), C = 3 or 4. A few rows usually suffice to recognise colour.
    """
    return np.array([_is_gray(picture) for picture in pictures])


def as_gray(pictures: np.ndarray) -> np.ndarray:
    """The first of three planes, and alpha if there is one: shape (..., 1) or (..., 2), a view."""
    return pictures[..., ::3]


def as_color(gray: np.ndarray) -> np.ndarray:
    """Three equal planes from one, and alpha if there is one; undoes `as_gray`."""
    color = np.empty((*gray.shape[:-1], gray.shape[-1] + 2), gray.dtype)
    color[..., :3] = gray[..., :1]
    color[..., 3:] = gray[..., 1:]
    return color


def without_tint(pictures: np.ndarray) -> np.ndarray:
    """The pictures with all three planes set to their mean, rounded to the type; alpha is kept."""
    mean = pictures[..., :3].mean(-1, keepdims=True, dtype=np.float64)
    mean = np.rint(mean) if pictures.dtype.kind == "u" else mean
    return as_color(np.concatenate([mean.astype(pictures.dtype), pictures[..., 3:]], -1))


def _is_gray(picture: np.ndarray) -> bool:
    if not _has_equal_planes(picture[:: max(len(picture) // _PROBES, 1)]):
        return False
    firsts = range(0, len(picture), _ROWS)
    return all(_has_equal_planes(picture[first : first + _ROWS]) for first in firsts)


def _has_equal_planes(rows: np.ndarray) -> bool:
    first = rows[..., 0]
    return bool((first == rows[..., 1]).all() and (first == rows[..., 2]).all())
