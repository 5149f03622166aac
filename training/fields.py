"""Builds dataclasses from parsed YAML or JSON, checking names, types and ranges.

A number's range is part of its type: `width: Annotated[int, Range(1, 1024)]`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from hyperguide.errors import HyperguideError
from hyperguide.printable import shown

T = TypeVar("T")

_MOST_ITEMS = 32  # in a list


def of_files() -> Any:
    """A field that presets cannot set: kernels or streak layers from files, at first none."""
    return dataclasses.field(default=(), repr=False, compare=False, metadata={"given": False})


@dataclass(frozen=True)
class Range:
    """From `least` to `most`, both included; `above` excludes `least` itself."""

    least: float
    most: float
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number is in the range; NaN never is."""
        return self.least <= value <= self.most and not (self.above and value == self.least)

    def __str__(self) -> str:
        if self.above:
            return f"above {self.least:g} and at most {self.most:.10g}"
        return f"from {self.least:g} to {self.most:.10g}"


Share = Annotated[float, Range(0, 1)]
"""A fraction of samples, steps or a picture's side, or a value with full scale = 1."""


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    """The types of a class's fields, with their ranges."""
    return get_type_hints(kind, include_extras=True)


class Checked:
    """Base of dataclasses that reject numbers out of range, however they are built."""

    def __post_init__(self) -> None:
        for name, hint in _hints(cast(Hashable, type(self))).items():
            for range_, value in _ranged(hint, getattr(self, name)):
                _refuse_outside(range_, value, f"The preset's {name}")


def check_ascending(settings: object, *names: str) -> None:
    """Raise HyperguideError if a (low, high) pair is in the wrong order."""
    for name in names:
        low, high = getattr(settings, name)
        if low > high:
            raise HyperguideError(
                f"The preset's {name} must be two numbers, the lower one first, not {low}, {high}."
            )


def _ranged(hint: Any, value: Any) -> Iterator[tuple[Range, Any]]:
    """Yield each number of a value that has a range, with that range."""
    if get_origin(hint) is Annotated:
        yield get_args(hint)[1], value
    elif get_origin(hint) is tuple and isinstance(value, tuple):
        for item in value:
            yield from _ranged(get_args(hint)[0], item)


def _refuse_outside(range_: Range, value: Any, where: str) -> None:
    if not range_.holds(value):
        raise HyperguideError(f"{where} must be {range_}, not {shown(value)}.")


def build(kind: type[T], fields: object, where: str) -> T:
    """Fill the dataclass `kind` from a mapping, checking names, types and ranges.

    where: names the source in errors.
    Raises HyperguideError for unknown or missing fields, wrong types and values out of range.
    """
    if not isinstance(fields, dict):
        raise HyperguideError(f"{where}: expected a mapping with the fields of a {kind.__name__}.")
    hints = _hints(cast(Hashable, kind))
    known = {
        f.name: f
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if f.metadata.get("given", True)
    }
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(str(name)[:50], known, n=1)
            hint = f", did you mean '{near[0]}'?" if near else "."
            raise HyperguideError(f"{where}: unknown field {shown(name)}{hint}")
    values = {}
    for name, spec in known.items():
        if name in fields:
            values[name] = _value(hints[name], fields[name], f"{where}: {name}")
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise HyperguideError(f"{where}: the field '{name}' is missing.")
    return kind(**values)


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """Build the dataclass that matches the mapping's `network`; the first one by default."""
    by_name = {get_args(get_type_hints(cast(Hashable, kind))["network"])[0]: kind for kind in kinds}
    name = value.get("network", next(iter(by_name))) if isinstance(value, dict) else None
    if name is not None and (not isinstance(name, str) or name not in by_name):
        raise HyperguideError(f"{where}: the network must be one of {', '.join(by_name)}.")
    return build(by_name.get(name, kinds[0]), value, where)


def _value(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is Annotated:
        plain, range_ = get_args(hint)
        number = _number(plain, value, where)
        _refuse_outside(range_, number, where)
        return plain(number)
    if hint in (int, float):
        raise TypeError(f"{where}: the type of this number has no range")
    if isinstance(hint, UnionType):
        kinds = tuple(kind for kind in get_args(hint) if kind is not NoneType)
        if value is None and len(kinds) < len(get_args(hint)):
            return None
        return _value(*kinds, value, where) if len(kinds) == 1 else _one_of(kinds, value, where)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in get_args(hint)):
            choices = ", ".join(map(str, get_args(hint)))
            raise HyperguideError(f"{where} must be one of {choices}, not {shown(value)}.")
        return value
    if get_origin(hint) is tuple:
        return _list(get_args(hint), value, where)
    if get_origin(hint) is dict and not isinstance(value, dict):
        raise HyperguideError(f"{where} must be a mapping.")
    if hint in (str, bool) and type(value) is not hint:
        raise HyperguideError(f"{where} must be of type {hint.__name__}, not {shown(value)}.")
    return value


def _number(kind: type, value: Any, where: str) -> float:
    wanted = (int, float) if kind is float else (int,)
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise HyperguideError(f"{where} must be of type {kind.__name__}, not {shown(value)}.")
    return value


def _list(items: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    length = None if items[-1] is ... else len(items)
    if not isinstance(value, list | tuple) or not value or length not in (None, len(value)):
        raise HyperguideError(f"{where} must be a list of {length or 'one or more'} items.")
    if len(value) > _MOST_ITEMS:
        raise HyperguideError(f"{where} must have at most {_MOST_ITEMS} items, not {len(value)}.")
    return tuple(_value(items[0], item, where) for item in value)
