"""Path queries that can fail: no permission, names that are too long."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from hyperguide.errors import HyperguideError

# Maximum bytes of a name on nearly every file system.
_LONGEST_NAME = 255

_SPECIAL = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder. Raises HyperguideError if that cannot be determined."""
    try:
        return path.is_dir()
    except OSError as error:
        raise HyperguideError(f"Cannot look at {path}: {error.strerror}.") from None


def exists(path: Path) -> bool:
    """Whether there is anything at `path`. Raises HyperguideError if that is unknown."""
    try:
        return path.exists() or path.is_symlink()
    except OSError as error:
        raise HyperguideError(f"Cannot look at {path}: {error.strerror}.") from None


def special_kind(mode: int) -> str | None:
    """The kind of a file that is not regular, by its `st_mode`; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    return next((kind for test, kind in _SPECIAL if test(mode)), "a special file")


def real(path: Path) -> Path:
    """The absolute path with links resolved, as far as it exists.

    Unlike `Path.resolve` it accepts circular links, which stay as they are.
    """
    return Path(os.path.realpath(path))


def make_folder(path: Path) -> None:
    """Create a folder and its parents; one that exists is fine."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HyperguideError(f"Cannot create the folder {path}: {error.strerror}.") from None


def extended_name(name: str, ending: str) -> str:
    """`name` with an ending, shortened to what file systems accept.

    The end of a name that is too long is replaced by a digest of the whole name, so that different
    names stay different.
    """
    if len(os.fsencode(name + ending)) <= _LONGEST_NAME:
        return name + ending
    ending = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}{ending}"
    while len(os.fsencode(name + ending)) > _LONGEST_NAME:
        name = name[:-1]
    return name + ending


def find_files(
    folder: Path, suffixes: Collection[str], excluded: Collection[Path] = ()
) -> list[Path]:
    """The files with one of the suffixes below a folder, sorted; see `walk`.

    Raises HyperguideError if a folder cannot be read.
    """
    found = (path for files, _ in walk(folder, excluded) for path in files)
    return sorted(path for path in found if path.suffix.lower() in suffixes)


def walk(folder: Path, excluded: Collection[Path] = ()) -> Iterator[tuple[list[Path], list[Path]]]:
    """Yield the files of a folder and of each below it, and its links to folders, not followed.

    Hidden files and folders, and everything below an excluded folder, are left out.
    Raises HyperguideError if a folder cannot be read.
    """

    outside = [_status(path) for path in excluded]
    todo = [folder]
    while todo:  # folders can nest deeper than recursion may
        parent = todo.pop()
        try:
            shown = [entry for entry in os.scandir(parent) if not entry.name.startswith(".")]
        except OSError as error:
            raise HyperguideError(f"Cannot read the folder {parent}: {error.strerror}.") from None
        files: list[Path] = []
        links: list[Path] = []
        for path, entry in ((parent / entry.name, entry) for entry in shown):
            status = _status(path) if entry.is_symlink() or entry.is_dir() else None
            if status is None or not stat.S_ISDIR(status.st_mode):
                files.append(path)
            elif not any(other and os.path.samestat(status, other) for other in outside):
                (links if entry.is_symlink() else todo).append(path)
        yield files, links


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # nothing there, or circular links
        return None
