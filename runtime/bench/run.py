"""Runs several subjects in turns, so that drift affects all of them alike."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from hyperguide.errors import HyperguideError

from .clock import Clock, WallClock
from .load import Load, at_once, at_rate, joined, one_by_one
from .precision import convolutions
from .statistics import growth, summary, uncertainty
from .subject import Spec, Subject, Verdict

Scenario = Literal["single", "streams", "rate", "offline"]

# An engine whose latency grows by more than this with each second of frames does not keep up.
_BEHIND = 0.02
# Minimum frames in each stretch to decide that.
_FEWEST_FRAMES = 4
# Multiple of the requested rounds and seconds that a run may take until medians are certain enough.
_MORE_ROUNDS = 4
# A call of _SLOW seconds or more gets a pause of _PAUSE seconds instead of a warm-up call.
_SLOW, _PAUSE = 0.5, 0.3
# Number of results held while a call computes its own: the first and the latest.
_RESULTS = 2


@dataclass(frozen=True)
class BenchPlan:
    """How to load the subjects.

    scenario: `single` calls one after the other; `streams` in that many concurrent loops; `rate`
        as frames arrive, `fps` per second, served by `streams` concurrent calls; `offline` one
        after the other, in batches.
    seconds: of work for each subject, in `rounds` stretches.
    confidence: `single` and `offline` continue until half the width of the median's 95 % interval
        is below this share of it, but for at most four times `seconds`.
    verify: whether subjects are checked; if not, the record says so.
    """

    scenario: Scenario = "single"
    seconds: float = 5.0
    rounds: int = 5
    confidence: float = 0.02
    streams: int = 1
    fps: float = 30.0
    verify: bool = True


@dataclass(eq=False)
class Row:
    """The findings about a subject.

    loads: the rounds; empty if the subject failed. ran: convolutions by precision, if the engine
        reports them.
    """

    spec: Spec
    engine: str = ""
    verdict: Verdict = field(default_factory=lambda: Verdict(()))
    loads: list[Load] = field(default_factory=list)
    ran: dict[str, int] | None = None
    stages: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def growth(self, plan: BenchPlan) -> float:
        """The mean of `statistics.growth` over the rounds, each of which starts afresh."""
        return fmean(growth(load.latencies, plan.fps) for load in self.loads)


Open = Callable[[Spec], Subject]
Progress = Callable[[str, int, int], None]


def measure(
    specs: Sequence[Spec],
    plan: BenchPlan,
    open_subject: Open,
    progress: Progress = lambda *_: None,
    clock: Clock | None = None,
) -> list[Row]:
    """Load, check and time the subjects; those that fail are reported, not timed.

    progress: called with the current activity, the steps done and the total.
    clock: the real clock by default.
    """
    clock = clock or WallClock()
    rows = [Row(spec) for spec in specs]
    steps = len(specs) * (1 + plan.rounds)
    with contextlib.ExitStack() as stack:
        subjects: dict[int, Subject] = {}
        for number, row in enumerate(rows):
            progress(f"check {row.spec.label}", number, steps)
            subject = _prepared(row, plan, open_subject, clock)
            if subject is not None:
                subjects[number] = subject
                stack.callback(subject.close)
        for done, (round_, row) in enumerate(_turns(plan, [rows[i] for i in subjects])):
            progress(f"round {round_ + 1}", min(len(specs) + done, steps - 1), steps)
            _go_on(row, subjects[rows.index(row)], plan, clock)
        for number, subject in subjects.items():
            if not rows[number].verdict.problem:
                _tell_stages(rows[number], subject)
    progress("done", steps, steps)
    return rows


def _turns(plan: BenchPlan, rows: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    """Yield round and subject: all subjects in each round, each round starting with another."""
    asks = plan.scenario in ("single", "offline")
    for turn in range(plan.rounds * (_MORE_ROUNDS if asks else 1)):
        for i in range(len(rows)):
            row = rows[(turn + i) % len(rows)]
            if row.verdict.problem or _spent(plan, row):
                continue
            if turn < plan.rounds or not _sure(plan, row):
                yield turn, row


def _spent(plan: BenchPlan, row: Row) -> bool:
    return sum(load.seconds for load in row.loads) >= _MORE_ROUNDS * plan.seconds


def _sure(plan: BenchPlan, row: Row) -> bool:
    return uncertainty(joined(row.loads).latencies) <= plan.confidence


def _prepared(row: Row, plan: BenchPlan, open_subject: Open, clock: Clock) -> Subject | None:
    """Open, check and warm up a subject; None if it fails, with the reason in the row."""
    try:
        subject = open_subject(row.spec)
    except HyperguideError as error:
        row.verdict = Verdict((), str(error).rstrip("."))
        return None
    info = subject.file.info
    row.engine = subject.engine.name
    work = info.cost.get("kilo_macs_per_pixel")
    row.facts = {
        "task": info.task,
        "tier": info.tier,
        "precision": info.precision,
        "sha256": hashlib.sha256(subject.file.content).hexdigest(),
        "quality": info.quality,
        "load_seconds": subject.load_seconds,
        "first_call_seconds": subject.first_seconds,
        "peak_memory_bytes": subject.peak_memory,
        "gpu": subject.gpu,
        "gpu_memory_bytes": subject.gpu_memory,
        "giga_macs": None if work is None else work * row.spec.pixels / 1e6,
    }
    row.ran = convolutions(subject.file, subject.engine, row.spec.precision)
    try:
        if plan.verify:
            row.verdict = subject.verify()
        if not row.verdict.problem:
            for _ in range(_RESULTS):
                _warm_up(subject, plan, clock)
            row.facts["gpu_clock_mhz"] = subject.gpu_clock()
    except HyperguideError as error:
        _fail(row, error)
    if row.verdict.problem:
        subject.close()
        return None
    return subject


def _tell_stages(row: Row, subject: Subject) -> None:
    """Add the times of the stages, except for pictures that the engine takes only in parts."""
    with contextlib.suppress(HyperguideError):
        row.stages = subject.stages()


def _go_on(row: Row, subject: Subject, plan: BenchPlan, clock: Clock) -> None:
    """Time another stretch of a subject; if it fails or computes wrong now, no timing counts."""
    try:
        row.loads.append(_stretch(subject, plan, clock))
    except HyperguideError as error:
        _fail(row, error)
    if plan.verify and row.verdict.passed:
        still = subject.still_right()
        if still.problem:
            row.verdict = still
            row.loads.clear()


def _fail(row: Row, error: HyperguideError) -> None:
    """Record a failure, and discard all timings."""
    row.verdict = Verdict(row.verdict.checked, str(error).rstrip("."))
    row.loads.clear()


def _stretch(subject: Subject, plan: BenchPlan, clock: Clock) -> Load:
    seconds = plan.seconds / plan.rounds
    _warm_up(subject, plan, clock)
    match plan.scenario:
        case "streams":
            return at_once(subject.call, plan.streams, seconds, clock)
        case "rate":
            return at_rate(subject.call, plan.fps, seconds, plan.streams, clock)
        case _:
            return one_by_one(subject.call, seconds, clock)


def _warm_up(subject: Subject, plan: BenchPlan, clock: Clock) -> None:
    """Make untimed calls, as many at once as will be timed; slow ones only get a pause.

    Threads of the previous subject may still hold the cores for a moment, and memory that a call is
    the first to write comes from the system page by page.
    """
    if subject.call_seconds < _SLOW or plan.streams > 1:
        at_once(subject.call, plan.streams, 0, clock)
    else:
        clock.wait_until(clock.now() + _PAUSE)


def record(rows: Sequence[Row], plan: BenchPlan, machine: dict[str, Any]) -> dict[str, Any]:
    """All that is needed to judge the figures and to reproduce them."""
    return {
        "format": 1,
        "machine": machine,
        "plan": vars(plan) | {"bytes_in_bytes_out": True, "transfers": "included"},
        "verified": plan.verify,
        "rows": [_as_json(row, plan, machine.get("peaks", {})) for row in rows],
    }


def _as_json(row: Row, plan: BenchPlan, peaks: dict[str, float]) -> dict[str, Any]:
    spec = row.spec
    told: dict[str, Any] = {
        "model": spec.label,
        "device": str(spec.device),
        "engine": row.engine,
        "size": [spec.height, spec.width],
        "batch": spec.batch,
        "asked_precision": spec.precision,
        "convolutions": row.ran,
        "verified": row.verdict.passed,
        "checked": list(row.verdict.checked),
        "problem": row.verdict.problem or None,
        **row.facts,
    }
    if not row.loads:
        return told
    load = joined(row.loads)
    latencies = load.latencies
    told["latency_ms"] = summary(latencies)
    told["latencies_ms"] = [round(1000 * value, 3) for value in latencies]
    unsure = uncertainty(latencies)
    told["uncertainty"] = unsure if math.isfinite(unsure) else None  # JSON has no infinity
    told["pictures_per_second"] = load.calls_per_second * spec.batch
    told["stages_ms"] = {name: 1000 * value for name, value in row.stages.items()}
    if row.facts["giga_macs"] is not None:
        told["giga_macs_per_second"] = row.facts["giga_macs"] * load.calls_per_second
        ran = row.ran or {}
        kind = max(ran, key=lambda name: ran[name], default="")
        if row.facts["gpu"] is not None:
            kind = f"gpu {row.facts['gpu']} {kind}"
        if kind in peaks:
            share = 2 * told["giga_macs_per_second"] / peaks[kind]
            told["share_of_peak"] = {"of": kind, "share": share}
    if plan.scenario == "rate":
        told["latency_growth"] = row.growth(plan)
        enough = min(len(load.latencies) for load in row.loads) >= _FEWEST_FRAMES
        told["keeps_up"] = told["latency_growth"] < _BEHIND if enough else None
    return told
