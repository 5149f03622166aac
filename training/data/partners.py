"""Matches the files of two folders by their names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import PICTURE_SUFFIXES
from hyperguide.storage.paths import find_files, is_folder

from .roles import role_of
from .scenes import list_pictures

Files = Mapping[str, Path]
"""Files by their path in a folder without the suffix."""

Key = tuple[str, ...]


def by_stem(folder: Path | None, suffixes: Collection[str] = PICTURE_SUFFIXES) -> dict[str, Path]:
    """The files of a folder by their path in it without the suffix; empty if there is no folder.

    Raises HyperguideError if two files differ in their suffix only.
    """
    if folder is None or not is_folder(folder):
        return {}
    paths = list_pictures(folder) if suffixes is PICTURE_SUFFIXES else find_files(folder, suffixes)
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


def key_of(name: str) -> Key:
    """The words of a file's path without those that distinguish the halves of pairs."""
    return tuple(word for part in PurePosixPath(name).parts for word in role_of(part).rest)


def partners(inputs: Files, targets: Files) -> dict[str, str]:
    """The target's name for the name of each input that has one.

    The first of these rules by which any files match is used for all, so that a missing target is
    noticed instead of replaced by a similar one:
        equal names;
        equal words except those of a half: `01_hazy` and `01_GT`, `rain-7` and `norain-7`;
        the input's words begin with the target's: `0001_0.8_0.2` and `0001`, as in RESIDE.
    Raises HyperguideError if no names are equal and two targets have the same words.
    """
    if equal := {name: name for name in inputs if name in targets}:
        return equal
    by_key: dict[Key, str] = {}
    for name, path in targets.items():
        other = by_key.setdefault(key_of(name), name)
        if other != name:
            raise HyperguideError(
                f"{path} and {targets[other].name} are both the target of the same inputs by their "
                "names: remove one of them."
            )
    for rule in (_same, _beginning):
        found = {name: rule(key_of(name), by_key) for name in inputs}
        if matched := {name: target for name, target in found.items() if target is not None}:
            return matched
    return {}


def _same(key: Key, by_key: Mapping[Key, str]) -> str | None:
    return by_key.get(key)


def _beginning(key: Key, by_key: Mapping[Key, str]) -> str | None:
    """The target of the longest known key that is a proper prefix of this one."""
    beginnings = (key[:length] for length in range(len(key) - 1, 0, -1))
    return next((by_key[words] for words in beginnings if words in by_key), None)
