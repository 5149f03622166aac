"""Fig. 9: kernels estimated from Levin's captured pictures, and what they restore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import hyperguide
from hyperguide.batch.blind import search_kernel
from hyperguide.kernel_estimation.kernel_shape import likeness
from hyperguide.training.evaluation.catalog import open_suite
from hyperguide.training.evaluation.protocols import PROTOCOLS
from hyperguide.training.evaluation.suites import Options

from .results import Blind

_ENOUGH = (2, 3)  # error ratios that are called a success
_QUICK = 9  # every so many-th picture: each of the four with another kernel
_TILE, _COLUMNS = 84, 8


@dataclass(frozen=True)
class Kernels:
    """The kernel that was measured with the camera, and the one that was estimated."""

    true: np.ndarray
    found: np.ndarray


def measure_blind(data: Path, quick: bool) -> Iterator[tuple[Blind, Kernels]]:
    """Estimate the kernel of each picture, of known size, and restore by `deblur`.

    The error ratio is the squared error of what the estimated kernel restores, divided by that of
    what the measured one restores (Levin et al. 2009).
    """
    suite = open_suite("levin-captured", Options(data=data))
    score = PROTOCOLS[suite.protocol].score
    with hyperguide.load("deblur", threads=1) as enhancer:
        for make in suite.cases[:: _QUICK if quick else 1]:
            case = make()
            true = np.asarray(case.kernel, np.float32)

            picture = case.degraded.astype(np.float32)
            estimate = search_kernel(enhancer, picture, len(true))
            psnrs = [
                score(enhancer(picture, kernel=kernel).image, case.clean, case.border).psnr
                for kernel in (true, estimate.kernel)
            ]
            ratio = 10 ** ((psnrs[0] - psnrs[1]) / 10)
            alike = likeness(estimate.kernel, true)
            kernels = Kernels(true, estimate.kernel)
            yield Blind(case.name, ratio, alike, estimate.verdict), kernels


def shares(members: Sequence[Blind]) -> dict[int, float]:
    """The share of pictures whose error ratio is at most 2, and 3."""
    return {most: float(np.mean([one.ratio <= most for one in members])) for most in _ENOUGH}


def draw_kernels(pairs: Sequence[Kernels]) -> np.ndarray:
    """Each measured kernel, and the estimated one to its right; gray, (H, W), uint8."""
    tiles = [np.hstack([_drawn(pair.true), _drawn(pair.found)]) for pair in pairs]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def _drawn(kernel: np.ndarray) -> np.ndarray:
    side = _TILE - 2
    large = cv2.resize(kernel / kernel.max(), (side, side), interpolation=cv2.INTER_NEAREST)
    return np.pad(np.rint(255 * large).astype(np.uint8), 1, constant_values=96)
