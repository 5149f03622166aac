"""Scenes, the files that belong to one picture, and the split of held-out ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import find_pictures

MapSource = Literal["degradation", "depth", "picture", "region", "layer", "pair", "none"]


@dataclass(frozen=True)
class Scene:
    """The files of one picture.

    photo: the clean picture x.
    degraded: the observation y of the same size; None if y is made on the fly.
    layer: rain streaks S of the same size that make y = min(x + S, 255).
    guidance: a gray picture of the same size with the map, of a kind given by `map_source`.
    kernel: the blur kernel.
    map_source: where the true map comes from: the `degradation` made on the fly; `depth`, a
        picture of distances, of which only the ratios matter; `picture`, one that spans the task's
        range; `region`, one that is nonzero in the rain; the streak `layer`; derived from the
        `pair` (see `derived_maps`); or `none`.
    """

    photo: Path
    degraded: Path | None = None
    layer: Path | None = None
    guidance: Path | None = None
    kernel: Path | None = None
    map_source: MapSource = "degradation"

    @property
    def is_pair(self) -> bool:
        """Whether the files include the observation, so that nothing is degraded on the fly."""
        return self.degraded is not None or self.layer is not None

    @property
    def name(self) -> str:
        """The file name of the observation, or of the photo if there is none."""
        return (self.degraded or self.photo).name

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, the photo first."""
        others = (self.degraded, self.layer, self.guidance, self.kernel)
        return self.photo, *(path for path in others if path is not None)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder and its subfolders, numbered names in numeric order.

    Neighbours may show the same room, as in NYU: the held-out split relies on their order.
    """
    return sorted(find_pictures(folder), key=lambda p: (p.parent, len(p.stem), p.stem))


def real_path(path: Path) -> Path:
    """The path with links resolved; a link to itself is left unchanged."""
    return Path(os.path.realpath(path))


def split_held_out(
    scenes: Sequence[Scene], share: float, option: str = "--data"
) -> tuple[list[Scene], list[Scene]]:
    """Split off the last `share` of each folder's photos for validation: at least one, never all.

    The last ones rather than random ones, because neighbouring files may show the same place, and a
    random choice would leak. Photos are held out with all their observations. If every photo has
    its own folder, the last share of these folders is held out.
    option: the option that named the folders, for errors.
    Raises HyperguideError if one part would be empty.
    """
    # Sources can name one file by several paths.
    photos = [real_path(scene.photo) for scene in scenes]
    by_folder: dict[Path, list[Path]] = {}
    for photo in dict.fromkeys(photos):
        by_folder.setdefault(photo.parent, []).append(photo)
    if all(len(members) == 1 for members in by_folder.values()):
        by_folder = {Path(): [photo for members in by_folder.values() for photo in members]}
    chosen: set[Path] = set()
    for members in by_folder.values():
        count = min(max(1, round(share * len(members))), len(members) - 1)
        chosen |= set(members[len(members) - count :])
    train = [scene for scene, photo in zip(scenes, photos, strict=True) if photo not in chosen]
    held_out = [scene for scene, photo in zip(scenes, photos, strict=True) if photo in chosen]
    if not train or not held_out:
        raise HyperguideError(
            "At least two photos are needed, one of them to validate on: "
            f"give {option} a folder with more."
        )
    return train, held_out
