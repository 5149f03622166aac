"""Checks the dials of a call, brings them to a model's shapes, and does their arithmetic."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from hyperguide.arrays import plain
from hyperguide.blur_kernel import check_kernel
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import DIALS, KERNEL
from hyperguide.padding import SizeRequirements
from hyperguide.tasks import Guidance

Dial = float | np.ndarray

# Indices of pixels along an axis.
Places = slice | np.ndarray

# Number of pictures, height, width.
BatchSize = tuple[int, int, int]

# Maps come from float arithmetic and from files, and may exceed the range by a rounding error.
_ROUNDING = 1e-5

# Kinds of numpy types that are numbers or may convert to numbers.
_NUMERIC = "biufOSU"


@dataclass(frozen=True)
class Dials:
    """Dials of a picture or a batch.

    values: those that differ from their defaults, float32 of rank 4: one value, or (1 or N, 1, H,
        W); `kernel` is (1, 1, kh, kw).
    """

    values: Mapping[str, np.ndarray]

    @property
    def off(self) -> bool:
        """Whether the strength is 0 everywhere."""
        strength = self.values.get("strength")
        return strength is not None and not strength.any()

    @property
    def maps_are_even(self) -> bool:
        """Whether the map that the reconstruction sees is given and constant."""
        given, mix = self.values.get("guidance_in"), self.values.get("guidance_mix")
        scale = self.values.get("guidance_scale")
        even = given is not None and given.size == 1 and (scale is None or scale.size == 1)
        return even and mix is not None and mix.min() == 1

    def with_maps(self, maps: np.ndarray) -> Dials:
        """These dials with `maps`, scaled, in place of the predicted and given ones.

        maps: shape (N, 1, H, W), before the scale.
        """
        values = dict(self.values)
        scaled = maps * values.pop("guidance_scale", np.float32(DIALS["guidance_scale"]))
        return Dials(values | only_map(scaled))

    def pictures(self, first: int, end: int) -> Dials:
        """The dials of pictures `first` to `end` of the batch."""
        return Dials({name: v[first:end] if len(v) > 1 else v for name, v in self.values.items()})

    def feeds(
        self, rows: Places, columns: Places, sizes: SizeRequirements
    ) -> dict[str, np.ndarray]:
        """The dials of a part of the picture, padded like the part."""
        return {
            name: value
            if value.size == 1 or name == KERNEL
            else sizes.pad(value[:, :, rows][:, :, :, columns])
            for name, value in self.values.items()
        }

    def shrunk(self, rows: int, columns: int) -> Dials:
        """The dials for a small copy of the picture."""
        return Dials(
            {
                name: value
                if value.size == 1 or name == KERNEL
                else _resize(value, (rows, columns), cv2.INTER_AREA)
                for name, value in self.values.items()
            }
        )


def mixed(predicted: np.ndarray, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
    """The map before the scale, as the model file's graph mixes it; shapes (N, 1, H, W)."""
    mix = feeds.get("guidance_mix", np.float32(DIALS["guidance_mix"]))
    given = feeds.get("guidance_in", np.float32(DIALS["guidance_in"]))
    return np.asarray(mix * given + (1 - mix) * predicted, np.float32)


