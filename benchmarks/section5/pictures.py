"""Fig. 4 as a plot, and Figs. 6 to 13 as sheets of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hyperguide.picture_files import write_picture
from hyperguide.storage.atomic import write_atomically
from hyperguide.training.evaluation.measure import measure
from hyperguide.training.evaluation.photo_sheet import draw_photos, look_at
from hyperguide.training.evaluation.protocols import PROTOCOLS
from hyperguide.training.evaluation.sheet import draw_sheet
from hyperguide.training.evaluation.suites import list_pictures
from hyperguide.training.logbook import read_log

from .configurations import Section, jobs
from .subjects import bundled, trainings
from .suites import open_part

# Panels of Fig. 4: key in the log, title, whether the axis is logarithmic.
_PANELS = (
    ("g", "guidance loss g, training", True),
    ("f", "reconstruction loss f, training", True),
    ("held_out_g", "g, held-out", True),
    ("held_out_f", "f, held-out", True),
    ("inner_gap", "inner gap: g minus g after ten more inner steps", False),
    ("regret", "regret: f by the own map minus f by the true one", False),
)
_CURVES = ("general-strict", "general-response", "general-naive", "general-unguided")


@dataclass(frozen=True)
class _Sheet:
    """Pictures of a suite, restored by a training, if it is finished, and by the bundled model."""

    figures: str
    suite: str
    section: Section
    trained: str = ""


_SHEETS = (
    _Sheet("fig6-8", "levin quadrants", "restoration", "general-strict"),
    _Sheet("fig10-11", "rain100l", "derain", "prenet-strict"),
    _Sheet("fig11-heavy", "rain100h", "derain"),
    _Sheet("fig13-14", "sots", "dehaze", "griddehazenet-strict"),
)
_REAL_RAIN = "fig12"
_MOST_PHOTOS = 4


def draw_figure_4(runs: Path, path: Path) -> bool:
    """Draw f, g and the inner gap of all seeds; returns whether there was anything to draw."""
    from matplotlib.figure import Figure

    logs = [
        (job.name, job.seed, read_log(runs / job.folder))
        for job in jobs("restoration")
        if job.name in _CURVES
    ]
    if not any(lines for _, _, lines in logs):
        return False
    figure = Figure(figsize=(11, 9), layout="constrained")
    for number, (key, title, logarithmic) in enumerate(_PANELS, 1):
        axes = figure.add_subplot(3, 2, number)
        for name, seed, lines in logs:
            points = [(line["step"], line[key]) for line in lines if key in line]
            if points:
                label = name.removeprefix("general-") if seed == 0 else None
                color = f"C{_CURVES.index(name)}"
                axes.plot(*zip(*points, strict=True), color=color, label=label, linewidth=1)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step", fontsize=9)
        axes.grid(alpha=0.3)
        if logarithmic:
            axes.set_yscale("log")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=8)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))
    return True


def draw_sheets(data: Path, runs: Path, checkpoints: Path, folder: Path) -> Iterator[Path]:
    """Draw the sheets of what is trained and bundled; yields the files."""
    for sheet in _SHEETS:
        finished = trainings(sheet.section, runs, checkpoints)
        subjects = [subject for subject in finished if subject.name == sheet.trained][:1]
        for subject in (*subjects, bundled(sheet.section)):
            suite, target = open_part(sheet.suite, data, quick=True), subject.open()
            few = replace(suite, cases=suite.cases[:_MOST_PHOTOS])
            examples = list(measure(few, target, PROTOCOLS[suite.protocol]))
            path = folder / f"{sheet.figures} {subject.name}.jpg"
            write_picture(path, draw_sheet(examples, suite.guidance), quality=85)
            yield path
    if not (data / "real_rain").is_dir():
        return
    photos = list_pictures(data / "real_rain")
    chosen = photos[:: max(len(photos) // _MOST_PHOTOS, 1)][:_MOST_PHOTOS]
    looked = look_at(chosen, bundled("derain").open(), (1.0,), lambda: None)
    path = folder / f"{_REAL_RAIN} bundled derain.jpg"
    write_picture(path, draw_photos(looked), quality=85)
    yield path
