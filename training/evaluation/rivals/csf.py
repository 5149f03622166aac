"""Cascades of shrinkage fields for deblurring, CSF.

U. Schmidt, S. Roth, Shrinkage Fields for Effective Image Restoration, CVPR 2014; weights:
github.com/uschmidt83/shrinkage-fields, models/table3/csf_pw.mat. It must be told the kernel and the
noise level.

A cascade is trained for a single noise level, 0.5 of 255 in the published file; its authors train
one for each level. For other levels the weight of the data is divided here by their ratio. Of its
powers 0, 1, 1.5, 2 and 3, this one served four photos of BSDS500's training set with noise of 1.5,
2.55 and 7.65 of 255 best on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from hyperguide.errors import HyperguideError
from hyperguide.training.deconvolution import crop, pad_for, taper, transfer_function
from hyperguide.training.evaluation.mat_file import read_mat

from .planes import to_kernel, to_picture, to_planes

_MOST_STAGES = 100
_MOST_SIDE = 31  # of a filter

# Range and step of the table of a shrinkage function, in gray levels beyond its outer means; from
# the authors' rbfmix.m. Filtered pictures stay within it.
_TABLE_MARGIN = 500
_TABLE_STEP = 0.25
# Bounds of the tables.
_MOST_MEANS, _LARGEST_MEAN = 1000, 2000.0

# Without noise the data must not count infinitely more than the prior.
_LEAST_NOISE = 0.1


@dataclass(frozen=True)
class Shrinkage:
    """A sum of Gaussians, sum_j weights_j exp(-precision / 2 (v - means_j)^2), Eq. 9."""

    precision: float
    means: np.ndarray
    weights: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Read from a table with linear interpolation, as the authors' program does."""
        return np.interp(values, *self._table)

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Places, and the function there."""
        first, last = self.means.min() - _TABLE_MARGIN, self.means.max() + _TABLE_MARGIN
        at = np.arange(first, last + _TABLE_STEP, _TABLE_STEP)
        distance = at[:, None] - self.means
        return at, np.exp(-self.precision / 2 * distance**2) @ self.weights


@dataclass(frozen=True)
class Stage:
    """One stage: weight of the data, and filters of odd sides, each with its function."""

    data_weight: float
    filters: tuple[np.ndarray, ...]
    shrinkages: tuple[Shrinkage, ...]


@dataclass(frozen=True)
class CSF:
    """A cascade.

    noise_level: the standard deviation that it was trained for, in levels of 8 bits.
    """

    noise_level: float
    stages: tuple[Stage, ...]


def restore(
    cascade: CSF, observed: np.ndarray, kernel: np.ndarray | None, noise_level: float
) -> np.ndarray:
    """Restore a picture, each plane by itself, in float64.

    Each stage computes Eq. 10,

        x' = F^-1((lambda conj(K) F(y) + sum_i conj(F_i) F(shrink_i(f_i * x)))
                  / (lambda |K|^2 + sum_i |F_i|^2)).

    The picture is padded by half a kernel and edgetapered three times before each stage, and cut
    after it.

    observed: shape (H, W) or (H, W, C), full scale = 1.
    kernel: shape (kh, kw), odd sides, sum 1; None for no blur.
    noise_level: standard deviation, full scale = 1.
    """
    blur = to_kernel(kernel)
    margins = pad_for(blur, *observed.shape[:2])
    scale = cascade.noise_level / max(255 * noise_level, _LEAST_NOISE)
    estimate = 255 * to_planes(observed)
    padded = taper(estimate, blur)
    size = padded.shape[2:]
    transfer = transfer_function(blur, *size)
    data = transfer.conj() * torch.fft.rfft2(padded)
    for stage in cascade.stages:
        weight = scale * stage.data_weight
        above, below = weight * data, weight * transfer.abs().square()
        spectrum = torch.fft.rfft2(taper(estimate, blur))
        for taps, shrink in zip(stage.filters, stage.shrinkages, strict=True):
            filtering = transfer_function(to_kernel(taps), *size)
            response = torch.fft.irfft2(filtering * spectrum, s=size)
            shrunk = torch.from_numpy(shrink(response.numpy()))
            above = above + filtering.conj() * torch.fft.rfft2(shrunk)
            below = below + filtering.abs().square()
        estimate = crop(torch.fft.irfft2(above / below, s=size), margins)
    return to_picture(estimate / 255, observed.shape)


def load_csf(path: Path) -> CSF:
    """Load a .mat file with the structure `model` of a deblurring cascade.

    Raises HyperguideError if the file is missing, damaged, or holds anything else.
    """
    arrays = {name: values.astype(np.float64) for name, values in read_mat(path, True).items()}
    try:
        cascade = _cascade(arrays)
    except (KeyError, ValueError, TypeError):
        raise HyperguideError(
            f"{path} does not hold a cascade of shrinkage fields for deblurring: give the authors' "
            "models/table3/csf_pw.mat or another one of that kind."
        ) from None
    return cascade


def _cascade(arrays: dict[str, np.ndarray]) -> CSF:
    """Raises KeyError for missing and ValueError for unfit arrays."""
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise ValueError("NaN or infinity")
    weights = arrays["model.lambda"].ravel()
    filters, noise_level = (int(arrays["model.nfilters"].item()), arrays["model.sigma"].item())
    if not arrays["model.is_deblurring"].item() or not 0 < len(weights) <= _MOST_STAGES:
        raise ValueError("for denoising, or no stages")
    if not (filters > 0 and noise_level > 0 and (weights > 0).all()):
        raise ValueError("a number that must be positive")
    return CSF(
        noise_level,
        tuple(
            Stage(
                float(weight),
                tuple(_taps(arrays[f"model.f[{i}]"]) for i in members),
                tuple(_shrinkage(arrays, f"model.shrink[{i}]") for i in members),
            )
            for weight, members in zip(weights, _in_turn(filters, len(weights)), strict=True)
        ),
    )


def _in_turn(filters: int, stages: int) -> list[range]:
    """The indices of each stage's filters; MATLAB counts along the columns, the stages."""
    return [range(stage * filters, (stage + 1) * filters) for stage in range(stages)]


def _taps(taps: np.ndarray) -> np.ndarray:
    """A filter, checked."""
    if taps.ndim != 2 or not all(side % 2 and side <= _MOST_SIDE for side in taps.shape):
        raise ValueError("a filter with even or large sides")
    return taps


def _shrinkage(arrays: dict[str, np.ndarray], name: str) -> Shrinkage:
    means, weights = arrays[f"{name}.means"].ravel(), arrays[f"{name}.weights"].ravel()
    precision = arrays[f"{name}.precision"].item()
    fits = 0 < means.size <= _MOST_MEANS and means.shape == weights.shape and precision > 0
    if not fits or np.abs(means).max() > _LARGEST_MEAN:
        raise ValueError("functions of another kind")
    return Shrinkage(precision, means, weights)
