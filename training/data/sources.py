"""Finds the scenes in data folders: photos, photos with depth, or pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hyperguide.errors import HyperguideError
from hyperguide.printable import printable
from hyperguide.storage.paths import exists, is_folder

from .halves import subfolders
from .look_alikes import refuse_look_alikes
from .pairs import example, find_pairs, left_out
from .roles import role_of
from .scenes import Scene, list_pictures, real_path


def silent(sentence: str) -> None:
    """Discard a sentence."""


def find_scenes(
    folders: Sequence[Path],
    task: str,
    option: str = "--data",
    tell: Callable[[str], object] = silent,
) -> list[Scene]:
    """List the scenes of the folders, sorted within each.

    A folder is one of:
        pairs in a layout that `pairs.find_pairs` knows;
        `rgb/` and `depth/`, photos with depth pictures of the same names (the layout of NYU
            Depth);
        a folder with a subfolder `clean/`, which alone is searched for photos;
        any other, which is searched for photos, including subfolders.
    option: the command-line option that names the folders, for errors.
    tell: called with a sentence for each folder on what was found there.
    Raises HyperguideError if a folder is missing or holds no photos, pairs that do not match, or
    what looks like pairs without names that say which half is which.
    """
    scenes: list[Scene] = []
    seen: set[tuple[Path, ...]] = set()
    for folder in folders:
        _refuse_missing(folder, option)
        found, sentence = _look_into(folder, task, option)
        # Repeated or nested folders must not put a photo on both sides of the split.
        unique = {_identity(scene): scene for scene in found}
        new = [scene for identity, scene in unique.items() if identity not in seen]
        if len(new) < len(found):
            sentence += f"; {len(found) - len(new)} of them are there already and count once"
        tell(printable(sentence))
        scenes += new
        seen |= unique.keys()
    return scenes


def _refuse_missing(folder: Path, option: str) -> None:
    if not is_folder(folder):
        what = "is not a folder" if exists(folder) else "does not exist"
        raise HyperguideError(f"The data folder {folder} {what}: give another {option}.")


def _look_into(folder: Path, task: str, option: str) -> tuple[list[Scene], str]:
    """The scenes of a folder, and a sentence that describes them."""
    pairs = find_pairs(folder, task, option)
    if pairs is not None and pairs.scenes:
        scenes = pairs.scenes
        facts = [f"{_count(scenes, 'pair')} in {folder}: {example(folder, scenes)}"]
    else:
        scenes, kind = _find_photos(folder, task, option)
        facts = [f"{_count(scenes, kind)} in {folder}, degraded on the fly"]
    if not scenes:
        raise HyperguideError(f"The data folder {folder} holds no photos: give another {option}.")
    others = left_out(folder, scenes)
    return scenes, "; ".join([*facts, *([others] if others else [])])


def _count(scenes: Sequence[Scene], kind: str) -> str:
    one, _, behind = kind.partition(" ")
    return f"{len(scenes)} {one if len(scenes) == 1 else one + 's'}{' ' + behind if behind else ''}"


def _find_photos(folder: Path, task: str, option: str) -> tuple[list[Scene], str]:
    children = {child.name.lower(): child for child in subfolders(folder)}
    if {"rgb", "depth"} <= children.keys():
        photos, depth = list_pictures(children["rgb"]), children["depth"]
        if task != "dehaze":  # no other task uses depth
            return [Scene(photo) for photo in photos], "photo"
        scenes = [
            Scene(photo, guidance=depth / f"{photo.stem}.png", map_source="depth")
            for photo in photos
        ]
        return scenes, "photo with depth"
    photos = list_pictures(folder)
    refuse_look_alikes(folder, photos, option)
    if "clean" in children:
        return [Scene(photo) for photo in list_pictures(children["clean"])], "photo"
    _refuse_clean_half(folder, list(children.values()), photos, option)
    return [Scene(photo) for photo in photos], "photo"


def _refuse_clean_half(
    folder: Path, children: Sequence[Path], photos: Sequence[Path], option: str
) -> None:
    """Refuse a folder named like the clean half of pairs if there are other pictures beside it."""
    for child in children:
        role = role_of(child.name, folder=True)
        if role.half == "clean" and role.strong and (count := len(list_pictures(child))):
            if count == len(photos):
                return
            raise HyperguideError(
                f"{child} holds by its name the clean halves of pairs, but nothing in {folder} is "
                f"named like the degraded ones: call their folder input, or give {option} {child}."
            )


def _identity(scene: Scene) -> tuple[Path, ...]:
    observation = scene.degraded or scene.layer
    return tuple(real_path(path) for path in (scene.photo, observation) if path is not None)
