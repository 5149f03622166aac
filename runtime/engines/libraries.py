"""The packages of the engines, imported; one sentence where one does not load or is too old."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from typing import Any

from hyperguide.errors import UnavailableError

# Module -> the oldest version that works, as in pyproject.toml.
OLDEST = {
    "onnxruntime": "1.20",
    "openvino": "2024.4",
    "tensorrt": "10.13",
    "tensorrt_rtx": "1.2",
}
# Module -> extra that installs it.
EXTRAS = {
    "onnxruntime": "cpu",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "rtx",
}


def import_library(module: str) -> Any:
    """Import the package of an engine.

    Raises UnavailableError, with the line that mends it, if it does not load or is too old.
    """
    try:
        library = importlib.import_module(module)
    except Exception as error:  # what goes wrong inside of a package can be anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnavailableError(
            f"{module} is installed but does not load, {reason}: "
            f"pip install --force-reinstall 'hyperguide[{_extra(module)}]'."
        ) from error
    version = str(getattr(library, "__version__", OLDEST[module]))
    if _numbers(version) < _numbers(OLDEST[module]):
        raise UnavailableError(
            f"{module} {version} is too old, this needs {OLDEST[module]} or newer: "
            f"pip install --upgrade 'hyperguide[{_extra(module)}]'."
        )
    return library


def _extra(module: str) -> str:
    """The extra that installed a package: ONNX Runtime comes in two wheels."""
    if module == "onnxruntime" and any(importlib.metadata.distributions(name="onnxruntime-gpu")):
        return "gpu"
    return EXTRAS[module]


def _numbers(version: str) -> tuple[int, ...]:
    """As (2026, 4, 1) from 2026.4.1-22982-e213a147257."""
    leading = re.match(r"[\d.]*", version)
    assert leading is not None
    return tuple(int(number) for number in leading[0].split(".") if number)