def blended(image: np.ndarray, enhanced: np.ndarray, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
    """The result at the strength asked for, as the graph blends it; shapes (N, C, H, W)."""
    if "strength" not in feeds:
        return enhanced
    return np.asarray((image + feeds["strength"] * (enhanced - image)).clip(0, 1), np.float32)


def only_map(guidance: np.ndarray) -> dict[str, np.ndarray]:
    """The dials that replace the predicted map by another one, shape (N, 1, H, W)."""
    mix = np.ones((1, 1, 1, 1), np.float32)
    return {"guidance_in": np.ascontiguousarray(guidance, np.float32), "guidance_mix": mix}


def check_dials(
    size: BatchSize,
    meaning: Guidance,
    *,
    strength: Dial = 1.0,
    guidance: Dial | None = None,
    guidance_mix: Dial = 1.0,
    guidance_scale: Dial = 1.0,
    kernel: np.ndarray | None = None,
) -> Dials:
    """Check the dials of a picture; see `Enhancer.__call__` for their meaning.

    meaning: of the guidance map. Raises HyperguideError for values and shapes that do not fit.
    """
    numbers = {"strength": strength, "guidance_scale": guidance_scale}
    values = {
        name: _dial(value, name, size)
        for name, value in numbers.items()
        if not (isinstance(value, float) and value == DIALS[name])  # most calls keep the defaults
    }
    if guidance is not None:
        values["guidance_in"] = _guidance(guidance, meaning, size)
        values["guidance_mix"] = _dial(guidance_mix, "guidance_mix", size, maximum=1.0)
    turned = {
        name: value
        for name, value in values.items()
        if not (value.size == 1 and value.item() == DIALS[name])
    }
    if kernel is not None:
        turned[KERNEL] = _kernel(kernel, size)
    return Dials(turned)


def _kernel(kernel: np.ndarray, size: BatchSize) -> np.ndarray:
    checked = check_kernel(_numbers(kernel, "kernel")[0], "kernel")
    rows, columns = checked.shape
    _, height, width = size
    if rows > height or columns > width:
        raise HyperguideError(
            f"The kernel of {columns}x{rows} is larger than the picture of {width}x{height}: "
            "give a larger picture."
        )
    return checked[None, None]


def _guidance(guidance: Dial, meaning: Guidance, size: BatchSize) -> np.ndarray:
    values, least, most = _numbers(guidance, "guidance map")
    low, high = meaning.minimum, meaning.maximum
    worst = most if most > high else least
    if not low - _ROUNDING <= worst <= high + _ROUNDING:
        raise HyperguideError(
            f"The guidance value {worst:g} is outside {low:g}..{high:.3g} "
            f"({meaning.name}, {meaning.unit}): give values in that range."
        )
    if least < low or most > high:
        values = np.asarray(values.clip(low, high), np.float32)  # numpy 1 makes float64 of a number
    if values.ndim == 3 and values.shape[-1] == 1 and values.shape[1:] != size[1:]:
        values = values[..., 0]  # of a picture with one plane
    fits = values.ndim == 2 or (values.ndim == 3 and len(values) in (1, size[0]))
    if fits and values.shape[-2:] != size[1:]:
        values, note = resized("guidance map", values, size[1:])
        warnings.warn(note, stacklevel=5)  # the caller of the enhancer
    return _fit(values, "guidance", size)


def _numbers(value: Dial, what: str) -> tuple[np.ndarray, float, float]:
    """The value as float32, its minimum and maximum.

    Raises HyperguideError unless it is one or more finite numbers.
    """
    try:
        with np.errstate(over="ignore"):  # reported below
            given = plain(what, value) if isinstance(value, np.ndarray) else np.asarray(value)
            if given.dtype.kind not in _NUMERIC:
                raise TypeError(given.dtype)
            values = np.asarray(given, np.float32)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: tensors with a gradient
        raise HyperguideError(f"The {what} must be a number or an array of numbers.") from None
    if values.size == 0:
        raise HyperguideError(f"The {what} is empty, its shape is {values.shape}.")
    least, most = float(values.min()), float(values.max())  # NaN if there is any
    if not (math.isfinite(least) and math.isfinite(most)):
        raise HyperguideError(f"The {what} contains NaN or infinity: replace those values.")
    return values, least, most


def _dial(value: Dial, name: str, size: BatchSize, maximum: float = math.inf) -> np.ndarray:
    """Check a dial and reshape it to rank 4: (1, 1, 1, 1), or (1 or N, 1, H, W)."""
    values, least, most = _numbers(value, name)
    if least < 0 or most > maximum:
        worst = least if least < 0 else most
        upper = "" if math.isinf(maximum) else f" and at most {maximum:g}"
        raise HyperguideError(f"The {name} must be at least 0{upper}, not {worst:g}.")
    return _fit(values, name, size)


def _fit(values: np.ndarray, name: str, size: BatchSize) -> np.ndarray:
    """Reshape checked values to rank 4. Raises HyperguideError for a shape that does not fit."""
    if values.ndim == 0:
        return values.reshape(1, 1, 1, 1)
    count, height, width = size
    if values.shape == (height, width) or values.shape in ((1, height, width), size):
        return values.reshape(-1, 1, height, width)
    raise HyperguideError(
        f"The {name} of shape {values.shape} does not fit {count} picture(s) of {width}x{height}: "
        f"give a number or an array of shape ({height}, {width})."
    )


def resized(what: str, values: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, str]:
    """Resize a map (H, W) or maps (N, H, W) linearly to (height, width).

    Returns the result and a message for the user.
    """
    rows, columns = values.shape[-2:]
    note = (
        f"The {what} of {columns}x{rows} pixels was resized to the picture's {size[1]}x{size[0]}."
    )
    return _resize(values, size, cv2.INTER_LINEAR), note


def _resize(values: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    """Resize each map of shape (..., H, W)."""
    maps = values.reshape(-1, *values.shape[-2:])
    fitted = [cv2.resize(m, size[::-1], interpolation=interpolation) for m in maps]
    return np.stack(fitted).reshape(*values.shape[:-2], *size)
