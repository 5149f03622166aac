"""Questions about paths whose answer can be an error: no permission, names that are too long."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from .errors import HyperguideError


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder. Raises HyperguideError where the system does not say."""
    try:
        return path.is_dir()
    except OSError as error:
        raise HyperguideError(f"Cannot look at {path}: {error.strerror}.") from None


def exists(path: Path) -> bool:
    """Whether there is anything at `path`. Raises HyperguideError where the system does not say."""
    try:
        return path.exists() or path.is_symlink()
    except OSError as error:
        raise HyperguideError(f"Cannot look at {path}: {error.strerror}.") from None


def make_folder(path: Path) -> None:
    """Create a folder and its parents; one that exists is fine."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HyperguideError(f"Cannot create the folder {path}: {error.strerror}.") from None


def find_files(
    folder: Path, suffixes: Collection[str], excluded: Collection[Path] = ()
) -> list[Path]:
    """The files with one of the suffixes below a folder, sorted.

    Hidden files and folders, links to folders, and whatever lies below an excluded folder are left
    out.
    Raises HyperguideError if a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise HyperguideError(f"Cannot read the folder {error.filename}: {error.strerror}.")

    outside = {path.resolve() for path in excluded}
    found = []
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and Path(parent, name).resolve() not in outside
        ]
        found += [
            Path(parent, name)
            for name in files
            if Path(name).suffix.lower() in suffixes and not name.startswith(".")
        ]
    return sorted(found)
