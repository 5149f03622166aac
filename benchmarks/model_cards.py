"""Writes the model cards of the bundled models: `runtime/models/NAME.md` and its pictures.

    python benchmarks/model_cards.py [--runs RUNS] [--check]

The figures are those that `hyperguide eval --record` wrote into the files, the text is that of
`cards/NAME.yaml`. The text is also stored in the files, for `hyperguide info`. Its facts about the
training come from the files, through fields such as `{data[photos]}`, see `Words`. RUNS holds run
folders NAME, whose logs are plotted; other plots are left unchanged.

With --check nothing is written: the cards are compared with the files that they describe.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage
import torch
import yaml

import hyperguide
from hyperguide.model_format.model_file import ModelFile, read_model_file, replace_info
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.picture_files import draw_text, false_color, read_picture, write_picture
from hyperguide.psnr import psnr
from hyperguide.tasks import Guidance
from hyperguide.training.data.degradations import DEGRADATIONS
from hyperguide.training.data.sample import Sample
from hyperguide.training.evaluation.findings import HARM, TRUE_WITHIN, UNHARMED
from hyperguide.training.logbook import read_log
from hyperguide.training.preset import build
from hyperguide.training.seen_photos import SeenPhotos

WORDS = Path(__file__).parent / "cards"
MODELS = Path(__file__).parents[1] / "runtime" / "models"
PICTURES = MODELS / "cards"

_SIDE = 240  # of the crop that shows a failure, at 100 %
_GAP, _LINE = 8, 24
_CURVES = (("output_psnr", "held-out PSNR [dB]"), ("f", "loss f"), ("guidance_rmse", "map RMSE"))


@dataclass(frozen=True)
class Failure:
    """A limit of a model, with a picture that shows it.

    says: text of the limit.
    photo: file name of a scikit-image photo.
    corner: upper left corner of the crop, (row, column).
    degradation: settings of the task's degradation; None leaves the photo unchanged.
    """

    says: str
    photo: str
    corner: tuple[int, int]
    degradation: dict[str, Any] | None = None


@dataclass(frozen=True)
class Words:
    """The hand-written text about a model.

    data: about the training data, with fields from the file's training record: `data`, where
        `alone` counts the photos without a partner; `degradation` and `outer`, the settings of D_h
        and D_tr as attributes;
        `levels`, those in parts of 255.
    machine: the hardware of its last run.
    """

    title: str
    purpose: str
    data: str
    preset: str
    limits: list[str]
    failures: tuple[Failure, ...]
    machine: str = "one core"

    def card(self, info: ModelInfo) -> dict[str, Any]:
        """The card to store in a model file with this info."""
        limits = [*self.limits, *(failure.says for failure in self.failures)]
        return {"purpose": self.purpose, "data": self.filled(info), "limits": limits}

    def filled(self, info: ModelInfo) -> str:
        """The text about the training data, with the numbers of the file."""
        training = info.training
        data, preset = training["data"], training["preset"]
        fields = preset.get("degradation", {})
        kind = DEGRADATIONS[info.task]
        degradation = build(kind, fields, info.task)
        outer = build(kind, fields | preset.get("outer_degradation", {}), info.task)
        levels = {
            name: round(255 * value)
            for name, value in vars(degradation).items()
            if isinstance(value, float)
        }
        alone = data["photos"] - data["pairs"]
        return self.data.format(
            data=data | {"alone": alone}, degradation=degradation, outer=outer, levels=levels
        )


def read_words(path: Path) -> Words:
    values = yaml.safe_load(path.read_text())
    failures = tuple(Failure(**failure) for failure in values.pop("failures"))
    return Words(failures=failures, **values)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        sys.exit(check())
    PICTURES.mkdir(exist_ok=True)
    for path in sorted(WORDS.glob("*.yaml")):
        name = path.stem
        words = read_words(path)
        models = [_with_card(file, words) for file in _files(name)]
        if arguments.runs is not None and (arguments.runs / name).exists():
            draw_run(arguments.runs / name, _plot(name))
        enhancer = hyperguide.load(models[0].path)
        for number, failure in enumerate(words.failures, 1):
            write_picture(PICTURES / f"{name}-{number}.jpg", show(failure, enhancer))
        (MODELS / f"{name}.md").write_text(write_card(name, words, models))
        print(f"{name}: {len(models)} files")


def check() -> int:
    """Print where the cards contradict the files; returns the number of contradictions."""
    wrong = []
    for path in sorted(WORDS.glob("*.yaml")):
        name = path.stem
        words = read_words(path)
        models = [read_model_file(file) for file in _files(name)]
        for model in models:
            wrong += [f"{model.path.name}: {fault}" for fault in faults(model.info, words)]
            if model.info.training != models[0].info.training:
                wrong.append(f"{model.path.name} was not made from {models[0].path.name}")
        card = MODELS / f"{name}.md"
        if not card.is_file() or card.read_text() != write_card(name, words, models):
            wrong.append(f"{name}.md does not say what the files say")
    for fault in wrong:
        print(fault)
    return len(wrong)


def faults(info: ModelInfo, words: Words) -> list[str]:
    """What is wrong with the card and the recorded results of a file."""
    found = []
    if info.card != words.card(info):
        found.append("its card is not that of its training")
    if not SeenPhotos.from_record(info.training.get("seen")).on_record:
        found.append("nobody knows all photos that it was trained on")
    for suite, levels in info.quality.items():
        if "protocol" in levels and levels.get("seen_in_training") != 0:
            found.append(f"it was trained on pictures of {suite}, or nobody knows")
    return found


def _files(name: str) -> list[Path]:
    files = [MODELS / f"{name}{suffix}.onnx" for suffix in ("", "-int8")]
    return [file for file in files if file.exists()]


def _plot(name: str) -> Path:
    return PICTURES / f"{name}-run.png"


def _with_card(path: Path, words: Words) -> ModelFile:
    file = read_model_file(path)
    replace_info(file, replace(file.info, card=words.card(file.info)))
    return read_model_file(path)


def write_card(name: str, words: Words, models: list[ModelFile]) -> str:
    """The card as Markdown."""
    lines = [f"# {words.title}", "", words.purpose, ""]
    lines += ["| file | bytes | precision | color | map | looks |", "|---|---|---|---|---|---|"]
    for model in models:
        about = model.info
        reach = f"{about.receptive_field} pixels far"
        if about.whole_picture:
            reach = "at the whole picture"
        elif about.context == "global":
            reach += ", its map over the whole picture"
        lines.append(
            f"| `{model.path.name}` | {len(model.content)} | {about.precision} | {about.color} | "
            f"{about.guidance.name} [{about.guidance.unit}] | {reach} |"
        )
    lines += ["", "## Measured", "", *quality_table(models), ""]
    lines += [
        "PSNR in dB, of the degraded picture and of the results. `hyperguide eval FILE --suite`",
        "prints each row, `hyperguide info` shows what the file holds.",
        "",
        *_findings(models),
        *harm_table(models),
    ]
    training = models[0].info.training
    hours = training["seconds"] / 3600
    lines += [
        "## Trained",
        "",
        words.filled(models[0].info),
        "",
        *_seen(models[0].info),
        f"`{words.preset}` by Algorithm 1 ({_manner(training['settings'])}); the "
        f"{'last ' if training.get('origin') else ''}run took {training['step']} steps, "
        f"{hours:.2f} hours on {words.machine}.",
        "",
        *([f"![the run](cards/{name}-run.png)", ""] if _plot(name).exists() else []),
        "## Limits",
        "",
        *(f"- {limit}" for limit in words.limits),
        "",
    ]
    for number, failure in enumerate(words.failures, 1):
        lines += [failure.says, "", f"![{failure.says}](cards/{name}-{number}.jpg)", ""]
    return "\n".join(lines)


def _manner(settings: dict[str, Any]) -> str:
    teacher = settings.get("teacher")
    return f"strategy {settings['strategy']}" + (f", teacher {teacher}" if teacher else "")


def quality_table(models: list[ModelFile]) -> list[str]:
    """A row for each suite and level in the first file, a column for each file."""
    names = [model.info.precision for model in models]
    rows = [
        "| suite | pictures | input | " + " | ".join(names) + " | SSIM | map RMSE |",
        "|---" * (5 + len(names)) + "|",
    ]
    for suite, levels in models[0].info.quality.items():
        for level, figures in _scored(levels).items():
            if not math.isfinite(figures["input_psnr"]):
                continue  # pictures with nothing to remove
            error = figures.get("map_rmse")
            cells = [
                suite if level == "all" else f"{suite}, {level}",
                str(figures["pictures"]),
                f"{figures['input_psnr']:.2f}",
                *(_psnr(model.info, suite, level) for model in models),
                f"{figures['output_ssim']:.4f}",
                "-" if error is None else f"{error:.4f}",
            ]
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def _scored(levels: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of a suite's result; empty for entries that are not suites."""
    return {k: v for k, v in levels.items() if isinstance(v, dict)} if "protocol" in levels else {}


