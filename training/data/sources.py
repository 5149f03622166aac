"""What a --data folder holds: photos, photos with depth, or pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hyperguide.errors import HyperguideError
from hyperguide.paths import is_folder

from .pairs import find_pairs
from .scenes import Scene, list_pictures


def find_scenes(folders: Sequence[Path], task: str) -> list[Scene]:
    """List the scenes of the folders, sorted within each.

    A folder is one of:
        pairs in a layout that `pairs.find_pairs` knows;
        `rgb/` and `depth/`, photos with depth pictures of the same names (the layout of NYU
            Depth);
        `clean/`, of which this subfolder is searched for photos;
        any other, which is searched for photos, subfolders included.
    Raises HyperguideError if a folder is missing, holds no photo, or pairs that do not match.
    """
    scenes: list[Scene] = []
    seen: set[tuple[Path, ...]] = set()
    for folder in folders:
        if not is_folder(folder):
            raise HyperguideError(f"The data folder {folder} does not exist: give another --data.")
        found = find_pairs(folder, task)
        if found is None:
            found = _find_photos(folder, task)
        if not found:
            raise HyperguideError(f"The data folder {folder} holds no photos: give another --data.")
        # Repeated or nested folders must not put a photo on both sides of the split.
        new = {_identity(scene): scene for scene in found}
        scenes += [scene for identity, scene in new.items() if identity not in seen]
        seen |= new.keys()
    return scenes


def _find_photos(folder: Path, task: str) -> list[Scene]:
    if is_folder(folder / "rgb") and is_folder(folder / "depth"):
        photos = list_pictures(folder / "rgb")
        if task != "dehaze":  # no other task looks at depth
            return [Scene(photo) for photo in photos]
        depth = folder / "depth"
        return [
            Scene(photo, guidance=depth / f"{photo.stem}.png", map_source="depth")
            for photo in photos
        ]
    if is_folder(folder / "clean"):
        folder = folder / "clean"
    return [Scene(photo) for photo in list_pictures(folder)]


def _identity(scene: Scene) -> tuple[Path, ...]:
    observation = scene.degraded or scene.layer
    return tuple(path.resolve() for path in (scene.photo, observation) if path is not None)
