"""The models that come with the package."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import HyperguideError
from .tasks import find_task

FOLDER = Path(__file__).parent / "models"


def bundled_models() -> list[Path]:
    """The model files of the package, sorted by name; `TASK-TIER.onnx`."""
    return sorted(FOLDER.glob("*.onnx"))


def model_path(model: str | Path, tier: str = "fast") -> Path:
    """What a user means by `model`: a path, or the task of a bundled model.

    A string is a path if it ends in .onnx or has a slash in it.
    """
    if isinstance(model, Path) or model.endswith(".onnx") or "/" in model or os.sep in model:
        return Path(model)
    return bundled_path(model, tier)


def bundled_path(task: str, tier: str) -> Path:
    """The bundled model of a task. Raises HyperguideError if there is none."""
    find_task(task)
    path = FOLDER / f"{task}-{tier}.onnx"
    if not path.exists():
        have = ", ".join(p.stem for p in bundled_models()) or "none"
        raise HyperguideError(
            f"No {task} model of the tier '{tier}' is bundled (there are: {have}): "
            "train and export one, and give it with -m MODEL.onnx."
        )
    return path
