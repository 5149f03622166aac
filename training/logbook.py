"""The record of a run: log.jsonl, TensorBoard events, and curves.png.

Each line of the log is a JSON object with `step`, `seconds`, the step sizes and the means of f and
g since the previous line. Some lines also hold the figures of held-out photos.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import write_atomically
from hyperguide.storage.bounded_json import parse_json
from hyperguide.storage.file_content import read_content
from hyperguide.storage.paths import exists

from .event_file import PATTERN, EventFile

LOG = "log.jsonl"
CURVES = "curves.png"
EVENTS = "tensorboard"

_MOST_BYTES = 256 << 20  # of a log; a long run writes about 2 MB
_MOST_STEPS = 1 << 53  # steps below it can be drawn

Line = dict[str, float | int]
"""The figures of a step."""

# Panels of curves.png: title -> (key in the log, label).
_PANELS: dict[str, tuple[tuple[str, str], ...]] = {
    "guidance loss g": (("g", "training"), ("held_out_g", "held-out")),
    "reconstruction loss f": (("f", "training"), ("held_out_f", "held-out")),
    "held-out PSNR [dB]": (("output_psnr", "result"), ("input_psnr", "input")),
    "RMSE of the map": (("guidance_rmse", ""),),
    "guidance regret f(H) - f(g_gt)": (("regret", ""),),
    "inner gap of g": (("inner_gap", ""),),
    "cosine of the gradients for theta": (("cosine", ""),),
    "step sizes": (("lr_omega", "omega"), ("lr_theta", "theta")),
}
_LOGARITHMIC = ("guidance loss g", "RMSE of the map")


class Logbook:
    """Writes the log of one run. A resumed run continues after the step it resumes from."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        self._forget_after(step)
        self._events: EventFile | None = None
        self._step = step

    def _forget_after(self, step: int) -> None:
        """Drop the lines after `step`, which a kill undid; at step 0, all logs of an older run."""
        path = self.folder / LOG
        if step == 0:
            for events in (self.folder / EVENTS).glob(PATTERN):
                events.unlink()
            (self.folder / CURVES).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            return
        lines = [line for line in read_log(self.folder) if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_atomically(path, lambda temporary: temporary.write_text(text))

    def add(self, figures: Mapping[str, float | int]) -> None:
        """Append the figures of a step. Raises OSError if writing fails."""
        with (self.folder / LOG).open("a") as log:
            log.write(json.dumps(figures) + "\n")
        if self._events is None:
            self._events = EventFile(self.folder / EVENTS, self._step + 1)
        values = {name: value for name, value in figures.items() if name != "step"}
        self._events.add(values, int(figures["step"]))

    def close(self) -> None:
        """Close the event file."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def draw(self) -> None:
        """Draw curves.png from the whole log."""
        draw_curves(read_log(self.folder), self.folder / CURVES)


def read_log(folder: Path) -> list[Line]:
    """Read the lines of a run's log, or none without a log; skips a last line cut off by a kill.

    Raises HyperguideError if any other line does not hold the figures of a step.
    """
    path = folder / LOG
    if not exists(path):
        return []
    *whole, cut = read_content(path, "log", _MOST_BYTES).split(b"\n")
    lines = [_line(text, number, path) for number, text in enumerate(whole, 1)]
    try:
        return [*lines, _figures(cut)]
    except ValueError:
        return lines


def _line(text: bytes, number: int, path: Path) -> Line:
    try:
        return _figures(text)
    except ValueError:
        raise HyperguideError(f"Line {number} of {path} is damaged: delete it.") from None


def _figures(text: bytes) -> Line:
    values = parse_json(text)
    if not isinstance(values, dict) or not all(map(_is_number, values.values())):
        raise ValueError("no object of numbers")
    step = values.get("step")
    if not isinstance(step, int) or not 0 <= step < _MOST_STEPS:
        raise ValueError("no step")
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def draw_curves(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the training curves, f and g as in the paper's Fig. 4, and the diagnostics.

    Panels without figures are left out.
    """
    from matplotlib.figure import Figure

    panels = {
        title: curves
        for title, curves in _PANELS.items()
        if any(key in line for line in lines for key, _ in curves)
    }
    rows = max(-(-len(panels) // 2), 1)  # an empty figure needs a height too
    figure = Figure(figsize=(11, 2.6 * rows), layout="constrained")
    for number, (title, curves) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, 2, number)
        for key, label in curves:
            points = [(line["step"], line[key]) for line in lines if key in line]
            marker = "o" if len(points) < 40 else None
            axes.plot(*zip(*points, strict=True), label=label, marker=marker, markersize=3)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step", fontsize=9)
        axes.grid(alpha=0.3)
        if title in _LOGARITHMIC:
            axes.set_yscale("log")
        if any(label for _, label in curves):
            axes.legend(fontsize=8)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110))
