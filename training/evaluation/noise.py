"""White Gaussian noise: the suites BSD68 and Set12, and the noise that other suites add.

The noise is not clipped. It comes from `numpy.random.RandomState(seed)`, seed 0 for each picture,
as in the public test code of FFDNet and DRUNet (cszn/KAIR), so that scores are comparable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import gray_plane, read_picture
from hyperguide.pixels import full_scale
from hyperguide.storage.file_content import read_text
from hyperguide.tasks import TASKS

from .suites import Case, Options, Suite, data_folder, list_pictures, read_float

GUIDANCE = TASKS["denoise"].guidance

_MOST_BYTES = 1 << 20  # of the list file

QUADRANTS = ("upper left", "upper right", "lower left", "lower right")


@dataclass(frozen=True)
class NoiseLevel:
    """One level for the whole picture, or one for each quadrant; full scale = 1."""

    label: str
    sigmas: tuple[float, ...]

    def map_of(self, height: int, width: int) -> np.ndarray:
        """The true noise level map, float64, shape (height, width)."""
        level = np.empty((height, width))
        level[:] = self.sigmas[0]
        if len(self.sigmas) > 1:
            for sigma, quadrant in zip(self.sigmas, quadrants(height, width), strict=True):
                level[quadrant] = sigma
        return level


def quadrants(height: int, width: int, margin: int = 0) -> Iterator[tuple[slice, slice]]:
    """The four quadrants in the order of QUADRANTS, `margin` pixels away from their borders."""
    middle, centre = height // 2, width // 2
    for rows in (slice(0, middle - margin), slice(middle + margin, height)):
        for columns in (slice(0, centre - margin), slice(centre + margin, width)):
            yield rows, columns


def noise_levels(options: Options, default: tuple[float, ...], parts: int) -> list[NoiseLevel]:
    """The levels the user chose, or `default`; `parts` is the units in full scale, 255 or 100."""
    if options.quadrants is not None:
        percent = " ".join(f"{value:g}" for value in options.quadrants)
        return [NoiseLevel(f"{percent} %", tuple(value / 100 for value in options.quadrants))]
    unit = " %" if parts == 100 else f"/{parts}"
    return [NoiseLevel(f"{n:g}{unit}", (n / parts,)) for n in options.noise or default]


def add_noise(clean: np.ndarray, level: np.ndarray, seed: int) -> np.ndarray:
    """Add noise of the map's level to a picture (H, W) or (H, W, 3); float32, not clipped."""
    white = np.random.RandomState(seed).normal(size=clean.shape)
    return (clean + white * (level if clean.ndim == 2 else level[..., None])).astype(np.float32)


def bsd68(options: Options) -> Suite:
    """BSD68: 68 gray photos of BSDS500's `val`, DATA/denoise_test/bsd68/*.png.

    In colour (CBSD68), the originals DATA/bsds500/val/NAME.jpg, with the names listed in
    DATA/denoise_test/cbsd68.txt.
    """
    if not options.color:
        return _denoising("BSD68", options, list_pictures(_folder(options, "bsd68")))
    listed = data_folder(options, "denoise_test") / "cbsd68.txt"
    originals = data_folder(options, "bsds500", "val")
    names = read_text(listed, "list", _MOST_BYTES).split()
    strange = [name for name in names if Path(name).name != name or "\0" in name]
    if strange or not names:
        raise HyperguideError(
            f"{listed} is no list of names of pictures in {originals}: copy or download it again."
        )
    return _denoising("CBSD68", options, [originals / f"{name}.jpg" for name in names])


def set12(options: Options) -> Suite:
    """Set12: twelve well-known gray pictures, DATA/denoise_test/set12/*.png."""
    return _denoising("Set12", options, list_pictures(_folder(options, "set12")))


def _folder(options: Options, name: str) -> Path:
    return data_folder(options, "denoise_test", name)


def _denoising(title: str, options: Options, paths: list[Path]) -> Suite:
    levels = noise_levels(options, (15, 25, 50), 255)
    cases = [
        partial(_noisy, path, level, options.color)
        for level in levels
        for path in paths[: options.limit]
    ]
    kind = "colour" if options.color else "gray"
    return Suite(
        about=f"{title}, {kind}, unclipped white Gaussian noise, seed 0 for each picture",
        protocol="rgb",
        guidance=GUIDANCE,
        cases=tuple(cases),
        unit=1 / 255,
        in_quadrants=options.quadrants is not None,
        settings={"noise": [level.sigmas for level in levels]},
    )


def _noisy(path: Path, level: NoiseLevel, color: bool) -> Case:
    if color:
        clean = read_float(path)
    else:
        gray = gray_plane(read_picture(path), f"The test picture {path}")
        clean = gray / full_scale(gray.dtype)
    true = level.map_of(*clean.shape[:2])
    noisy = add_noise(clean, true, seed=0)
    return Case(path.stem, noisy, clean, true, level=level.label, seed=0)
