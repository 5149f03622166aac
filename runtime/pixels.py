"""Converts between users' pictures and the tensors that networks take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .errors import HyperguideError

# Value that stands for full intensity, per dtype.
_FULL_SCALE: dict[str, float] = {
    "uint8": 255.0,
    "uint16": 65535.0,
    "float16": 1.0,
    "float32": 1.0,
    "float64": 1.0,
}
# Types that every version of OpenCV splits into planes.
_SPLIT = ("uint8", "uint16", "float32", "float64")

# Numbers that fit into a processor's cache: data read twice in a row comes from memory once.
_BLOCK = 1 << 18

# Noise and filters may exceed [0, 1] a little, as in unclipped test pictures; 0..255 is a mistake.
_OVERSHOOT = 1.0


def full_scale(dtype: np.dtype) -> float:
    """The value that stands for full intensity. `dtype` must be one that pictures can have."""
    return _FULL_SCALE[dtype.name]


@dataclass(frozen=True)
class Layout:
    """The form of a picture, so that the result can be returned in the same form.

    batched: N pictures of shape NxHxWxC rather than one.
    planes: shape had a channel axis.
    color, alpha: number of colour planes (1 or 3) and whether an alpha plane follows them.
    """

    dtype: np.dtype
    batched: bool
    planes: bool
    color: int
    alpha: bool

    def is_bytes(self, channels: int) -> bool:
        """Whether a picture is uint8 without alpha, with as many planes as a network takes."""
        return self.dtype == np.uint8 and not self.alpha and self.color == channels

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """The picture as (N, H, W, C)."""
        image = image if self.batched else image[None]
        return image if self.planes else image[..., None]

    def size(self, image: np.ndarray) -> tuple[int, int, int]:
        """Number of pictures, height, width."""
        height, width = image.shape[1:3] if self.batched else image.shape[:2]
        return image.shape[0] if self.batched else 1, height, width


def to_tensor(image: np.ndarray, channels: int) -> tuple[np.ndarray, Layout]:
    """Convert pictures to a network's input.

    image: HxW (gray), HxWxC or NxHxWxC with C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and
        alpha; uint8, uint16, or float in [0, 1]; float may overshoot by up to 1, as pictures with
        unclipped noise do.
    channels: planes that the network takes, 1 or 3. Gray pictures are repeated for 3.
    Returns (float32, shape (N, channels, H, W); the layout). Raises HyperguideError for other
    shapes and types, empty pictures, NaN, and colour for a gray network.
    """
    layout = layout_of(image)
    if channels == 1 and layout.color == 3:
        raise HyperguideError("This model takes gray pictures: convert the picture to gray first.")
    pictures = layout.pixels(image)
    if layout.dtype.kind == "f":
        check_range(pictures[..., : layout.color])
    planes = split_pixels(pictures)[:, : layout.color]
    tensor = _scaled_planes(planes, 1 / full_scale(layout.dtype))
    if layout.color < channels:
        tensor = np.repeat(tensor, channels, axis=1)
    return tensor, layout


def from_tensor(tensor: np.ndarray, image: np.ndarray, layout: Layout) -> np.ndarray:
    """Convert a network's output to the shape and type of the picture it came from.

    tensor: shape (N, C, H, W) in [0, 1]. Three planes made of a gray picture are averaged.
    image: the input picture; its alpha plane is kept.
    Raises FloatingPointError for NaN and infinity.
    """
    if layout.color < tensor.shape[1]:
        tensor = tensor.mean(1, keepdims=True)
    if layout.dtype == np.uint8:
        pixels = planes_to_pixels(tensor)
    else:
        if not np.isfinite(tensor).all():
            raise FloatingPointError("NaN or infinity")
        pixels = tensor.transpose(0, 2, 3, 1)
        if layout.dtype.kind == "u":
            pixels = np.rint(pixels * np.float32(full_scale(layout.dtype)))
    if not layout.batched:
        pixels = pixels[0]
    if not layout.planes:
        pixels = pixels[..., 0]
    if layout.alpha:
        pixels = np.concatenate([pixels, image[..., layout.color :]], -1)
    return np.ascontiguousarray(pixels, dtype=layout.dtype)


def planes_to_pixels(tensor: np.ndarray) -> np.ndarray:
    """Bytes of shape (N, H, W, C) from float32 of shape (N, C, H, W) in [0, 1].

    Rounds half to even as numpy does, in a tenth of the time. Raises FloatingPointError for NaN and
    infinity.
    """
    count, channels, height, width = tensor.shape
    pixels = np.empty((count, height, width, channels), np.uint8)
    step = max(_BLOCK // (channels * width), 1)
    for picture, into in zip(tensor, pixels, strict=True):
        for first in range(0, height, step):
            _round_rows(picture[:, first : first + step], into[first : first + step])
    return pixels


def _round_rows(planes: np.ndarray, into: np.ndarray) -> None:
    """Write rows of shape (C, H, W) as bytes of shape (H, W, C)."""
    if not all(math.isfinite(cv2.sumElems(plane)[0]) for plane in planes):
        raise FloatingPointError("NaN or infinity")
    if len(planes) == 1:
        cv2.convertScaleAbs(planes[0], into, alpha=255)
    else:
        cv2.merge([cv2.convertScaleAbs(plane, alpha=255) for plane in planes], into)


def pixels_to_planes(pixels: np.ndarray) -> np.ndarray:
    """Float32 of shape (N, C, H, W) in [0, 1] from bytes of shape (N, H, W, C)."""
    return _scaled_planes(split_pixels(pixels), 1 / 255)


def split_pixels(pixels: np.ndarray) -> np.ndarray:
    """Shape (N, C, H, W) from (N, H, W, C), with OpenCV where possible, which is faster."""
    count, height, width, channels = pixels.shape
    if channels == 1 or pixels.dtype.name not in _SPLIT:
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    planes = np.empty((count, channels, height, width), pixels.dtype)
    for picture, into in zip(pixels, planes, strict=True):
        cv2.split(np.ascontiguousarray(picture), list(into))
    return planes


def merge_planes(pictures: Sequence[Sequence[np.ndarray]] | np.ndarray) -> np.ndarray:
    """A copy of shape (N, H, W, C) from planes of shape (N, C, H, W)."""
    merged = [cv2.merge(list(planes)) for planes in pictures]
    joined = merged[0][None] if len(merged) == 1 else np.stack(merged)
    return joined.reshape(*joined.shape[:3], -1)


def _scaled_planes(planes: np.ndarray, factor: float) -> np.ndarray:
    """Convert to float32 and multiply, in blocks that stay in the processor's cache."""
    floats = np.empty(planes.shape, np.float32)
    source, target = planes.reshape(-1), floats.reshape(-1)
    for first in range(0, source.size, _BLOCK):
        out = target[first : first + _BLOCK]
        out[...] = source[first : first + _BLOCK]
        if factor != 1:
            out *= np.float32(factor)
    return floats


