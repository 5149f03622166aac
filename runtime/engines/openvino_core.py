"""OpenVINO's one `Core` for the whole process."""

from __future__ import annotations

from functools import cache
from typing import Any

from hyperguide.errors import UnavailableError

from .libraries import import_library


@cache
def openvino_core() -> Any:
    """The `openvino.Core` that all engines share, made when it is first needed and then kept.

    Where the processor has AMX, a `Core` gives its thread a larger stack for signal handlers. Of
    two that live at the same time the one that ends last puts back the stack of the other, which is
    freed by then (2026.4.1): the next Ctrl-C writes over whatever lies there. So there is only one,
    and it never ends.

    Raises UnavailableError if OpenVINO is missing, too old, or does not start.
    """
    openvino = import_library("openvino")
    try:
        return openvino.Core()
    except RuntimeError as error:
        raise UnavailableError(
            f"OpenVINO does not start: {str(error).strip().splitlines()[-1]}"
        ) from error
