"""The measured figures, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hyperguide.storage.atomic import write_atomically


@dataclass(frozen=True)
class Quadrant:
    """The predicted map in a quarter of the pictures, full scale = 1.

    rmse: against the true one, which is `true` everywhere in the quadrant.
    """

    true: float
    mean: float
    rmse: float


@dataclass(frozen=True)
class Measured:
    """Means over the pictures of a suite at one level.

    suite: name of the suite, see `suites.SUITES`.
    subject: name of what was measured, see `subjects`; `seed` of its training, if it is ours.
    level: label of the level, empty in suites with one.
    told: noise level in percent that it was given instead of its own map.
    weights: start of the digest of its weights, so that others are measured anew.
    map_mean, map_rmse: of the predicted map, in its unit; None without a comparable map.
    """

    suite: str
    subject: str
    seed: int | None
    level: str
    told: float | None
    weights: str
    pictures: int
    psnr: float
    ssim: float
    map_mean: float | None = None
    map_rmse: float | None = None
    quadrants: tuple[Quadrant, ...] = ()


@dataclass(frozen=True)
class Trained:
    """What one training cost and how its two problems ended on held-out photos.

    cpu_seconds: of the whole training, extrapolated from the parts that were timed.
    """

    subject: str
    seed: int
    steps: int
    cpu_seconds: float
    figures: dict[str, float]


@dataclass(frozen=True)
class Blind:
    """A picture whose kernel was estimated, see `blind.measure_blind`.

    likeness: correlation of the estimated kernel with the measured one, at best shift.
    """

    name: str
    ratio: float
    likeness: float
    verdict: str


@dataclass(frozen=True)
class Results:
    """Everything that the tables are made of.

    costs: kMAC per pixel by subject.
    """

    measured: tuple[Measured, ...] = ()
    trained: tuple[Trained, ...] = ()
    costs: dict[str, float] = field(default_factory=dict)
    blind: tuple[Blind, ...] = ()

    def of(
        self, suite: str, subject: str, level: str = "", told: float | None = None
    ) -> list[Measured]:
        """The measurements of a subject at a level, by seed."""
        return sorted(
            (
                one
                for one in self.measured
                if (one.suite, one.subject, one.level, one.told) == (suite, subject, level, told)
            ),
            key=lambda one: -1 if one.seed is None else one.seed,
        )

    def training_of(self, subject: str) -> list[Trained]:
        """The trainings of a subject, by seed."""
        return sorted(
            (one for one in self.trained if one.subject == subject), key=lambda one: one.seed
        )

    def with_measured(self, new: Iterable[Measured]) -> Results:
        """These results, with `new` instead of what was known of the same."""
        known = {_key(one): one for one in self.measured}
        known |= {_key(one): one for one in new}
        return replace(self, measured=tuple(known.values()))


def _key(one: Measured) -> tuple[object, ...]:
    return one.suite, one.subject, one.seed, one.level, one.told


def read_results(path: Path) -> Results:
    """Read what `write_results` wrote; without a file, there are no results."""
    if not path.exists():
        return Results()
    values = json.loads(path.read_text())
    return Results(
        tuple(_measured(one) for one in values["measured"]),
        tuple(Trained(**one) for one in values["trained"]),
        values["costs"],
        tuple(Blind(**one) for one in values["blind"]),
    )


def _measured(values: dict[str, Any]) -> Measured:
    quadrants = tuple(Quadrant(**one) for one in values.pop("quadrants"))
    return Measured(**values, quadrants=quadrants)


def write_results(results: Results, path: Path) -> None:
    """Write the results as JSON, one measurement a line."""
    parts = {
        "measured": _lines(results.measured),
        "trained": _lines(results.trained),
        "costs": json.dumps(results.costs),
        "blind": _lines(results.blind),
    }
    text = ",\n".join(f'"{name}": {part}' for name, part in parts.items())
    write_atomically(path, lambda temporary: temporary.write_text(f"{{\n{text}\n}}\n"))


def _lines(members: Sequence[Measured] | Sequence[Trained] | Sequence[Blind]) -> str:
    return "[\n" + ",\n".join(json.dumps(_rounded(asdict(one))) for one in members) + "\n]"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
