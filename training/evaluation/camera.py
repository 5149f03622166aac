"""Real camera noise: PolyU, whose truth is the mean of many shots of a static scene."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.training.metrics import root_mean_square_error

from .noise import GUIDANCE
from .pairs import read_pair
from .suites import Case, Options, Suite, data_folder, list_pictures

_NOISY, _MEAN = "_real", "_mean"


def polyu(options: Options) -> Suite:
    """The 100 crops of PolyU (J. Xu et al., arXiv 1804.02603), DATA/polyu/*_real.JPG, *_mean.JPG.

    The true map is unknown; its level is the RMS difference of the two pictures.
    Raises HyperguideError if there are no noisy pictures or a mean picture is missing.
    """
    folder = data_folder(options, "polyu")
    by_stem = {path.stem: path for path in list_pictures(folder)}
    noisy = sorted(stem for stem in by_stem if stem.endswith(_NOISY))
    pairs = []
    for stem in noisy:
        scene = stem.removesuffix(_NOISY)
        mean = by_stem.get(scene + _MEAN)
        if mean is None:
            raise HyperguideError(
                f"{by_stem[stem]} has no mean picture {scene}{_MEAN} beside it: add it."
            )
        pairs.append((scene, by_stem[stem], mean))
    if not pairs:
        raise HyperguideError(f"{folder} holds no pictures *{_NOISY}.JPG: give another --data.")
    return Suite(
        about="PolyU, noise of three makers' cameras, ISO 800 to 12800",
        protocol="rgb",
        guidance=GUIDANCE,
        cases=tuple(partial(_pair, *pair) for pair in pairs[: options.limit]),
    )


def _pair(scene: str, noisy: Path, mean: Path) -> Case:
    degraded, clean = read_pair(noisy, mean)
    level = root_mean_square_error(degraded, clean)
    return Case(scene, degraded.astype(np.float32), clean, true_level=level)
