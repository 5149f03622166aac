"""The result of an evaluation: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import hyperguide

from .contamination import Contamination, contamination
from .findings import HARM, TRUE_WITHIN, UNHARMED, Findings, find
from .measure import QUADRANT_MARGIN, Measurement
from .noise import QUADRANTS
from .protocols import PROTOCOLS
from .suites import Suite
from .target import Target

# Packages whose versions can change a score.
_PACKAGES = ("numpy", "opencv-python", "torch", "onnxruntime", "openvino")


@dataclass(frozen=True)
class Row:
    """Means over the pictures of a level; seconds are the median, to ignore the first call."""

    level: str
    pictures: int
    input_psnr: float
    input_ssim: float
    output_psnr: float
    output_ssim: float
    map_rmse: float | None
    seconds: float
    findings: Findings


def rows(measurements: Sequence[Measurement]) -> list[Row]:
    """One row for each level, in the order of the pictures."""
    by_level: dict[str, list[Measurement]] = {}
    for m in measurements:
        by_level.setdefault(m.level, []).append(m)
    return [_row(level, members) for level, members in by_level.items()]


def _row(level: str, members: list[Measurement]) -> Row:
    errors = [m.map_rmse for m in members if m.map_rmse is not None]
    return Row(
        level=level,
        pictures=len(members),
        input_psnr=float(np.mean([m.input.psnr for m in members])),
        input_ssim=float(np.mean([m.input.ssim for m in members])),
        output_psnr=float(np.mean([m.output.psnr for m in members])),
        output_ssim=float(np.mean([m.output.ssim for m in members])),
        map_rmse=float(np.mean(errors)) if errors else None,
        seconds=float(np.median([m.seconds for m in members])),
        findings=find(members),
    )


def table(suite: Suite, target: Target, protocol: str, measurements: Sequence[Measurement]) -> str:
    """The result as a text table."""
    facts = [target.kind, *([target.task] if target.task else []), target.about]
    lines = [
        f"target    {target.name}: {', '.join(facts)}",
        f"suite     {suite.about}",
        f"protocol  {protocol}: {PROTOCOLS[protocol].about}",
    ]
    lines.append(f"seen      {contamination(measurements, target)}")
    summary = rows(measurements)
    if suite.guidance is not None and any(row.map_rmse is not None for row in summary):
        lines.append(f"map       {suite.guidance.name} [{suite.guidance.unit}]")
    width = max(len("level"), *(len(row.level) for row in summary))
    lines += [
        "",
        f"{'':<{width}}            {'input':^15}  {'output':^15}    map       s/",
        f"{'level':<{width}}  pictures  {'PSNR':>7}{'SSIM':>8}  {'PSNR':>7}{'SSIM':>8}"
        "     RMSE  picture",
    ]
    for row in summary:
        error = "-" if row.map_rmse is None else f"{row.map_rmse:.4f}"
        lines.append(
            f"{row.level or 'all':<{width}}  {row.pictures:8d}  "
            f"{row.input_psnr:7.2f}{row.input_ssim:8.4f}  "
            f"{row.output_psnr:7.2f}{row.output_ssim:8.4f}  {error:>7}  {row.seconds:7.3f}"
        )
    return "\n".join(lines + _finding_lines(summary) + _quadrant_lines(measurements))


def _finding_lines(summary: Sequence[Row]) -> list[str]:
    """One line per level with what the means hide."""
    lines = [""]
    for row in summary:
        found, said = row.findings, []
        if found.least_gain is not None and found.harmed is not None:
            said.append(
                f"least gain {found.least_gain:+.2f} dB, "
                f"{found.harmed:.0%} lose more than {HARM:g} dB"
            )
        if found.unharmed is not None and found.lowest is not None:
            said.append(
                f"{found.unharmed:.1%} come back at {UNHARMED:g} dB and more, "
                f"the worst at {found.lowest:.2f} dB"
            )
        if found.part_error is not None and found.worst_part is not None:
            said.append(
                f"the worst text changes by {found.part_error:.2f} levels, "
                f"at most {found.worst_part:.2f}"
            )
        if found.map_ratio is not None and found.map_true is not None:
            said.append(
                f"map {found.map_ratio:.2f} of the true level (median), "
                f"within a factor of {TRUE_WITHIN:g} in {found.map_true:.0%}"
            )
        lines += [f"{row.level or 'all'}: {'; '.join(said)}"]
    return lines


def _quadrant_lines(measurements: Sequence[Measurement]) -> list[str]:
    """The map's RMS error in each quadrant over all pictures, in percent."""
    measured = [m.quadrants for m in measurements if m.quadrants]
    if not measured:
        return []
    lines = [
        "",
        "map in percent of full scale, over all pictures; in the last column",
        f"without the {QUADRANT_MARGIN} pixels next to other quadrants",
        "quadrant        true  predicted   RMSE   RMSE inside",
    ]
    by_quadrant = [[quadrants[i] for quadrants in measured] for i in range(len(QUADRANTS))]
    everything = [q for quadrants in measured for q in quadrants]
    for name, parts in [*zip(QUADRANTS, by_quadrant, strict=True), ("all", everything)]:
        true, mean = (np.mean([getattr(q, f) for q in parts]) * 100 for f in ("true", "mean"))
        whole, inside = (
            math.sqrt(np.mean([getattr(q, f) ** 2 for q in parts])) * 100
            for f in ("rmse", "inside_rmse")
        )
        lines.append(f"{name:<12}  {true:6.2f}     {mean:6.2f} {whole:6.2f}        {inside:6.2f}")
    return lines


def to_json(
    suite: Suite,
    target: Target,
    protocol: str,
    measurements: Sequence[Measurement],
    settings: dict[str, Any],
) -> str:
    """The result as JSON: all pictures, and what is needed to repeat the run.

    Infinite PSNR (identical pictures) and unknown maps are null.
    settings: the options the user chose.
    """
    values = {
        "target": {
            "name": target.name,
            "kind": target.kind,
            "task": target.task,
            "about": target.about,
            "sha256": target.sha256,
        },
        "suite": {"about": suite.about, **suite.settings},
        "protocol": {"name": protocol, "about": PROTOCOLS[protocol].about},
        "settings": settings,
        "contamination": asdict(contamination(measurements, target)),
        "versions": _versions(),
        "levels": [asdict(row) for row in rows(measurements)],
        "pictures": [asdict(m) for m in measurements],
    }
    return json.dumps(_finite(values), indent=2, allow_nan=False) + "\n"


def summary(
    protocol: str, measurements: Sequence[Measurement], found: Contamination
) -> dict[str, Any]:
    """The summary of an evaluation for a model file: the means of each level, rounded.

    Includes how many of the pictures the model was trained on, if known.
    """
    kept = ("pictures", "input_psnr", "output_psnr", "output_ssim", "map_rmse")
    levels = {}
    for row in rows(measurements):
        figures = {name: getattr(row, name) for name in kept} | asdict(row.findings)
        levels[row.level or "all"] = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in figures.items()
            if value is not None
        }
    seen = {} if found.seen is None else {"seen_in_training": found.seen}
    return {"protocol": protocol, **seen, **levels}


def _versions() -> dict[str, str]:
    found = {"hyperguide": hyperguide.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
