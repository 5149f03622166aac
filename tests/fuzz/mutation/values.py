"""Nested values: JSON, JSON Lines and YAML."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

DEEP, BOMB, HUGE = "@deep@", "@bomb@", "@huge@"
_ODD: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], "", "x", "0", ".", "\x1b[31m", "\0", "\ud800", "é" * 300),
    *(0, -1, 1, 2, 3, 255, 65536, 1 << 31, -(1 << 63), 1 << 64, HUGE),
    *(0.5, -0.0, 1e-320, 1e8, 1e308, float("inf"), float("-inf"), float("nan")),
    *(DEEP, [1] * 9),
)


def json_text(data: bytes, rng: Random, inner: Callable[[bytes], bytes]) -> bytes:
    """JSON with a value replaced, removed, repeated or moved."""
    return as_json(mutated(json.loads(data), rng, inner))


def json_lines(data: bytes, rng: Random, inner: Callable[[bytes], bytes]) -> bytes:
    """JSON Lines with one line changed, removed or repeated."""
    lines = data.splitlines() or [b"{}"]
    at = rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(rng.randrange(len(lines)), lines[at])
        case 2:
            lines[at] = inner(lines[at])
        case _:
            lines[at] = json_text(lines[at], rng, inner)
    return b"\n".join(lines) + b"\n"


def yaml_text(data: bytes, rng: Random, inner: Callable[[bytes], bytes]) -> bytes:
    """YAML with a value replaced, removed, repeated or moved, sometimes by an alias bomb."""
    import yaml

    try:
        value = yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # faster in C
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        raise ValueError("no YAML") from None
    return as_yaml(mutated(value, rng, inner, (*_ODD, BOMB)))


def as_yaml(value: object) -> bytes:
    """A value as YAML, with placeholders replaced by deep nesting, huge numbers and alias bombs."""
    import yaml

    try:
        text = yaml.dump(
            value, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False
        )
    except (yaml.YAMLError, RecursionError, UnicodeError):
        raise ValueError("no YAML") from None
    levels = [
        f"&{name} [{','.join([f'*{below}' if below else 'x'] * 9)}]"
        for below, name in zip(["", *"abcdefg"], "abcdefgh", strict=True)
    ]
    text = text.replace(f"'{DEEP}'", "[" * 1500 + "]" * 1500)
    text = text.replace(f"'{HUGE}'", "1" + "0" * 400)
    return text.replace(f"'{BOMB}'", f"[{', '.join(levels)}]").encode("utf-8", "replace")


def as_json(value: object) -> bytes:
    """A value as JSON, with placeholders replaced by deep nesting and huge numbers."""
    text = json.dumps(value)
    text = text.replace(f'"{DEEP}"', "[" * 3000 + "]" * 3000)
    return text.replace(f'"{HUGE}"', "1" + "0" * 400).encode()


def mutated(
    value: Any, rng: Random, inner: Callable[[bytes], bytes], odd: tuple[Any, ...] = _ODD
) -> Any:
    """A nested value with one item changed."""
    if isinstance(value, dict | list) and value and rng.random() < 0.93:
        copy = dict(value) if isinstance(value, dict) else list(value)
        keys = list(copy) if isinstance(copy, dict) else list(range(len(copy)))
        key = rng.choice(keys)
        match rng.randrange(12):
            case 0:
                del copy[key]
            case 1 if isinstance(copy, dict):
                copy[rng.choice(["", "format", "x", *map(str, keys)])] = copy.pop(key)
            case 1:
                copy.append(copy[key])
            case 2:
                copy[key] = copy[rng.choice(keys)]
            case 3 if isinstance(copy, dict):
                copy[rng.choice(["x", "step", "1"])] = rng.choice(odd)
            case _:
                copy[key] = mutated(copy[key], rng, inner, odd)
        return copy
    match rng.randrange(6):
        case 0 if isinstance(value, str):
            return inner(value.encode("utf-8", "replace")).decode("utf-8", "replace")
        case 1 if isinstance(value, int | float):
            return value * rng.choice([-1, 2, 1000])
        case 2:
            return [value]
        case _:
            return rng.choice(odd)
