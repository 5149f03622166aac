"""Camera noise: drawn on the sensor, then carried through the camera's processing.

A photo is converted back to raw values, noise is added there, and both versions are developed
again; their difference is the noise that the photo would have had (T. Brooks et al., Unprocessing
Images for Learned Raw Denoising, CVPR 2019, whose ranges of sensor noise, gains and tone are used).
The photo itself is unchanged, because demosaicking must not blur the target. So the noise is

    n = reduce(develop(raw + shot and read noise) - develop(raw)),    y = x + n,

correlated over pixels by demosaicking, noise reduction, sharpening and resizing, correlated over
channels by white balance and colour matrix, and stronger where the tone curve is steep.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np

from .draws import log_uniform

Demosaicking = Literal["bilinear", "edge-aware", "gradient-corrected"]

# OpenCV names the four Bayer patterns after the colours in the second row and column.
_PATTERNS = {
    "bilinear": (
        cv2.COLOR_BayerBG2RGB,
        cv2.COLOR_BayerGB2RGB,
        cv2.COLOR_BayerRG2RGB,
        cv2.COLOR_BayerGR2RGB,
    ),
    "edge-aware": (
        cv2.COLOR_BayerBG2RGB_EA,
        cv2.COLOR_BayerGB2RGB_EA,
        cv2.COLOR_BayerRG2RGB_EA,
        cv2.COLOR_BayerGR2RGB_EA,
    ),
}
# The channel at (row, column) of each pattern's 2x2 cell.
_CELLS = (((0, 1), (1, 2)), ((1, 0), (2, 1)), ((2, 1), (1, 0)), ((1, 2), (0, 1)))

# Filters of H. Malvar et al., High-Quality Linear Interpolation for Demosaicing of Bayer-Patterned
# Color Images, ICASSP 2004, Fig. 2, in eighths.
_GREEN = np.array(
    [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]],
    np.float32,
)
_IN_ROW = np.array(
    [
        [0, 0, 0.5, 0, 0],
        [0, -1, 0, -1, 0],
        [-1, 4, 5, 4, -1],
        [0, -1, 0, -1, 0],
        [0, 0, 0.5, 0, 0],
    ],
    np.float32,
)
_DIAGONAL = np.array(
    [
        [0, 0, -1.5, 0, 0],
        [0, 2, 0, 2, 0],
        [-1.5, 0, 6, 0, -1.5],
        [0, 2, 0, 2, 0],
        [0, 0, -1.5, 0, 0],
    ],
    np.float32,
)

# Raw values are stored above a black level, so that noise below black survives.
_BLACK, _RANGE = 8192, 49152

# Luma and the two colour differences of BT.601; the inverse adds the luma to each channel.
_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32
)
_TO_RGB = np.linalg.inv(_TO_YCC).astype(np.float32)

# Standard deviations of the Gaussians that separate the octaves of noise reduction.
_OCTAVES = (0.6, 1.2, 2.4, 4.8)

# Side in pixels of the box over which the variance of the noise is averaged, twice, which is nearly
# a Gaussian with a standard deviation of 10.
_WINDOW = 25


@dataclass(frozen=True)
class Camera:
    """One camera's settings for one photo.

    shot, read: variance of the noise is shot * raw + read, raw in [0, 1].
    gains: white balance gains of red and blue; green has 1.
    brightness: gain of all channels.
    matrix: from the camera's colours to sRGB, rows sum to 1, shape (3, 3).
    contrast: 0 is no tone curve, 1 is 3x^2 - 2x^3 on the encoded values.
    pattern: which of the four Bayer patterns.
    luma_left, chroma_left: shares of the noise that noise reduction leaves in each of five octaves,
        from the finest to the coarsest; empty for no reduction.
    smooth_left: share of the noise that it leaves where the photo is flat.
    softness: standard deviation in pixels of a blur, as from resampling in the camera.
    sharpening: amount of an unsharp mask.
    """

    shot: float
    read: float
    gains: tuple[float, float]
    brightness: float
    matrix: np.ndarray
    contrast: float
    demosaicking: Demosaicking
    pattern: int
    luma_left: tuple[float, ...] = ()
    chroma_left: tuple[float, ...] = ()
    smooth_left: float = 1.0
    softness: float = 0.0
    sharpening: float = 0.0


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw a camera's settings.

    The relation of read to shot noise, the gains and the brightness are as measured by Brooks et
    al.; the shot noise has a wider range, from a large sensor in daylight to levels that are
    presentable only after noise reduction. Softness, sharpening and what noise reduction leaves are
    such that the octaves of the noise, and its strength in detail relative to flat parts, are
    about those of photos of several makers.
    """
    shot = log_uniform(1e-4, 0.03, rng)
    read = float(np.exp(2.18 * np.log(shot) + 1.2 + rng.normal(0, 0.26)))
    chance = rng.random(5)
    return Camera(
        shot=shot,
        read=min(read, 1e-2),
        gains=(float(rng.uniform(1.5, 2.6)), float(rng.uniform(1.3, 2.4))),
        brightness=1 / float(np.clip(rng.normal(0.8, 0.1), 0.4, 1.2)),
        matrix=_draw_matrix(rng),
        contrast=float(rng.uniform(0, 1)),
        demosaicking=("bilinear", "edge-aware", "gradient-corrected")[int(rng.integers(3))],
        pattern=int(rng.integers(4)),
        luma_left=_draw_shares(0.2, rng) if chance[0] < 0.85 else (),
        chroma_left=_draw_shares(0.005, rng, most=0.12) if chance[1] < 0.95 else (),
        smooth_left=float(rng.uniform(0.1, 0.7)) if chance[2] < 0.8 else 1.0,
        softness=float(rng.uniform(0.5, 1.2)) if chance[3] < 0.9 else 0.0,
        sharpening=float(rng.uniform(0, 2)) if chance[4] < 0.5 else 0.0,
    )


