"""Folders of pairs {y, x} or {y, x, map}: their layouts, and which files belong together."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from hyperguide.errors import HyperguideError
from hyperguide.kernel_files import KERNEL_SUFFIXES
from hyperguide.paths import exists, find_files, is_folder
from hyperguide.pictures import SUFFIXES

from .scenes import MapSource, Scene, list_pictures

Files = Mapping[str, Path]
"""Files by the part of the name that pairs have in common."""


def find_pairs(folder: Path, task: str) -> list[Scene] | None:
    """The pairs of a folder, or None where it is of no layout for pairs. The layouts:

    `input/` and `target/`, names alike but for the suffix, with `guidance/` for pictures of the
        map over the task's range, and `kernel/`, which deblurring needs.
    RESIDE: `hazy/` and `clear/` or `gt/`; hazy `ID_*.png` belongs to `ID.png`; with `depth/` for
        depth pictures `ID.png`.
    Rain100L and RainTrainL: `rain-N.png`, `norain-N.png` and `rainregion-N.png`, side by side or
        in `rainy/`, `norain/` and `rainregion/`.
    Streak layers of Rain100L: `backgrounds.json` names the photo, in the sibling folder
        `bsds500`, for each number of `train/streak-N.png`.

    Where some pairs bring a map, those without have none; where no pair does, maps are derived.
    Raises HyperguideError for pairs that do not match, and for those of another task.
    """
    for belongs_to, find in _LAYOUTS:
        scenes = find(folder)
        if scenes is None:
            continue
        if belongs_to not in ("any", task):
            raise HyperguideError(
                f"The data folder {folder} holds pairs to {belongs_to}, not to {task}: "
                "give another --data."
            )
        without = [s.name for s in scenes if s.kernel is None]
        if task == "deblur" and without:
            raise HyperguideError(
                f"{len(without)} of {len(scenes)} inputs in {folder} have no kernel, the first is "
                f"{without[0]}: add kernels of the inputs' names in {folder / 'kernel'}."
            )
        return scenes
    return None


def _named_pairs(folder: Path) -> list[Scene] | None:
    if not is_folder(folder / "input"):
        return None
    kernels = by_stem(folder / "kernel", KERNEL_SUFFIXES)
    return _match(
        folder,
        by_stem(folder / "input"),
        by_stem(folder / "target"),
        by_stem(folder / "guidance"),
        "picture",
        kernels=kernels,
    )


def _reside(folder: Path) -> list[Scene] | None:
    if not is_folder(folder / "hazy"):
        return None
    targets = by_stem(folder / "clear") or by_stem(folder / "gt")

    def identity(stem: str) -> str:
        return stem if stem in targets else stem.split("_")[0]

    # By photo first: the split relies on the order of the photos.
    hazy = sorted(by_stem(folder / "hazy").items(), key=lambda item: _number(identity(item[0])))
    return _match(folder, dict(hazy), targets, by_stem(folder / "depth"), "depth", partner=identity)


def _number(name: str) -> tuple[int, str]:
    return len(name), name


def _rain(folder: Path) -> list[Scene] | None:
    kinds: dict[str, dict[str, Path]] = {"rain": {}, "norain": {}, "rainregion": {}}
    for place in (folder, folder / "rainy", folder / "norain", folder / "rainregion"):
        for path in list_pictures(place) if is_folder(place) else []:
            name = re.fullmatch(r"(rain|norain|rainregion)-(\d+)", path.stem)
            if name and path.parent == place:
                kinds[name[1]][name[2]] = path
    if not kinds["rain"] or not kinds["norain"]:
        return None
    return _match(folder, kinds["rain"], kinds["norain"], kinds["rainregion"], "region")


def _rain_layers(folder: Path) -> list[Scene] | None:
    listing = folder / "backgrounds.json"
    if not exists(listing) or not is_folder(folder / "train"):
        return None
    photos = folder.resolve().parent / "bsds500"
    try:
        named = json.loads(listing.read_text())["train"]
        backgrounds = {f"streak-{n}": name for n, name in named.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        backgrounds = {}
    layers = by_stem(folder / "train")
    missing = [
        stem for stem in layers if stem not in backgrounds or not exists(photos / backgrounds[stem])
    ]
    if missing:
        raise HyperguideError(
            f"{len(missing)} of {len(layers)} streak layers in {folder} have no photo, the first "
            f"is {missing[0]}: give the photos that {listing.name} names in {photos}."
        )
    return [
        Scene(photos / backgrounds[stem], layer=layer, map_source="layer")
        for stem, layer in layers.items()
    ]


_LAYOUTS: tuple[tuple[str, Callable[[Path], list[Scene] | None]], ...] = (
    ("any", _named_pairs),
    ("dehaze", _reside),
    ("derain", _rain),
    ("derain", _rain_layers),
)


def _match(
    folder: Path,
    inputs: Files,
    targets: Files,
    maps: Files,
    map_source: MapSource,
    partner: Callable[[str], str] = str,
    kernels: Files | None = None,
) -> list[Scene]:
    """Put together what has the same name.

    partner: from an input's name to that of its target and map.
    """
    lonely = [path for name, path in inputs.items() if partner(name) not in targets]
    if lonely:
        raise HyperguideError(
            f"{len(lonely)} of {len(inputs)} inputs in {folder} have no target, the first is "
            f"{lonely[0].name}: add the targets or remove the inputs."
        )
    partners = {partner(name) for name in inputs}
    unknown = [path for name, path in maps.items() if name not in partners]
    if unknown:
        raise HyperguideError(
            f"{len(unknown)} of {len(maps)} guidance pictures in {unknown[0].parent} belong to no "
            f"input, the first is {unknown[0].name}: rename or remove them."
        )

    def source(name: str) -> MapSource:
        if not maps:
            return "pair"
        return map_source if name in maps else "none"

    return [
        Scene(
            photo=targets[partner(name)],
            degraded=path,
            guidance=maps.get(partner(name)),
            kernel=(kernels or {}).get(name),
            map_source=source(partner(name)),
        )
        for name, path in inputs.items()
    ]


def by_stem(folder: Path, suffixes: Collection[str] = SUFFIXES) -> dict[str, Path]:
    """The files of a folder by their path in it without the suffix; none if there is no folder."""
    if not is_folder(folder):
        return {}
    paths = list_pictures(folder) if suffixes is SUFFIXES else find_files(folder, suffixes)
    found: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise HyperguideError(
                f"{found[name].name} and {path.name} in {path.parent} have the same name: "
                "remove one of them."
            )
        found[name] = path
    return found