def _findings(models: list[ModelFile]) -> list[str]:
    """Findings on real noise, where only the level of the true map is known."""
    lines = []
    for model in models:
        for suite, levels in model.info.quality.items():
            for row in _scored(levels).values():
                if "map_true" in row and "map_rmse" not in row:
                    lines.append(
                        f"- {suite}, {model.info.precision}: the picture that gains least gains "
                        f"{row['least_gain']:+.2f} dB, {row['harmed']:.0%} lose more than "
                        f"{HARM:g} dB; the map has {row['map_ratio']:.2f} of the true level "
                        f"(median), within a factor of {TRUE_WITHIN:g} on {row['map_true']:.0%}."
                    )
    return [*lines, ""] if lines else []


def harm_table(models: list[ModelFile]) -> list[str]:
    """A row for each suite with nothing to remove; empty without such suites."""
    rows = []
    for suite, levels in models[0].info.quality.items():
        for level, row in _scored(levels).items():
            if "unharmed" not in row:
                continue
            cells = [suite, str(row["pictures"])]
            for model in models:
                one = model.info.quality.get(suite, {}).get(level, {})
                cells += [f"{one['unharmed']:.1%}, {one['lowest']:.1f}"] if one else ["-"]
            rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        return []
    names = " | ".join(model.info.precision for model in models)
    return [
        f"Pictures with nothing to remove: the share that comes back at {UNHARMED:g} dB and more, "
        "and the lowest PSNR.",
        "",
        f"| suite | pictures | {names} |",
        "|---" * (2 + len(models)) + "|",
        *rows,
        "",
    ]


