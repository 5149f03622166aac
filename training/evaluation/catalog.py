"""The suites by name, and the options that each one accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hyperguide.errors import HyperguideError

from .camera import polyu
from .harmless import harmless
from .levin import levin, levin_captured
from .noise import bsd68, set12
from .pairs import pairs
from .suites import Options, Suite
from .sun import sun80
from .text import text
from .weather import rain100h, rain100l, sots, sots_disturbed


@dataclass(frozen=True)
class _Entry:
    """A suite's constructor and the fields of `Options` that it accepts."""

    build: Callable[[Options], Suite]
    knows: frozenset[str]


_SUITES = {
    "bsd68": _Entry(bsd68, frozenset({"noise", "quadrants", "color"})),
    "set12": _Entry(set12, frozenset({"noise", "quadrants"})),
    "levin": _Entry(levin, frozenset({"noise", "quadrants", "boundary"})),
    "levin-captured": _Entry(levin_captured, frozenset()),
    "sun80": _Entry(sun80, frozenset({"noise", "quadrants", "boundary"})),
    "rain100l": _Entry(rain100l, frozenset()),
    "rain100h": _Entry(rain100h, frozenset()),
    "sots": _Entry(sots, frozenset()),
    "sots-disturbed": _Entry(sots_disturbed, frozenset()),
    "polyu": _Entry(polyu, frozenset()),
}
# Suites of a folder that the user names after the colon.
_OF_FOLDERS: dict[str, Callable[[Path, Options], Suite]] = {
    "pairs": pairs,
    "harmless": harmless,
    "clean": harmless,  # its former name
    "text": text,
}


def open_suite(name: str, options: Options) -> Suite:
    """Open a suite by name, or as `pairs:DIR`, `harmless:DIR` or `text:DIR`.

    Raises HyperguideError if there is no such suite, its data is missing, or it does not accept one
    of the options.
    """
    kind, colon, folder = name.partition(":")
    if colon and kind in _OF_FOLDERS:
        entry = _Entry(partial(_OF_FOLDERS[kind], Path(folder)), frozenset())
    elif name in _SUITES:
        entry = _SUITES[name]
    else:
        # `sheet` has no scores, so it is not a suite here.
        known = ", ".join([*_SUITES, *(f"{kind}:DIR" for kind in (*_OF_FOLDERS, "sheet"))])
        raise HyperguideError(f"There is no suite '{name}': choose one of {known}.")
    for option in ("noise", "quadrants", "boundary", "color"):
        if getattr(options, option) and option not in entry.knows:
            raise HyperguideError(f"The suite {name} knows no --{option}: leave it out.")
    if options.noise and options.quadrants:
        raise HyperguideError("--noise and --quadrants exclude each other: leave one out.")
    return entry.build(options)
