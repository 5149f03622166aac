"""What a checkpoint says of its run, checked before anybody relies on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from hyperguide.errors import HyperguideError

from .bilevel import Strategy

_Check = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2 * 10**9


def _maps_to(check: _Check) -> _Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _lists(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _or_none(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _are_settings(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("strategy") in get_args(Strategy)
        and _or_none(_is_number)(value.get("level"))
    )


def _is_data(value: Any) -> bool:
    return isinstance(value, dict) and all(
        map(_is_text, map(value.get, ("fingerprint", "description")))
    )


# Which networks there are.
_OF_WEIGHTS: dict[str, _Check] = {
    "preset": lambda value: isinstance(value, dict),
    "settings": _are_settings,
}
# What a run goes on with.
_OF_STATE: dict[str, _Check] = {
    **_OF_WEIGHTS,
    "origin": _is_text,
    "step": _is_step,
    "seconds": _is_number,
    "running": _maps_to(_is_number),
    "window": _maps_to(_lists(_is_number)),
    "best": _or_none(_is_number),
    "validation": _maps_to(_is_number),
    "skipped": _lists(_is_text),
    "data": _is_data,
}


def check_weights_record(record: Any, path: Path) -> dict[str, Any]:
    """The record of weights. Raises HyperguideError unless it says which networks they are of."""
    return _checked(record, path, _OF_WEIGHTS)


def check_state_record(record: Any, path: Path) -> dict[str, Any]:
    """The record of a state. Raises HyperguideError unless a run can go on from it."""
    return _checked(record, path, _OF_STATE)


def _checked(record: Any, path: Path, checks: dict[str, _Check]) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise HyperguideError(f"{path} is damaged or not a checkpoint of ours: it has no record.")
    for name, check in checks.items():
        if name not in record or not check(record[name]):
            raise HyperguideError(
                f"{path} is damaged or not a checkpoint of ours: its record has no usable '{name}'."
            )
    return record
