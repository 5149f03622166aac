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
    """What a user means by `model`: a path, the task of a bundled model, or its file's name.

    A string is a path if it ends in .onnx or .engine or has a slash in it. Tier and precision
    belong to tasks.
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
    """The bundled file of a name without its suffix; None if there is none."""
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
    """The bundled model for gray pictures beside one for colour; None if there is none."""
    task, _, rest = path.stem.partition("-")
    beside = path.with_name(f"{task}-gray-{rest}.onnx")
    return beside if path.parent == FOLDER and beside.exists() else None
