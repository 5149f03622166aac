"""The kernel that blurred a picture, and whether it was one kernel at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hyperguide.arrays import as_numpy, in_native_order
from hyperguide.errors import HyperguideError
from hyperguide.pixels import full_scale, layout_of

from .coarse_to_fine import Restore, coarse_to_fine, polished
from .kernel_shape import likeness, padded, reach, spread
from .noise import noise_level
from .sharpness import is_explained
from .windows import best_windows

Verdict = Literal["blurred", "sharp", "uneven"]

_SMALLEST, _USUAL, _LARGEST = 3, 35, 101
_SMALLEST_WINDOW = 320
_WINDOWS = 3
_ROOM = 2  # around the part of a kernel that is not zero
# Kernels of windows of photos that one kernel blurred are alike by 0.8 to 0.95, those of photos
# that were turned by 0.3 to 0.7.
_ALIKE = 0.75
_SHARP = 0.9  # pixels of standard deviation
_LITTLE_NOISE = 0.004  # full scale = 1


@dataclass(frozen=True)
class KernelEstimate:
    """A blur kernel, and what it is worth.

    kernel: shape (k, k), k odd, float32, not negative, sum 1, centred.
    verdict: `blurred`: one kernel explains the picture. `sharp`: the kernel is narrower than a
        pixel, or leaves as many edges as there are. `uneven`: parts of the picture need different
        kernels, so that none would restore it.
    agreement: how alike the kernels of parts of the picture are, in [0, 1]; None for pictures of
        one part.
    """

    kernel: np.ndarray
    verdict: Verdict
    agreement: float | None


def estimate_kernel(
    image: np.ndarray, size: int | None = None, restore: Restore | None = None
) -> KernelEstimate:
    """Estimate the kernel that blurred a picture, from coarse to fine.

    Kernel and sharp picture are found in turns, the latter with few edges (see `latent_image`), in
    up to three windows with the most edges. Pixels near full scale count nothing.

    image: HxW or HxWxC, as `Enhancer` takes them.
    size: odd number of rows and columns of the kernel; None to find it out.
    restore: restores windows of pictures with little noise, which makes the kernel more exact.

    Raises HyperguideError for pictures and sizes that cannot be used.
    """
    picture = _gray(image)
    shortest = min(picture.shape)
    largest = _odd(min(_LARGEST, shortest // 3))
    if largest < _SMALLEST:
        raise HyperguideError(
            f"The picture is {picture.shape[1]}x{picture.shape[0]}, too small to estimate a "
            "kernel: give one of at least 9 pixels."
        )
    if size is not None and (size % 2 == 0 or not _SMALLEST <= size <= largest):
        raise HyperguideError(
            f"The kernel size {size} cannot be used: give an odd number from {_SMALLEST} to "
            f"{largest}, a third of the picture's shorter side and at most {_LARGEST}."
        )
    side = max(_SMALLEST_WINDOW, 6 * (size or _USUAL))
    windows = [picture[place] for place in best_windows(picture, side, _WINDOWS)]
    if size is None:
        kernels = [_of_any_size(windows[0], largest)]
        kernels += [coarse_to_fine(window, len(kernels[0])) for window in windows[1:]]
    else:
        kernels = [coarse_to_fine(window, size) for window in windows]
    best, agreement = _most_alike(kernels)
    kernel, window = kernels[best], windows[best]
    if restore is not None and noise_level(window) < _LITTLE_NOISE:
        kernel = polished(kernel, window, restore)
    if spread(kernel) < _SHARP or not is_explained(window, kernel):
        return KernelEstimate(kernel, "sharp", agreement)
    is_uneven = agreement is not None and agreement < _ALIKE
    return KernelEstimate(kernel, "uneven" if is_uneven else "blurred", agreement)


def _gray(image: np.ndarray) -> np.ndarray:
    """The mean of the colours, (H, W), float32, full scale = 1."""
    pixels = in_native_order(as_numpy(image))
    layout = layout_of(pixels)
    if pixels.ndim > 3:
        raise HyperguideError("A kernel is estimated from one picture: give one at a time.")
    colors = layout.pixels(pixels)[0, ..., : layout.color]  # without alpha
    gray = colors.mean(axis=2, dtype=np.float32) / np.float32(full_scale(pixels.dtype))
    if not np.isfinite(gray).all():
        raise HyperguideError("The picture contains NaN or infinity: replace those pixels first.")
    return np.clip(gray, 0, 1)


def _odd(number: int) -> int:
    """The largest odd number that is not larger."""
    return number - 1 + number % 2


def _of_any_size(window: np.ndarray, largest: int) -> np.ndarray:
    """The kernel of a window, in a square that it fills."""
    size = min(_USUAL, largest)
    while True:
        kernel = coarse_to_fine(window, size)
        is_cut = reach(kernel) >= size // 2 - 1
        if not is_cut or size >= largest:
            return padded(kernel, min(2 * (reach(kernel) + _ROOM) + 1, size))
        size = min(_odd(size * 3 // 2), largest)


def _most_alike(kernels: list[np.ndarray]) -> tuple[int, float | None]:
    """The place of the kernel that is most like the others, and how much; None for a single one."""
    if len(kernels) == 1:
        return 0, None
    alike = [
        float(np.mean([likeness(one, other) for j, other in enumerate(kernels) if j != i]))
        for i, one in enumerate(kernels)
    ]
    best = int(np.argmax(alike))
    return best, alike[best]
