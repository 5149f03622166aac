"""Do no harm: a suite of clean pictures, which should come back unchanged."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.storage.paths import is_folder

from .suites import Case, Options, Suite, list_pictures, read_float


def harmless(where: Path, options: Options) -> Suite:
    """Clean pictures, undegraded: the score is how little a target changes them.

    where: a folder, or a file pattern such as `polyu/*_mean.JPG`.
    Raises HyperguideError if the folder is missing or holds no matching pictures.
    """
    folder, pattern = (where, None) if is_folder(where) else (where.parent, where.name)
    if pattern is not None and not (any(sign in pattern for sign in "*?[") and is_folder(folder)):
        raise HyperguideError(f"The folder {where} of clean pictures does not exist.")
    paths = [
        path
        for path in list_pictures(folder)
        if pattern is None or (path.parent == folder and fnmatchcase(path.name, pattern))
    ]
    if not paths:
        raise HyperguideError(f"No picture in {folder} is called {pattern}: give another pattern.")
    paths = paths[: options.limit]
    return Suite(
        about=f"clean pictures of {where}",
        protocol="rgb",
        guidance=None,
        # Targets that remove blur get the unit impulse as kernel.
        cases=tuple(partial(_picture, path, options.blur) for path in paths),
    )


def _picture(path: Path, blur: bool) -> Case:
    picture = read_float(path).astype(np.float32)
    kernel = np.ones((1, 1)) if blur else None
    return Case(path.stem, picture, picture.astype(np.float64), kernel=kernel)
