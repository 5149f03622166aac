"""The models that come with the package: `TASK[-gray]-TIER[-int8].onnx`."""

from __future__ import annotations

import os
from pathlib import Path

from hyperguide.errors import HyperguideError
from hyperguide.tasks import find_task

from .engine_file import SUFFIX

FOLDER = Path(__file__).parents[1] / "models"

BUNDLED_PRECISIONS = ("fp32", "int8")


def bundled_models() -> list[Path]:
    """The model files of the package, sorted by name."""
    return sorted(FOLDER.glob("*.onnx"))


def model_path(model: str | Path, tier: str = "fast", precision: str = "fp32") -> Path:
    """Resolve `model`: a path, the task of a bundled model, or its file name.

    A string is a path if it ends in .onnx or .engine or contains a slash. Tier and precision apply
    to tasks only.
    Raises HyperguideError if no such model is bundled.
    """
    if (
        isinstance(model, Path)
        or model.endswith((".onnx", SUFFIX))
        or "/" in model
        or os.sep in model
    ):
        return Path(model)
    return named_path(model) or bundled_path(model, tier, precision)


def named_path(name: str) -> Path | None:
    """The bundled file with a name, given without suffix; None if there is none."""
    path = FOLDER / f"{name}.onnx"
    return path if path in bundled_models() else None


def bundled_path(task: str, tier: str, precision: str = "fp32", gray: bool = False) -> Path:
    """The bundled model of a task. Raises HyperguideError if there is none."""
    find_task(task)
    parts = [task, *(["gray"] if gray else []), tier, *([precision] if precision != "fp32" else [])]
    path = FOLDER / f"{'-'.join(parts)}.onnx"
    if not path.exists():
        have = ", ".join(p.stem for p in bundled_models()) or "none"
        raise HyperguideError(
            f"No {task} model of the tier '{tier}' in {precision} is bundled (there are: {have}): "
            "train and export one, and give it with -m MODEL.onnx."
        )
    return path


def gray_path(path: Path) -> Path | None:
    """The gray counterpart of a bundled colour model, or else that of the tier `fast`.

    None if there is neither.
    """
    if path.parent != FOLDER or "-gray-" in path.stem:
        return None
    task, tier, *precision = path.stem.split("-")
    names = ("-".join([task, "gray", of, *precision]) for of in (tier, "fast"))
    return next((beside for name in names if (beside := FOLDER / f"{name}.onnx").exists()), None)
