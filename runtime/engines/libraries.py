"""Imports the engines' packages; one that does not load or is too old is a one-line error."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from typing import Any

from hyperguide.errors import UnavailableError

# Module -> the oldest version that works, as in pyproject.toml.
OLDEST = {
    "onnxruntime": "1.20",
    "openvino": "2025.0",
    "tensorrt": "10.13",
    "tensorrt_rtx": "1.4",
}
# Module -> names used from it, which another version or a mere folder of that name may lack.
NEEDED = {
    "onnxruntime": ("InferenceSession", "SessionOptions", "RunOptions"),
    "openvino": ("Core", "opset13"),
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

    Raises UnavailableError, with the command that fixes it, if it does not load, is too old or is
    incomplete.
    """
    try:
        library = importlib.import_module(module)
    except Exception as error:  # a package can raise anything
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
    lacking = [name for name in NEEDED.get(module, ()) if not hasattr(library, name)]
    if lacking:
        raise UnavailableError(
            f"{module} {version} is installed but has no {lacking[0]}: "
            f"pip install --force-reinstall 'hyperguide[{_extra(module)}]'."
        )
    return library


def _extra(module: str) -> str:
    """The extra that installed a package: ONNX Runtime comes in two wheels."""
    if module == "onnxruntime" and any(importlib.metadata.distributions(name="onnxruntime-gpu")):
        return "gpu"
    return EXTRAS[module]


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version: (2026, 4, 1) from 2026.4.1-22982-e213a147257."""
    leading = re.match(r"[\d.]*", version)
    assert leading is not None
    return tuple(int(number) for number in leading[0].split(".") if number)
