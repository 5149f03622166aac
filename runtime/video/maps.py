"""Writes the guidance maps of a video as pictures, one for each frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import encode_map, write_picture
from hyperguide.storage.paths import exists, is_folder, make_folder
from hyperguide.tasks import Guidance

if TYPE_CHECKING:
    from .enhancing import Item

_SUFFIX = ".guidance.png"


def refuse_maps_folder(folder: Path, may_replace: bool) -> None:
    """Raise HyperguideError if maps may not be written into a folder."""
    if exists(folder) and not is_folder(folder):
        raise HyperguideError(f"The maps need a folder, but {folder} is a file: give another DIR.")
    if not may_replace and any(folder.glob(f"*{_SUFFIX}")):
        raise HyperguideError(f"{folder} holds maps already: give another DIR, or add --force.")


def saved(items: Iterator[Item], folder: Path, meaning: Guidance) -> Iterator[Item]:
    """Write the map of each frame under its number, in 16 bits over the range of the task.

    `-g` reads such a file.
    """
    make_folder(folder)
    for item in items:
        if item.guidance is not None:
            path = folder / f"{item.number:06d}{_SUFFIX}"
            write_picture(path, encode_map(item.guidance, meaning))
        yield item
