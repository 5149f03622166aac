"""Finds test pictures that a target was trained on: their scores mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hyperguide.errors import HyperguideError

from .measure import Measurement
from .target import Target


@dataclass(frozen=True)
class Contamination:
    """How many of a suite's pictures a target was trained on.

    pictures: number in the suite, each counted once, at however many levels.
    seen: how many are among the photos recorded in the target's file; None without a record.
    complete: whether the record has all training photos.
    """

    pictures: int
    seen: int | None
    complete: bool

    def __str__(self) -> str:
        if self.seen is None:
            return "not known, the target does not say which photos it was trained on"
        text = f"{self.seen} of {self.pictures} test pictures are among its training photos"
        return text if self.complete else f"{text} on record, which are not all"


def contamination(measurements: Sequence[Measurement], target: Target) -> Contamination:
    """Count the pictures of an evaluation that its target was trained on."""
    by_name = {m.name: m.seen for m in measurements}
    known = [seen for seen in by_name.values() if seen is not None]
    return Contamination(len(by_name), sum(known) if known else None, target.seen.on_record)


def refuse_contaminated(found: Contamination, accepted: bool) -> None:
    """Raise HyperguideError for a contaminated result, unless the user accepted that."""
    if found.seen and not accepted:
        raise HyperguideError(
            f"The result was not recorded: {found}. Choose another suite, or give "
            "--accept-contamination, which the record will tell."
        )
