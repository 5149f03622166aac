"""Rain and haze suites: Rain100L, Rain100H, and RESIDE's SOTS indoor or its recipe on NYU Depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import gray_plane, read_picture
from hyperguide.storage.paths import exists, is_folder
from hyperguide.tasks import TASKS
from hyperguide.training.data.jpeg import through_jpeg
from hyperguide.training.data.rain_layers import LISTING, read_backgrounds

from .noise import add_noise
from .suites import Case, Options, Suite, as_stored, data_folder, list_pictures, read_float

# Streaks darker than this, of 255, are invisible; the map marks 21 % of Rain100L's pixels.
_RAIN_THRESHOLD = 5

_SOTS_PICTURES = 100
_SOTS_LEVELS = 10
# ITS and SOTS mirror NYU's pictures and cut off their white frame.
_NYU_FRAME = slice(10, 470), slice(10, 630)


def rain100l(options: Options) -> Suite:
    """Rain100L (Yang et al. 2017), 100 pictures.

    Read from the authors' folder DATA/rain100l with norain-N.png and rainy/rain-N.png, or composed
    to bit-identical pictures: the streak layers DATA/rain100l/test/streak-N.png on the backgrounds
    DATA/bsds500/PATH that DATA/rain100l/backgrounds.json names.
    """
    about = "Rain100L test, rain region where the streak layer exceeds 5/255"
    return _rain(options, "rain100l", about, _composed)


def rain100h(options: Options) -> Suite:
    """Rain100H (Yang et al. 2017): heavy rain in several directions, all 100 pictures or a part.

    Read from the authors' folder DATA/rain100h with norain-N.png and rainy/rain-N.png, or from
    DATA/rain100h/test/rain-N.png and the photos DATA/bsds500/PATH that
    DATA/rain100h/backgrounds.json names.
    """
    suite = _rain(options, "rain100h", "", _rainy_on_background)
    count = len(suite.cases)
    about = f"Rain100H test, {count} pictures, rain region where streaks exceed 5/255"
    return replace(suite, about=about)


def _rain(
    options: Options,
    name: str,
    about: str,
    on_background: Callable[[Path, Path, dict[str, str]], Case],
) -> Suite:
    """The authors' folder, or pictures of DATA/NAME/test with backgrounds among the photos.

    on_background: makes a case from such a picture, the folder of photos, and the backgrounds.
    """
    folder = data_folder(options, name)
    if is_folder(folder / "rainy"):
        pictures = list_pictures(folder / "rainy")[: options.limit]
        cases = [partial(_rainy, rainy, folder / f"no{rainy.name}") for rainy in pictures]
    else:
        backgrounds = read_backgrounds(folder / LISTING, "test")
        photos = data_folder(options, "bsds500")
        pictures = list_pictures(folder / "test")[: options.limit]
        cases = [partial(on_background, picture, photos, backgrounds) for picture in pictures]
    return Suite(
        about=about,
        protocol="y-matlab",
        guidance=TASKS["derain"].guidance,
        cases=tuple(cases),
        settings={"threshold": _RAIN_THRESHOLD},
    )


def _background(backgrounds: dict[str, str], layer: Path) -> str:
    number = layer.stem.rpartition("-")[2]
    if number not in backgrounds:
        raise HyperguideError(f"backgrounds.json names no background for {layer}: add it.")
    return backgrounds[number]


def _rainy_on_background(rainy: Path, photos: Path, backgrounds: dict[str, str]) -> Case:
    return _rainy(rainy, photos / _background(backgrounds, rainy))


def _rainy(rainy: Path, clean: Path) -> Case:
    degraded, truth = read_picture(rainy), read_picture(clean)
    if degraded.shape != truth.shape:
        raise HyperguideError(f"{rainy} and {clean} differ in size: download them again.")
    # The difference is the layer where at least one channel is not saturated.
    streaks = np.atleast_3d(degraded.astype(int) - truth).max(2)
    return _rain_case(rainy.stem, degraded, truth, streaks)


def _composed(layer: Path, photos: Path, backgrounds: dict[str, str]) -> Case:
    background = photos / _background(backgrounds, layer)
    streaks = gray_plane(read_picture(layer), f"The streak layer {layer}").astype(int)
    truth = read_picture(background)
    if truth.shape != (*streaks.shape, 3):
        raise HyperguideError(
            f"The background {background} is not a colour picture of the size of {layer}: "
            "turn or replace it."
        )
    degraded = np.minimum(truth + streaks[..., None], 255)
    return _rain_case(f"rain-{layer.stem.rpartition('-')[2]}", degraded, truth, streaks)


def _rain_case(name: str, degraded: np.ndarray, clean: np.ndarray, streaks: np.ndarray) -> Case:
    region = (streaks > _RAIN_THRESHOLD).astype(np.float64)
    return Case(name, (degraded / 255).astype(np.float32), clean / 255, region)


def sots(options: Options) -> Suite:
    """SOTS indoor (Li et al., RESIDE, 2019).

    Read from the authors' folders DATA/sots/indoor/hazy (ID_LEVEL.png) and clear or gt (ID.png) if
    they exist. Otherwise the SOTS recipe on the last 100 pictures of NYU Depth, DATA/nyu/rgb and
    depth: mirrored, frame cut off, I = J t + 1 - t, t = exp(-(0.5 + 0.1 level) d / d_max), levels
    1 to 10 in turn, 8 bits. Only the second case has true maps, d / d_max.
    """
    if options.data is not None and is_folder(options.data / "sots" / "indoor"):
        return _published_sots(options)
    photos = list_pictures(data_folder(options, "nyu", "rgb"))[-_SOTS_PICTURES:]
    depths = data_folder(options, "nyu", "depth")
    cases = [
        partial(_hazy, photo, depths / f"{photo.stem}.png", i % _SOTS_LEVELS + 1)
        for i, photo in enumerate(photos[: options.limit])
    ]
    return Suite(
        about=f"SOTS recipe on NYU, its last {len(photos)} pictures",
        protocol="rgb",
        guidance=TASKS["dehaze"].guidance,
        cases=tuple(cases),
        settings={"source": "nyu", "airlight": 1, "beta": "0.5 + 0.1 level, levels 1..10 in turn"},
    )


def sots_disturbed(options: Options) -> Suite:
    """The pictures of `sots`, disturbed as on the way from a camera to a file.

    With noise of 2/255 and 8 bits, as a JPEG file of quality 90, and at half the size, in turn.
    """
    suite = sots(options)
    return replace(
        suite,
        about=f"{suite.about}, disturbed",
        cases=tuple(
            partial(_disturbed, case, label, disturb)
            for label, disturb in _DISTURBANCES.items()
            for case in suite.cases
        ),
        settings=suite.settings | {"disturbed": list(_DISTURBANCES)},
    )


def _disturbed(make: Callable[[], Case], label: str, disturb: Callable[[Case], Case]) -> Case:
    return replace(disturb(make()), level=label)


def _noisy(case: Case) -> Case:
    level = np.full(case.degraded.shape[:2], 2 / 255)
    return replace(case, degraded=as_stored(add_noise(case.degraded, level, 0)), seed=0)


def _as_jpeg(case: Case) -> Case:
    planes = torch.from_numpy(case.degraded).permute(2, 0, 1)
    return replace(case, degraded=through_jpeg(planes, 90).permute(1, 2, 0).numpy())


def _halved(case: Case) -> Case:
    height, width = case.clean.shape[:2]

    def half(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)

    truth = None if case.true_map is None else half(case.true_map)
    return replace(
        case, degraded=as_stored(half(case.degraded)), clean=half(case.clean), true_map=truth
    )


_DISTURBANCES = {"noise 2/255": _noisy, "JPEG 90": _as_jpeg, "half size": _halved}


def _published_sots(options: Options) -> Suite:
    indoor = data_folder(options, "sots", "indoor")
    truth = indoor / "clear" if is_folder(indoor / "clear") else indoor / "gt"
    hazy = list_pictures(data_folder(options, "sots", "indoor", "hazy"))[: options.limit]
    return Suite(
        about="SOTS indoor",
        protocol="rgb",
        guidance=None,
        cases=tuple(partial(_published_hazy, path, truth) for path in hazy),
        settings={"source": "sots"},
    )


def _published_hazy(path: Path, truth: Path) -> Case:
    number = path.stem.partition("_")[0]
    clear = truth / f"{number}.png"
    if not exists(clear):
        raise HyperguideError(f"{path} has no clear picture {clear}: add it.")
    hazy, clean = read_float(path), read_float(clear)
    # The published clear pictures still have the ten-pixel frame.
    if clean.shape[0] == hazy.shape[0] + 20 and clean.shape[1] == hazy.shape[1] + 20:
        clean = clean[10:-10, 10:-10]
    if clean.shape != hazy.shape:
        raise HyperguideError(f"{path} and {clear} differ in size: download them again.")
    return Case(path.stem, hazy.astype(np.float32), clean)


def _hazy(photo: Path, depth_path: Path, level: int) -> Case:
    clean = read_float(photo)
    depth = gray_plane(read_picture(depth_path), f"The depth picture {depth_path}").astype(float)
    if clean.shape != (*depth.shape, 3) or not depth.any():
        raise HyperguideError(
            f"The depth picture {depth_path} is black or not of the size of {photo}: replace it."
        )
    relative = depth / depth.max()
    whole = clean
    clean, relative = clean[:, ::-1][_NYU_FRAME], relative[:, ::-1][_NYU_FRAME]
    transmission = np.exp(-(0.5 + 0.1 * level) * relative)[..., None]
    hazy = clean * transmission + 1 - transmission
    return Case(f"{photo.stem}_{level}", as_stored(hazy), clean, relative, photo=whole)
