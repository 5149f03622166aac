"""The deblurring benchmark of Levin et al. 2009: 4 pictures of 255x255, 8 captured kernels.

A. Levin et al., Understanding and evaluating blind deconvolution algorithms, CVPR 2009. The
observation is synthetic, as in the paper's code: convolve(x, f, 'same') + sigma N(0, 1), not
clipped. The suite `levin-captured` takes the captured blurs `y` of the files instead.

A 'same' convolution sees zeros outside the picture, and its result extends half a kernel beyond the
scored pixels. Both make the problem easier than a real photo: with the boundary `valid`, which
blurs from the real surroundings and returns only the inner pixels, the same pixels score 0.8 dB
less at 1 % noise and 0.2 dB less at 7 % (Wiener filter).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from hyperguide.errors import HyperguideError

from .mat_file import read_mat
from .noise import GUIDANCE, NoiseLevel, add_noise, noise_levels
from .suites import Boundary, Case, Options, Suite, data_folder

_PICTURES = (5, 6, 7, 8)
_KERNELS = range(1, 9)
_CAPTURED_NOISE = 1.5 / 255


def levin(options: Options) -> Suite:
    """The 32 files DATA/levin09/imNN_flitMM.mat with `x` sharp and `f` kernel.

    Denoisers get no blur and only the four pictures of the first kernel: the others are shifted
    copies. The seed of a picture's noise is its position among the 32 files.
    """
    folder = data_folder(options, "levin09")
    names = [f"im{i:02d}_flit{k:02d}" for i in _PICTURES for k in _KERNELS]
    seeds = range(len(names)) if options.blur else range(0, len(names), len(_KERNELS))
    if options.boundary and not options.blur:
        raise HyperguideError("--boundary is about blur, but this target gets none: leave it out.")
    boundary = options.boundary or "same"
    levels = noise_levels(options, (1, 2, 3, 5, 7), 100)
    cases = [
        partial(_case, folder / f"{names[seed]}.mat", level, seed, options.blur, boundary)
        for level in levels
        for seed in list(seeds)[: options.limit]
    ]
    blur = f"'{boundary}' convolution" if options.blur else "no blur"
    return Suite(
        about=f"Levin 2009, gray, {blur}, unclipped white Gaussian noise",
        protocol="levin",
        guidance=GUIDANCE,
        cases=tuple(cases),
        unit=1 / 100,
        in_quadrants=options.quadrants is not None,
        settings={
            "noise": [level.sigmas for level in levels],
            "boundary": boundary if options.blur else None,
        },
    )


def levin_captured(options: Options) -> Suite:
    """The captured blurs `y` of the 32 files, with the captured kernels, which are turned there.

    Their noise is not known exactly. It is taken to be 1.5 of 255, which Kruse et al. 2017 (FDN)
    measured; others say 1 % of full scale, which is more, or take 0.5 of 255.
    """
    if not options.blur:
        raise HyperguideError("The suite levin-captured is about blur: give a target that deblurs.")
    folder = data_folder(options, "levin09")
    names = [f"im{i:02d}_flit{k:02d}" for i in _PICTURES for k in _KERNELS]
    return Suite(
        about="Levin 2009, captured blurs, gray, noise of about 1.5/255",
        protocol="levin-aligned",
        guidance=GUIDANCE,
        cases=tuple(partial(_captured, folder / f"{name}.mat") for name in names[: options.limit]),
        unit=1 / 100,
        settings={"noise": _CAPTURED_NOISE},
    )


def _captured(path: Path) -> Case:
    sharp, kernel = read_pair(path)
    blurred = read_mat(path).get("y")
    if blurred is None or blurred.shape != sharp.shape or not np.isfinite(blurred).all():
        raise HyperguideError(f"{path} lacks a captured blur y of its size: download it again.")
    turned = np.ascontiguousarray(kernel[::-1, ::-1])
    level = np.full(sharp.shape, _CAPTURED_NOISE)
    return Case(path.stem, blurred.astype(np.float32), sharp, level, kernel=turned)


def _case(path: Path, level: NoiseLevel, seed: int, blur: bool, boundary: Boundary) -> Case:
    sharp, kernel = read_pair(path)
    if blur:
        return blurred_case(path.stem, sharp, kernel, level, seed, boundary)
    true = level.map_of(*sharp.shape)
    noisy = add_noise(sharp, true, seed)
    return Case(path.stem, noisy, sharp, true, level=level.label, seed=seed)


def kernel_files(folder: Path) -> list[Path]:
    """The files of the benchmark's folder that hold the eight kernels, in order."""
    return [folder / f"im{_PICTURES[0]:02d}_flit{k:02d}.mat" for k in _KERNELS]


def read_pair(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The sharp picture, shape (H, W), and the kernel, shape (kh, kw), of a file; float64.

    Raises HyperguideError if the file is missing, damaged, or lacks one of them.
    """
    arrays = read_mat(path)
    if not {"x", "f"} <= arrays.keys() or any(arrays[name].ndim != 2 for name in "xf"):
        raise HyperguideError(f"{path} lacks the picture x or the kernel f: download it again.")
    sharp, kernel = arrays["x"].astype(np.float64), arrays["f"].astype(np.float64)
    if not (sharp.size and kernel.size and np.isfinite(sharp).all() and np.isfinite(kernel).all()):
        raise HyperguideError(f"{path} holds NaN, infinity or nothing: download it again.")
    return sharp, kernel


def blurred_case(
    name: str,
    sharp: np.ndarray,
    kernel: np.ndarray,
    level: NoiseLevel,
    seed: int,
    boundary: Boundary,
) -> Case:
    """Blur a gray picture and add noise.

    sharp: shape (H, W); kernel: shape (kh, kw); both float64.
    Raises HyperguideError if the kernel has an even side or exceeds the picture.
    """
    rows, columns = (side // 2 for side in kernel.shape)
    if not (kernel.shape[0] % 2 and kernel.shape[1] % 2) or min(sharp.shape) <= 2 * max(
        rows, columns
    ):
        raise HyperguideError(f"The kernel of {name} has an even side or exceeds the picture.")
    blurred = convolve_same(sharp, kernel)
    case = Case(name, blurred, sharp, kernel=kernel, level=level.label, seed=seed)
    if boundary == "same":
        case = replace(case, border=max(rows, columns))
    else:
        inside = slice(rows, -rows or None), slice(columns, -columns or None)
        case = replace(case, degraded=blurred[inside], clean=sharp[inside])
    true = level.map_of(*case.clean.shape)
    return replace(case, degraded=add_noise(case.degraded, true, seed), true_map=true)


def convolve_same(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve with zeros outside the picture; returns the picture's size, float64.

    kernel: odd sides.
    """
    flipped = np.ascontiguousarray(kernel[::-1, ::-1])
    return cv2.filter2D(picture, cv2.CV_64F, flipped, borderType=cv2.BORDER_CONSTANT)
