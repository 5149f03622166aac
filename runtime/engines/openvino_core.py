"""OpenVINO's one `Core` for the whole process."""

from __future__ import annotations

from functools import cache
from typing import Any

from hyperguide.errors import UnavailableError

from .libraries import import_library


@cache
def openvino_core() -> Any:
    """The `openvino.Core` that all engines share, created on first use and then kept.

    On processors with AMX, a `Core` gives its thread a larger stack for signal handlers. If two
    exist at the same time, the one destroyed last restores the stack of the other, which is freed
    by then (2026.4.1): the next Ctrl-C overwrites whatever is there. So there is only one, and it
    is never destroyed.

    Raises UnavailableError if OpenVINO is missing, too old, or does not start.
    """
    openvino = import_library("openvino")
    try:
        return openvino.Core()
    except RuntimeError as error:
        raise UnavailableError(
            f"OpenVINO does not start: {str(error).strip().splitlines()[-1]}"
        ) from error
