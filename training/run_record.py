"""The record of a run in its files: preset, settings, data and progress.

The record is the JSON in the metadata of each safetensors file, see `checkpoint`. A model file
keeps most of it under `training`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from hyperguide.errors import HyperguideError
from hyperguide.printable import shortened

from .bilevel import Strategy
from .precision import Precision
from .preset import Preset, preset_from_dict
from .seen_photos import UNKNOWN, SeenPhotos

_Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Settings:
    """How a preset is trained. Resuming requires the same settings.

    level: of the map, for the strategy `manual`, in the task's unit.
    naive_weight: lambda in f + lambda g, for the strategy `naive`.
    precision: of the forward passes.
    teacher: the pair that provided the targets of g and f, "" for none.
    """

    strategy: Strategy = "strict"
    seed: int = 0
    level: float | None = None
    naive_weight: float = 1.0
    precision: Precision = "fp32"
    teacher: str = ""


@dataclass(frozen=True)
class RunRecord:
    """What is known about how some weights were trained.

    Fields with a default may be missing in files of older versions or from other sources.

    origin: the weights that the run started from, "" for none.
    step: number of steps taken, including warm-up.
    seconds: training time.
    data: facts about the data, see `Data.record`.
    validation: figures of the last validation by name.
    seen: the photos used in training, including those of the origin.
    """

    preset: Preset
    settings: Settings
    origin: str | None = None
    step: int | None = None
    seconds: float | None = None
    data: Mapping[str, Any] | None = None
    validation: Mapping[str, float] | None = None
    seen: SeenPhotos = field(default=UNKNOWN)

    @classmethod
    def from_json(cls, values: Any, path: Path) -> RunRecord:
        """Read what `to_json` returned; `path` names the file in errors.

        Raises HyperguideError if it does not say which networks the weights belong to.
        """
        check_fields(values, path, _NEEDED)
        check_fields(values, path, {n: check for n, check in OPTIONAL.items() if n in values})
        known = {each.name for each in fields(Settings)}
        return cls(
            preset_from_dict(values["preset"], str(path)),
            Settings(**{k: v for k, v in values["settings"].items() if k in known}),
            seen=SeenPhotos.from_record(values.get("seen")),
            **{name: values[name] for name in OPTIONAL if name in values},
        )

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, without unknown fields."""
        values: dict[str, Any] = {"preset": asdict(self.preset), "settings": asdict(self.settings)}
        values |= {name: getattr(self, name) for name in OPTIONAL}
        if self.seen != UNKNOWN:
            values["seen"] = self.seen.to_record()
        return {name: value for name, value in values.items() if value is not None}


def refuse_changes(then: RunRecord, now: RunRecord, folder: Path) -> None:
    """Raise HyperguideError, naming the changes, if a run must not continue another one.

    then: record of the run in `folder`, which must have every field. now: record of the new run.
    """
    assert then.data is not None
    assert now.data is not None
    if then.data["fingerprint"] != now.data["fingerprint"]:
        raise HyperguideError(
            f"{folder} was trained on other data: resume with the same --data, --streaks "
            "and --kernels, or start in another folder."
        )
    if then.data.get("contents", now.data["contents"]) != now.data["contents"]:
        raise HyperguideError(
            f"{folder} was trained on other data: a file was replaced under its name; put back "
            "the old one, or start in another folder."
        )
    changed = _differences(_comparable(then, now), _comparable(now, now))
    names = then.data["description"], now.data["description"]
    if names[0] != names[1] and len(changed) == 1:
        raise HyperguideError(
            f"The data of {folder} was called '{names[0]}', now it is '{names[1]}': if only a "
            f"folder was renamed, resume with --describe-data '{names[0]}'."
        )
    if changed:
        raise HyperguideError(
            f"{folder} was trained with other settings, {'; '.join(changed)}: resume with "
            "the same ones, or start in another folder."
        )


def _comparable(record: RunRecord, now: RunRecord) -> dict[str, Any]:
    """The fields that must not change; the origin counts only if it is given again."""
    assert record.data is not None
    values = {
        "preset": asdict(record.preset),
        "settings": asdict(record.settings),
        "description": record.data["description"],
        "origin": record.origin if now.origin else "",
    }
    return dict(json.loads(json.dumps(values)))  # tuples become lists, as in files


def _differences(then: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Describe which entries of nested records differ."""
    found = []
    for name in sorted(then.keys() | now.keys()):
        old, new = then.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(
                f"{shortened(prefix + name)} was {shortened(str(old))}, is {shortened(str(new))}"
            )
    return found


def check_fields(values: Any, path: Path, checks: Mapping[str, _Check]) -> None:
    """Raise HyperguideError unless `values` is a dict whose fields pass the checks."""
    if not isinstance(values, dict):
        raise HyperguideError(f"{path} is damaged or not a checkpoint of ours: it has no record.")
    for name, check in checks.items():
        if name not in values or not check(values[name]):
            raise HyperguideError(
                f"{path} is damaged or not a checkpoint of ours: its record has no usable '{name}'."
            )


def is_number(value: Any) -> bool:
    """Whether a value is a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_step(value: Any) -> bool:
    """Whether a value is a step number within the limit of any run."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2 * 10**9


def is_text(value: Any) -> bool:
    """Whether a value is a string."""
    return isinstance(value, str)


def maps_to(check: _Check) -> _Check:
    """Make a check for dicts whose values pass `check`."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def lists(check: _Check) -> _Check:
    """Make a check for lists whose items pass `check`."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def or_none(check: _Check) -> _Check:
    """Make a check for None or a value that passes `check`."""
    return lambda value: value is None or check(value)


def are_settings(value: Any) -> bool:
    """Whether a value is settings that say how a run's networks were trained."""
    return (
        isinstance(value, dict)
        and value.get("strategy") in get_args(Strategy)
        and or_none(is_number)(value.get("level"))
    )


# What determines the networks.
_NEEDED: dict[str, _Check] = {
    "preset": lambda value: isinstance(value, dict),
    "settings": are_settings,
}
OPTIONAL: dict[str, _Check] = {
    "origin": is_text,
    "step": is_step,
    "seconds": is_number,
    "data": lambda value: isinstance(value, dict),
    "validation": maps_to(is_number),
}