def _seen(info: ModelInfo) -> list[str]:
    """A line on how many test pictures were among the training photos."""
    counts = [
        f"{suite} {levels['seen_in_training']} of {max(r['pictures'] for r in rows.values())}"
        for suite, levels in info.quality.items()
        if (rows := _scored(levels)) and "seen_in_training" in levels
    ]
    if not counts:
        return []
    return [f"Test pictures among the training photos: {', '.join(counts)}.", ""]


def _psnr(info: ModelInfo, suite: str, level: str) -> str:
    figures = info.quality.get(suite, {}).get(level)
    return "-" if figures is None else f"{figures['output_psnr']:.2f}"


def show(failure: Failure, enhancer: hyperguide.Enhancer) -> np.ndarray:
    """Input, map, result and truth of a failure side by side at 100 %."""
    info = enhancer.info
    photo = read_picture(Path(skimage.__file__).parent / "data" / failure.photo)
    photo = photo if photo.ndim == 2 else photo[:, :, :3]
    if info.color == "gray" and photo.ndim == 3:
        photo = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    if info.color == "rgb" and photo.ndim == 2:
        photo = np.dstack([photo] * 3)
    sample = _degrade(np.atleast_3d(photo), failure, info.task)
    degraded, clean = (_bytes(planes) for planes in (sample.degraded, sample.clean))
    kernel = None if sample.kernel is None else sample.kernel[0, 0].numpy()
    result = enhancer(degraded, kernel=kernel)
    assert result.guidance is not None
    top, left = failure.corner
    window = slice(top, top + _SIDE), slice(left, left + _SIDE)
    meaning: Guidance = info.guidance
    cells = {
        f"input, {_distance(degraded, clean)}": degraded[window],
        "predicted map": false_color(result.guidance[window], meaning, legend=False),
        f"result, {_distance(result.image, clean)}": result.image[window],
        "truth": clean[window],
    }
    strip = np.full((_LINE + _SIDE, len(cells) * (_SIDE + _GAP) - _GAP, 3), 255, np.uint8)
    for i, (caption, cell) in enumerate(cells.items()):
        at = i * (_SIDE + _GAP)
        draw_text(strip, caption, at, _LINE - 8, size=0.45)
        rows, columns = cell.shape[:2]
        strip[_LINE : _LINE + rows, at : at + columns] = (
            cell if cell.ndim == 3 else cell[:, :, None]
        )
    return strip


def _distance(picture: np.ndarray, clean: np.ndarray) -> str:
    decibels = psnr(picture, clean, 255)
    return "as the truth" if math.isinf(decibels) else f"{decibels:.2f} dB"


def _degrade(photo: np.ndarray, failure: Failure, task: str) -> Sample:
    planes = torch.from_numpy(photo.transpose(2, 0, 1).copy())[None] / 255
    if failure.degradation is None:
        return Sample(planes, planes, torch.zeros_like(planes[:, :1]))
    degradation = build(DEGRADATIONS[task], failure.degradation, failure.photo)
    return degradation.degrade(planes, None, torch.Generator().manual_seed(1))


def _bytes(planes: torch.Tensor) -> np.ndarray:
    picture = (planes[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return np.ascontiguousarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)


def draw_run(run: Path, path: Path) -> None:
    """Draw a small plot of a run's log."""
    from matplotlib.figure import Figure

    lines = read_log(run)
    if not lines:
        raise SystemExit(f"{run} has no log: name the folder as the model.")
    figure = Figure(figsize=(9, 2.2), layout="constrained")
    for axes, (key, title) in zip(figure.subplots(1, len(_CURVES)), _CURVES, strict=True):
        points = np.array([(line["step"], line[key]) for line in lines if key in line])
        if len(points) > 400:  # average neighbours
            share = len(points) // 200
            points = points[: len(points) // share * share].reshape(-1, share, 2).mean(1)
        axes.plot(*points.T, linewidth=1)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