def check_range(pictures: np.ndarray) -> None:
    """Raise HyperguideError for float pictures that are not finite, or far from [0, 1]."""
    low, high = float(pictures.min()), float(pictures.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise HyperguideError("The picture contains NaN or infinity: replace those pixels first.")
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        worst = high if high > 1 else low
        raise HyperguideError(
            f"The picture has the value {worst:g}, but float pictures go from 0 to 1: "
            "divide by full scale (255, say) or clip it first."
        )


def layout_of(image: np.ndarray) -> Layout:
    """The layout of a picture. Raises HyperguideError for unsupported shapes and types."""
    if not isinstance(image, np.ndarray):
        raise HyperguideError(
            f"A picture must be a numpy array, not {type(image).__name__}: read the file first."
        )
    if image.dtype.name not in _FULL_SCALE:
        raise HyperguideError(
            f"Pictures of type {image.dtype} are not supported: "
            "convert to uint8, uint16, or float in 0..1."
        )
    if image.ndim not in (2, 3, 4) or (image.ndim > 2 and image.shape[-1] not in (1, 2, 3, 4)):
        raise HyperguideError(
            f"A picture of shape {image.shape} is not supported: "
            "give HxW, HxWxC or NxHxWxC with C from 1 to 4."
        )
    if image.size == 0:
        raise HyperguideError(f"The picture is empty, its shape is {image.shape}.")
    depth = image.shape[-1] if image.ndim > 2 else 1
    return Layout(
        dtype=image.dtype,
        batched=image.ndim == 4,
        planes=image.ndim > 2,
        color=3 if depth >= 3 else 1,
        alpha=depth in (2, 4),
    )
