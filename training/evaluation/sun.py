"""The deblurring benchmark of Sun et al. 2013: 80 photos of about 1024x768, Levin's 8 kernels.

L. Sun et al., Edge-based Blur Kernel Estimation Using Patch Priors, ICCP 2013. Blur and noise are
made as in the suite `levin`, not clipped and not rounded.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from hyperguide.errors import HyperguideError

from .levin import blurred_case, kernel_files, read_pair
from .noise import GUIDANCE, NoiseLevel, noise_levels
from .suites import Boundary, Case, Options, Suite, data_folder, list_pictures, read_float


def sun80(options: Options) -> Suite:
    """The photos DATA/sun80/*.jpg in gray, and the kernels in DATA/levin09/im05_flitMM.mat.

    All photos come with one kernel each before any comes again with the next one, so that the first
    80 of the 640 cases hold every photo and every kernel. A case's position is its seed.
    """
    if not options.blur:
        raise HyperguideError("The suite sun80 is about blur, which this target does not remove.")
    photos = list_pictures(data_folder(options, "sun80"))
    kernels = kernel_files(data_folder(options, "levin09"))
    pairs = [
        (photo, kernels[(number + turn) % len(kernels)])
        for turn in range(len(kernels))
        for number, photo in enumerate(photos)
    ]
    boundary = options.boundary or "same"
    levels = noise_levels(options, (1, 2, 3, 5, 7), 100)
    cases = [
        partial(_case, photo, kernel, level, seed, boundary)
        for level in levels
        for seed, (photo, kernel) in enumerate(pairs[: options.limit])
    ]
    return Suite(
        about=f"Sun et al. 2013, gray, '{boundary}' convolution, unclipped white Gaussian noise",
        protocol="levin",
        guidance=GUIDANCE,
        cases=tuple(cases),
        unit=1 / 100,
        in_quadrants=options.quadrants is not None,
        settings={"noise": [level.sigmas for level in levels], "boundary": boundary},
    )


def _case(photo: Path, kernel: Path, level: NoiseLevel, seed: int, boundary: Boundary) -> Case:
    _, blur = read_pair(kernel)
    name = f"{photo.stem} {kernel.stem.rpartition('_')[2]}"
    return blurred_case(name, _gray(read_float(photo)), blur, level, seed, boundary)


def _gray(picture: np.ndarray) -> np.ndarray:
    """The luminance that MATLAB's rgb2gray computes, but not rounded; float64, shape (H, W)."""
    if picture.ndim == 2:
        return picture
    return cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2GRAY).astype(np.float64)
