"""Parses JSON from untrusted files."""

from __future__ import annotations

import json
import math
from typing import Any

# Records of training nest about five levels. Code that prints or compares them may recurse.
_DEEPEST = 32
_LONGEST = 1 << 24
_MOST_DIGITS = 20  # of integers: what 64 bits hold


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text.

    Raises ValueError, and nothing else, that says what is wrong: not JSON in UTF-8, more than
    16 MiB, nested too deeply, a duplicate name in an object, or numbers that are too large.
    Infinity and NaN are accepted, as Python writes them: the PSNR of equal pictures is infinite.
    """
    if len(text) > _LONGEST:
        raise ValueError("more than 16 MiB of JSON")
    try:
        value = json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text,
            object_pairs_hook=_object,
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    if _depth(value) > _DEEPEST:
        raise ValueError("JSON that is nested too deeply")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("JSON with a name twice")
    return found


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _int(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"the number {digits[:20]} is too large")
    return int(digits)


def _depth(value: Any) -> int:
    """The nesting depth of lists and objects, counted without recursion."""
    depth, level = 0, [value]
    while level:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        depth, level = depth + 1, inner
    return depth
