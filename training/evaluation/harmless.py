"""Do no harm: pictures with nothing to remove, which should come back as they are."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.paths import is_folder

from .suites import Case, Options, Suite, list_pictures, read_float


def clean(folder: Path, options: Options) -> Suite:
    """Pictures that are degraded by nothing: the score is how little a target changes them.

    Raises HyperguideError if the folder is missing or holds no pictures.
    """
    if not is_folder(folder):
        raise HyperguideError(f"The folder {folder} of clean pictures does not exist.")
    paths = list_pictures(folder)[: options.limit]
    return Suite(
        about=f"clean pictures of {folder}",
        protocol="rgb",
        guidance=None,
        # What removes blur is told that there is none.
        cases=tuple(partial(_picture, path, options.blur) for path in paths),
    )


def _picture(path: Path, blur: bool) -> Case:
    picture = read_float(path).astype(np.float32)
    kernel = np.ones((1, 1)) if blur else None
    return Case(path.stem, picture, picture.astype(np.float64), kernel=kernel)
