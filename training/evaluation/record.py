"""The result of an evaluation inside the model file that it is about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperguide.engines.proof import seal_breaks
from hyperguide.errors import HyperguideError
from hyperguide.model_format.model_file import ModelFile, read_model_file, replace_info

from .suites import Boundary


def open_record(target: str) -> ModelFile:
    """The model file that a result is to be written into.

    Raises HyperguideError if the target is no model file, or one that was changed since its export.
    """
    path = Path(target)
    if path.suffix != ".onnx":
        raise HyperguideError(
            f"--record writes into an .onnx file, which {target} is not: name one."
        )
    file = read_model_file(path)
    if seal_breaks(file):
        raise HyperguideError(
            f"{path} was changed since it was exported, its results would not be worth keeping: "
            "export it again."
        )
    return file


def suite_title(name: str, color: bool, boundary: Boundary | None) -> str:
    """The key of a suite's result: its name and what was chosen; of a folder only the last part."""
    kind, colon, folder = name.partition(":")
    chosen = ["color"] if color else []
    if boundary == "valid":
        chosen.append(boundary)
    return " ".join([kind, *([Path(folder).resolve().name] if colon else []), *chosen])


def record(file: ModelFile, title: str, result: dict[str, Any]) -> None:
    """Replace the file by one whose metadata holds a result, and the seal to it."""
    replace_info(file, replace(file.info, quality=file.info.quality | {title: result}))
