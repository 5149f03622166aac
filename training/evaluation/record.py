"""Stores the result of an evaluation in the model file that was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperguide.engines.proof import seal_breaks
from hyperguide.errors import HyperguideError
from hyperguide.model_format.model_file import ModelFile, read_model_file, replace_info

from .suites import Boundary


def open_record(target: str) -> ModelFile:
    """Open the model file that a result will be written into.

    Raises HyperguideError if the target is not a model file or was changed since its export.
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
    """The key of a suite's result: its name, the last part of its folder, and its options."""
    kind, colon, folder = name.partition(":")
    chosen = ["color"] if color else []
    if boundary == "valid":
        chosen.append(boundary)
    return " ".join([kind, *([Path(folder).resolve().name] if colon else []), *chosen])


def record(file: ModelFile, title: str, result: dict[str, Any]) -> None:
    """Replace the file by one whose metadata holds the result, sealed again."""
    replace_info(file, replace(file.info, quality=file.info.quality | {title: result}))
