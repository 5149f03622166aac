"""Finds the two halves of pairs in a folder: two folders side by side, or files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import KERNEL_SUFFIXES, PICTURE_SUFFIXES
from hyperguide.storage.paths import is_folder

from .partners import Files, by_stem, partners
from .roles import Half, Role, role_of
from .scenes import MapSource, list_pictures

# Folders beside the halves: name -> what its pictures are.
_MAPS: dict[str, MapSource] = {"guidance": "picture", "depth": "depth"}
_HALVES: tuple[Half, Half] = ("degraded", "clean")
_SPLITS = frozenset(["train", "training", "val", "valid", "validation", "test", "testing", "eval"])


@dataclass(frozen=True)
class Halves:
    """The degraded and the clean pictures of one place.

    inputs, targets: files whose names match, see `partners.partners`.
    maps: by source; their names match those of the inputs or the targets.
    kernels: by the inputs' names.
    task: the task that the names indicate; None if it may be any.
    """

    inputs: Files
    targets: Files
    maps: dict[MapSource, Files] = field(default_factory=dict)
    kernels: Files = field(default_factory=dict)
    task: str | None = None


def find_halves(folder: Path, option: str) -> list[Halves]:
    """The halves of pairs in a folder or, if it holds none itself, in its subfolders.

    Raises HyperguideError if names indicate pairs that are incomplete or ambiguous.
    """
    here = _rain100l(folder) or _in_folders(folder) or _in_files(folder)
    if here:
        return here
    inside = [child for child in subfolders(folder) if not child.is_symlink()]
    _refuse_splits(folder, [c for c in inside if c.name.lower() in _SPLITS], option)
    found = {child: find_halves(child, option) for child in inside}
    if any(found.values()):
        _refuse_mixture(folder, found, option)
    return [halves for part in found.values() for halves in part]


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones."""
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and is_folder(p))
    except OSError as error:
        raise HyperguideError(f"Cannot read the folder {folder}: {error.strerror}.") from None


def _refuse_splits(folder: Path, parts: Sequence[Path], option: str) -> None:
    """Refuse a folder that holds both the training pairs and the test pairs of a set."""
    filled = [part for part in parts if any(list_pictures(part))]
    if len(filled) > 1 and any(_promises_pairs(part, option) for part in filled):
        names = " and ".join(part.name for part in filled)
        raise HyperguideError(
            f"{folder} holds pairs in {names}: give one of these folders with {option}."
        )


def _refuse_mixture(folder: Path, found: Mapping[Path, list[Halves]], option: str) -> None:
    """Refuse photos beside folders of pairs: the user must decide how to use them."""
    photos = list(_pictures_in(folder))
    for child, halves in found.items():
        photos += [] if halves else list_pictures(child)
    if photos:
        pairs = next(child for child, halves in found.items() if halves)
        raise HyperguideError(
            f"{folder} holds pairs in {pairs.relative_to(folder)} and {len(photos)} pictures that "
            f"are none, the first is {photos[0].relative_to(folder)}: give the folders of pairs "
            f"and those of photos each with a {option} of its own."
        )


def _promises_pairs(folder: Path, option: str) -> bool:
    try:
        return bool(find_halves(folder, option))
    except HyperguideError:
        return True


def _in_folders(folder: Path) -> list[Halves]:
    """Halves in folders: `input` beside `target`, `0001_NOISY_SRGB` beside `0001_GT_SRGB`."""
    places: dict[tuple[str, ...], dict[Half, list[tuple[Role, Path]]]] = {}
    children = subfolders(folder)
    for child in children:
        role = role_of(child.name, folder=True)
        if role.half is not None and any(list_pictures(child)):
            places.setdefault(role.rest, {}).setdefault(role.half, []).append((role, child))
    found = []
    for halves in places.values():
        if len(halves) == 2:
            (role, degraded), (_, clean) = (_only(half, halves[half]) for half in _HALVES)
            found.append(_of_folders(degraded, clean, children, role.task))
    if not found:
        for halves in places.values():
            for role, child in halves.get("degraded", ()):
                if role.strong:
                    _refuse_lonely(folder, child)
    return found


