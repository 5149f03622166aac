"""Parses YAML from untrusted files: plain lists, mappings, strings and numbers."""

from __future__ import annotations

from typing import Any

_LONGEST = 16 << 10  # characters; bundled presets have at most 2000
_DEEPEST = 16


def parse_yaml(text: str) -> Any:
    """Parse a YAML text.

    Aliases, anchors and tags are refused: they let a short text expand without limit, or create
    objects. Raises only ValueError, which says what is wrong.
    """
    import yaml

    if len(text) > _LONGEST:
        raise ValueError(f"more than {_LONGEST >> 10} KiB")
    try:
        _check(text)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML {_line(error)}".strip()) from None
    except ValueError as error:  # also for text that only looks like a date or a number
        raise ValueError(str(error)[:100]) from None
    _refuse_huge(value)
    return value


def _refuse_huge(value: Any) -> None:
    if isinstance(value, dict):
        for item in value.items():
            _refuse_huge(list(item))
    elif isinstance(value, list | tuple | set):
        for item in value:
            _refuse_huge(item)
    elif isinstance(value, int) and abs(value) >= 10**20:
        raise ValueError("a whole number of more than 20 digits")


def _check(text: str) -> None:
    import yaml

    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ValueError(f"an alias {_line(event)}")
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"a tag {_line(event)}")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise ValueError(f"nested too deeply {_line(event)}")


def _line(place: Any) -> str:
    """The line of a parser event or an error, as text."""
    mark = getattr(place, "start_mark", None) or getattr(place, "problem_mark", None)
    return "" if mark is None else f"in line {mark.line + 1}"