def _draw_shares(least: float, rng: np.random.Generator, most: float = 1.0) -> tuple[float, ...]:
    """The share of the noise that a noise reduction leaves in each octave.

    Fine noise is easily averaged out; coarse noise is not and remains in photos.
    """
    finest, coarsest = log_uniform(least, most, rng), log_uniform(0.4, 1, rng)
    bend = log_uniform(0.5, 2, rng)
    coarse = np.linspace(0, 1, len(_OCTAVES) + 1) ** bend
    return tuple((coarsest * finest ** (1 - coarse)).tolist())


def add_camera_noise(
    photo: np.ndarray, camera: Camera, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A photo with the noise of a camera, and the variance of the unfiltered noise.

    photo: float32, shape (H, W, 3), sRGB in [0, 1].
    Returns (noisy, shape (H, W, 3), not clipped; variance of each channel before demosaicking,
    reduced where the photo is flat, shape (H, W, 3): how the noise varies over the picture, not
    its strength).
    """
    raw = undevelop(photo, camera)
    mosaic = _to_mosaic(raw, camera.pattern)
    deviation = np.sqrt(camera.shot * mosaic + camera.read)
    noisy = mosaic + deviation * rng.standard_normal(mosaic.shape, np.float32)
    # Both are developed from stored raw values, so that rounding and clipping are the same.
    noise = develop(noisy, camera) - develop(mosaic, camera)
    noise = _blur(_reduce(noise, photo, camera), camera.softness)
    noise = _sharpen(noise, camera.sharpening)
    variance = _unfiltered_variance(raw, photo, camera)
    if camera.smooth_left < 1:
        variance = variance * np.square(_share_left(photo, camera.smooth_left))[..., None]
    return photo + noise, variance


def undevelop(photo: np.ndarray, camera: Camera) -> np.ndarray:
    """Raw values of each channel, shape (H, W, 3), that the camera would develop into the photo."""
    linear = _decode_srgb(_without_contrast(photo.clip(0, 1), camera.contrast))
    raw = linear @ np.linalg.inv(camera.matrix).T.astype(np.float32)
    return (raw / _channel_gains(camera)).clip(0, 1)


def develop(mosaic: np.ndarray, camera: Camera) -> np.ndarray:
    """The photo that a camera makes from raw values, shape (H, W), without noise reduction."""
    balanced = mosaic * _of_pattern(_channel_gains(camera), mosaic.shape, camera.pattern)
    linear = _demosaic(balanced, camera.demosaicking, camera.pattern)
    linear = linear @ camera.matrix.T.astype(np.float32)
    return _with_contrast(_encode_srgb(linear.clip(0, 1)), camera.contrast)


def local_deviation(residual: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The local standard deviation of noise, from one example of it.

    The mean square of the residual over a window is smooth and misses edges; the shape has them. So
    the shape is scaled, per window and channel, to fit the residual.

    residual: noisy minus clean, shape (H, W, C).
    shape: a variance that varies over the picture like that of the noise, shape (H, W, C).
    Returns the root of the channels' mean variance, shape (H, W).
    """
    floor = np.float32(1e-8)
    measured = _average(residual * residual)
    expected = _average(shape) + floor
    variance = (shape + floor) * (measured / expected)
    return np.sqrt(variance.mean(2)).astype(np.float32)


def _draw_matrix(rng: np.random.Generator) -> np.ndarray:
    """A colour matrix; the more the sensor's colours overlap, the more it amplifies the noise."""
    others = rng.uniform(0.0, 0.55, (3, 3))
    np.fill_diagonal(others, 0)
    return np.eye(3) * (1 + others.sum(1, keepdims=True)) - others


def _channel_gains(camera: Camera) -> np.ndarray:
    red, blue = camera.gains
    return np.float32(camera.brightness) * np.array([red, 1, blue], np.float32)


def _of_pattern(values: np.ndarray, shape: tuple[int, ...], pattern: int) -> np.ndarray:
    """One value per channel, shape (3,), spread over a mosaic of the given shape."""
    cell = values[np.array(_CELLS[pattern])]
    rows, columns = shape[0] // 2 + 1, shape[1] // 2 + 1
    return np.tile(cell, (rows, columns))[: shape[0], : shape[1]]


def _to_mosaic(raw: np.ndarray, pattern: int) -> np.ndarray:
    """The channel that the sensor sees at each pixel, shape (H, W)."""
    mosaic = np.empty(raw.shape[:2], np.float32)
    for row in (0, 1):
        for column in (0, 1):
            channel = _CELLS[pattern][row][column]
            mosaic[row::2, column::2] = raw[row::2, column::2, channel]
    return mosaic


def _demosaic(mosaic: np.ndarray, method: Demosaicking, pattern: int) -> np.ndarray:
    """Linear RGB, float32, shape (H, W, 3), from a mosaic, shape (H, W), in about [0, 1]."""
    if method == "gradient-corrected":
        return _gradient_corrected(mosaic, pattern)
    stored = (mosaic * _RANGE + _BLACK).clip(0, 65535).astype(np.uint16)
    color = cv2.cvtColor(stored, _PATTERNS[method][pattern])
    return (color.astype(np.float32) - _BLACK) / _RANGE


def _gradient_corrected(mosaic: np.ndarray, pattern: int) -> np.ndarray:
    """Malvar's method: bilinear, corrected by the gradient of the colour at the pixel."""
    green, row, column, diagonal = (
        cv2.filter2D(mosaic, -1, kernel / 8, borderType=cv2.BORDER_REFLECT_101)
        for kernel in (_GREEN, _IN_ROW, _IN_ROW.T, _DIAGONAL)
    )
    color = np.empty((*mosaic.shape, 3), np.float32)
    cell = _CELLS[pattern]
    for i in (0, 1):
        for j in (0, 1):
            here, beside, below = cell[i][j], cell[i][1 - j], cell[1 - i][j]
            place = slice(i, None, 2), slice(j, None, 2)
            color[(*place, here)] = mosaic[place]
            if here == 1:
                color[(*place, beside)] = row[place]
                color[(*place, below)] = column[place]
            else:
                color[(*place, 1)] = green[place]
                color[(*place, 2 - here)] = diagonal[place]
    return color


def _reduce(noise: np.ndarray, photo: np.ndarray, camera: Camera) -> np.ndarray:
    """The noise that a camera's noise reduction leaves, shape (H, W, 3)."""
    ycc = noise @ _TO_YCC.T
    luma = _reduce_octaves(ycc[..., 0], camera.luma_left)
    chroma = _reduce_octaves(ycc[..., 1:], camera.chroma_left)
    reduced = np.dstack([luma, chroma]) @ _TO_RGB.T
    if camera.smooth_left < 1:
        reduced = reduced * _share_left(photo, camera.smooth_left)[..., None]
    return reduced


def _reduce_octaves(plane: np.ndarray, left: tuple[float, ...]) -> np.ndarray:
    """The sum of a plane's octaves (differences of Gaussians), weighted by their shares."""
    if not left:
        return plane
    reduced: np.ndarray = np.float32(left[0]) * plane
    for (finer, coarser), deviation in zip(pairwise(left), _OCTAVES, strict=True):
        reduced = reduced + np.float32(coarser - finer) * _blur(plane, deviation)
    return reduced


def _share_left(photo: np.ndarray, least: float) -> np.ndarray:
    """1 at edges and in texture, `least` where the photo is flat, shape (H, W)."""
    gray = photo.mean(2)
    detail = np.abs(gray - _blur(gray, 2.0))
    return least + (1 - least) * (_blur(detail, 1.5) / 0.02).clip(0, 1)


def _sharpen(noise: np.ndarray, amount: float) -> np.ndarray:
    return noise if amount == 0 else noise + amount * (noise - _blur(noise, 1.0))


def _unfiltered_variance(raw: np.ndarray, photo: np.ndarray, camera: Camera) -> np.ndarray:
    """Variance of each developed channel if each pixel had independent noise, to first order."""
    gains = _channel_gains(camera)
    linear = (camera.shot * raw + camera.read) * gains**2
    mixed = linear @ (camera.matrix.T.astype(np.float32) ** 2)
    slope = _slope(photo.clip(0, 1), camera.contrast)
    return mixed * slope * slope


def _slope(photo: np.ndarray, contrast: float) -> np.ndarray:
    """Derivative of the developed value with respect to the linear one, at developed values."""
    encoded = _without_contrast(photo, contrast)
    of_contrast = 1 + contrast * (6 * encoded * (1 - encoded) - 1)
    of_encoding = 1.055 / 2.4 * ((encoded + 0.055) / 1.055) ** -1.4
    return of_contrast * np.minimum(of_encoding, 12.92)  # its linear part, near black


def _decode_srgb(values: np.ndarray) -> np.ndarray:
    """From sRGB to linear values (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _encode_srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-8) ** (1 / 2.4) - 0.055
    ).astype(np.float32)


def _with_contrast(values: np.ndarray, contrast: float) -> np.ndarray:
    return values + contrast * (values * values * (3 - 2 * values) - values)


# Steps of the table from which the inverse of the tone curve is interpolated.
_STEPS = 1024
_PLACES = np.linspace(0, 1, _STEPS + 1, dtype=np.float32)


def _without_contrast(values: np.ndarray, contrast: float) -> np.ndarray:
    inverse = np.interp(_PLACES, _with_contrast(_PLACES, contrast), _PLACES).astype(np.float32)
    position = values * np.float32(_STEPS)
    below = np.minimum(position.astype(np.int32), _STEPS - 1)
    return inverse[below] + (position - below) * (inverse[below + 1] - inverse[below])


def _blur(plane: np.ndarray, deviation: float) -> np.ndarray:
    if deviation == 0:
        return plane
    return cv2.GaussianBlur(plane, (0, 0), deviation, borderType=cv2.BORDER_REFLECT)


def _average(plane: np.ndarray) -> np.ndarray:
    for _ in range(2):
        plane = cv2.blur(plane, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
    return np.maximum(plane, 0)  # running sums can fall slightly below 0
