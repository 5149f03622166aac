"""Finds which half of a pair a name indicates: `lq`, `GT`, `0001_NOISY_SRGB_010`, `norain-3`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Half = Literal["degraded", "clean"]

# Unambiguous words: a folder with such a name without its other half is a mistake.
_STRONG: dict[Half, str] = {
    "degraded": "input inputs lq noisy degraded corrupted rainy hazy foggy blurry blurred",
    "clean": "target targets gt gts hq clean groundtruth norain nohaze",
}
# Words that have other meanings too: they only count beside the other half. PolyU has *_real and
# *_mean, LOL low and high, GoPro blur and sharp, RainDrop data and gt.
_WEAK: dict[Half, str] = {
    "degraded": "rain haze fog blur noise snow snowy low lr data real source raw observed",
    "clean": "clear sharp high hr mean reference ref original label labels truth",
}
# Ignored in folder names: `rainy_image` and `ground_truth` belong together.
_FILLERS = frozenset(
    word + plural for word in ("image", "img", "picture", "photo", "frame") for plural in ("", "s")
)
_PHRASES = {("ground", "truth"): "groundtruth", ("no", "rain"): "norain", ("no", "haze"): "nohaze"}
_TASKS = {
    "dehaze": frozenset(["hazy", "haze", "foggy", "fog"]),
    "derain": frozenset(["rainy", "rain"]),
    "deblur": frozenset(["blurry", "blurred", "blur"]),
}
_HALVES = {
    word: (half, strong)
    for table, strong in ((_STRONG, True), (_WEAK, False))
    for half, words in table.items()
    for word in words.split()
}


@dataclass(frozen=True)
class Role:
    """What a name indicates.

    half: of a pair; None if the name indicates none or both.
    rest: the other words of the name in lower case, which the halves of a pair have in common.
    strong: whether the name is unambiguous.
    task: the task that the name indicates; None if it may be any.
    """

    half: Half | None
    rest: tuple[str, ...]
    strong: bool
    task: str | None


def words_of(name: str) -> tuple[str, ...]:
    """The words and numbers of a name in lower case: `GroundTruth_01` is `ground truth 01`."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+", name)
    return tuple(word.lower() for word in found)


def role_of(name: str, folder: bool = False) -> Role:
    """The role that the name of a folder, or of a file without its suffix, indicates."""
    words = list(words_of(name))
    for phrase, word in _PHRASES.items():
        for at in range(len(words) - 1):
            if tuple(words[at : at + 2]) == phrase:
                words[at : at + 2] = [word]
    told = [word for word in words if word in _HALVES]
    halves = {_HALVES[word][0] for word in told}
    ignored = set(told) | (_FILLERS if folder else set())
    if len(halves) != 1:
        return Role(None, tuple(words), False, None)
    tasks = [task for task, known in _TASKS.items() if known.intersection(told)]
    return Role(
        half=halves.pop(),
        rest=tuple(word for word in words if word not in ignored),
        strong=any(_HALVES[word][1] for word in told),
        task=tasks[0] if len(tasks) == 1 else None,
    )
