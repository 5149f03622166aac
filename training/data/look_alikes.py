"""Refuses folders that look like pairs but whose names do not say which half is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hyperguide.errors import HyperguideError

from .roles import words_of

_SHARE = 0.5  # of the pictures in one folder that have a namesake in the other
_MOST_TAGS = 4


def refuse_look_alikes(folder: Path, photos: Sequence[Path], option: str) -> None:
    """Raise HyperguideError if photos may be the halves of pairs.

    This is so if half of the pictures in a folder have the same names as those in a folder beside
    it, or if names in one folder differ in their last word: `1_a.png`, `1_b.png`, `2_a.png`, ...
    photos: all pictures below `folder`.
    option: the option that named the folder.
    """
    below: dict[Path, dict[str, set[str]]] = {}  # parent -> its child -> names in it
    beside: dict[Path, list[str]] = {}  # folder -> names of its own pictures
    for photo in photos:
        parts = photo.relative_to(folder).with_suffix("").parts
        beside.setdefault(photo.parent, []).append(photo.stem)
        for depth in range(len(parts) - 1):
            children = below.setdefault(folder.joinpath(*parts[:depth]), {})
            children.setdefault(parts[depth], set()).add("/".join(parts[depth + 1 :]).lower())
    for parent, children in below.items():
        if (alike := _alike(children)) is not None:
            first, second = (parent / child for child in alike)
            raise HyperguideError(
                f"{first} and {second} hold pictures of equal names, but do not say which are the "
                "degraded ones: if they are pairs, name these folders input and target; if they "
                f"are photos, give each folder with a {option} of its own."
            )
    for place, stems in beside.items():
        if tags := _tags(stems):
            raise HyperguideError(
                f"The names in {place} differ by a last word ({', '.join(tags)}) as those of "
                "pairs, but do not say which are the degraded ones: if they are pairs, move them "
                "into folders input and target; if they are photos, give those of each word in a "
                f"folder with a {option} of its own."
            )


def _alike(children: dict[str, set[str]]) -> tuple[str, str] | None:
    """Two folders with at least half of the smaller one's picture names in common."""
    owners: dict[str, list[str]] = {}
    for child, names in children.items():
        for name in names:
            known = owners.setdefault(name, [])
            if len(known) < 2:  # with very many folders, two are enough
                known.append(child)
    for child, names in children.items():
        common = Counter(other for name in names for other in owners[name] if other != child)
        for other, count in common.most_common(1):
            if count >= _SHARE * min(len(names), len(children[other])):
                first, second = sorted((other, child))
                return first, second
    return None


def _tags(stems: Sequence[str]) -> list[str]:
    """The last words in which the names of most pictures differ, if they look like pairs."""
    by_rest: dict[tuple[str, ...], set[str]] = {}
    for stem in stems:
        words = words_of(stem)
        if len(words) > 1 and not words[-1].isdigit():
            by_rest.setdefault(words[:-1], set()).add(words[-1])
    paired = [tags for tags in by_rest.values() if len(tags) > 1]
    tags = sorted(set().union(*paired)) if paired else []
    count = sum(map(len, paired))
    return (
        tags if len(paired) > 1 and count >= _SHARE * len(stems) and len(tags) <= _MOST_TAGS else []
    )