def _only(half: Half, candidates: list[tuple[Role, Path]]) -> tuple[Role, Path]:
    """The one folder of a half; unambiguous names take precedence over ambiguous ones."""
    strong = [candidate for candidate in candidates if candidate[0].strong] or candidates
    if len(strong) > 1:
        names = " and ".join(path.name for _, path in strong)
        raise HyperguideError(
            f"{strong[0][1].parent} holds several folders of {half} pictures by their names, "
            f"{names}: leave one of them there."
        )
    return strong[0]


def _refuse_lonely(folder: Path, child: Path) -> None:
    pictures = list_pictures(child)
    raise HyperguideError(
        f"{len(pictures)} of {len(pictures)} inputs in {child} have no target, the first is "
        f"{pictures[0].name}: add the folder {folder / 'target'} of the clean pictures, or rename "
        f"{child.name} if it holds no degraded ones."
    )


def _of_folders(degraded: Path, clean: Path, children: Sequence[Path], task: str | None) -> Halves:
    named = {child.name.lower(): child for child in children}
    maps: dict[MapSource, Files] = {s: by_stem(named.get(name)) for name, s in _MAPS.items()}
    kernels = by_stem(named.get("kernel") or named.get("kernels"), KERNEL_SUFFIXES)
    return Halves(by_stem(degraded), by_stem(clean), maps, kernels, task)


def _in_files(folder: Path) -> list[Halves]:
    """Halves in files: `x_real.JPG` beside `x_mean.JPG`, `1_NOISY_SRGB.PNG`, `1_GT_SRGB.PNG`."""
    roles = {path: role_of(path.stem) for path in _pictures_in(folder)}
    inputs, targets = (
        _by_name(path for path, role in roles.items() if role.half == half) for half in _HALVES
    )
    matched = partners(inputs, targets) if inputs and targets else {}
    if not matched:
        return []
    others = [path for path, role in roles.items() if role.half is None]
    halves = [roles[inputs[name]] for name in matched]
    if not any(role.strong for role in halves) and 2 * len(matched) < len(others):
        return []  # photos, some of which have such words in their names by chance
    lonely = [path for name, path in inputs.items() if name not in matched]
    if others or lonely:
        first = (lonely or others)[0]
        raise HyperguideError(
            f"{len(matched)} pictures in {folder} are named like the degraded halves of pairs, but "
            f"{len(others) + len(lonely)} others like none, the first is {first.name}: move them "
            "into a folder of their own."
        )
    return [Halves(inputs, targets, task=halves[0].task)]


def _by_name(paths: Iterator[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise HyperguideError(
                f"{found[path.stem].name} and {path.name} in {path.parent} have the same name: "
                "remove one of them."
            )
        found[path.stem] = path
    return found


def _rain100l(folder: Path) -> list[Halves]:
    """Rain100L and RainTrainL: `rain-N`, `norain-N` and `rainregion-N`.

    They are side by side or in `rainy/`, `norain/` and `rainregion/`.
    """
    kinds: dict[str, dict[str, Path]] = {"rain": {}, "norain": {}, "rainregion": {}}
    for place in (folder, folder / "rainy", folder / "norain", folder / "rainregion"):
        for path in _pictures_in(place):
            name = re.fullmatch(r"(rain|norain|rainregion)-(\d+)", path.stem)
            if name:
                kinds[name[1]][name[2]] = path
    if not kinds["rain"] or not kinds["norain"]:
        return []
    maps: dict[MapSource, Files] = {"region": kinds["rainregion"]}
    return [Halves(kinds["rain"], kinds["norain"], maps, task="derain")]


def _pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder without its subfolders, numbers in numeric order."""
    if not is_folder(folder):
        return []
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not path.name.startswith(".")
        and not is_folder(path)
    ]
    return sorted(found, key=lambda path: (len(path.stem), path.stem))
