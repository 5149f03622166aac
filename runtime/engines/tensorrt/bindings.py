"""The installed TensorRT: TensorRT 10 or 11, or TensorRT-RTX, which builds without a GPU.

Their Python interfaces agree in what is used here, so the same code works with each of them.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from hyperguide.engines.libraries import EXTRAS, import_library
from hyperguide.errors import HyperguideError

BUILDERS = ("tensorrt", "tensorrt_rtx")


@dataclass(frozen=True)
class TensorRt:
    """An imported TensorRT module.

    name: `tensorrt` or `tensorrt_rtx`.
    module: the module itself.
    """

    name: str
    module: Any

    @property
    def version(self) -> str:
        """Its version."""
        return str(self.module.__version__)

    @property
    def is_rtx(self) -> bool:
        """Whether it can build for GPUs that this machine does not have."""
        return self.name == "tensorrt_rtx"

    @property
    def targets(self) -> tuple[str, ...]:
        """Compute capabilities to choose from, such as `sm89`; empty if it takes no target."""
        if not self.is_rtx:
            return ()
        names = (name.lower() for name in dir(self.module.ComputeCapability))
        return tuple(name for name in names if name.startswith("sm"))


class Messages:
    """Collects TensorRT's error messages."""

    def __init__(self, tensorrt: TensorRt) -> None:
        trt = tensorrt.module
        grave = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)
        lines: list[str] = []

        class Logger(trt.ILogger):  # type: ignore[name-defined]
            def __init__(self) -> None:
                super().__init__()

            def log(self, severity: Any, message: str) -> None:
                if severity in grave:
                    lines.append(message)

        self.logger = Logger()
        self._lines = lines

    def clear(self) -> None:
        """Forget the messages so far."""
        self._lines.clear()

    def reason(self) -> str:
        """The first error message, on one line."""
        return " ".join(self._lines[0].split()) if self._lines else "it gave no reason"


def open_tensorrt(name: str = "auto") -> TensorRt:
    """Import a TensorRT module.

    name: `tensorrt`, `tensorrt_rtx`, or `auto` for the first that is installed.
    Raises HyperguideError if it is not installed or does not load.
    """
    wanted = list(BUILDERS) if name == "auto" else [name]
    for module in wanted:
        if importlib.util.find_spec(module) is None:
            continue
        return TensorRt(module, import_library(module))
    lines = " or ".join(f"pip install 'hyperguide[{EXTRAS[module]}]'" for module in wanted)
    raise HyperguideError(f"No TensorRT is installed: {lines}.")
