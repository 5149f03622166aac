"""The models that come with the package."""

from __future__ import annotations

from pathlib import Path

from .errors import HyperguideError
from .tasks import find_task

FOLDER = Path(__file__).parent / "models"


def bundled_models() -> list[Path]:
    """The model files of the package, sorted by name; `TASK-TIER.onnx`."""
    return sorted(FOLDER.glob("*.onnx"))


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
