"""Picks the fastest engine that works on this machine."""

from __future__ import annotations

from hyperguide.errors import HyperguideError, RefusedError
from hyperguide.model_format.engine_file import EngineFile
from hyperguide.model_format.model_file import ModelFile

from .devices import Device
from .engine import Engine
from .opening import Settings, open_device, why_not
from .proof import compare_golden, refuse_changed


def fastest(model: ModelFile | EngineFile, settings: Settings) -> tuple[Engine, str]:
    """Load a file on the fastest kind of device that computes it correctly.

    Returns the engine, and why it was chosen. The precision is never lowered below the file's.
    Raises HyperguideError if the file was changed or no engine here runs it, RefusedError as soon
    as an engine finds it invalid.
    """
    refuse_changed(model)
    passed_over: dict[str, None] = {}  # reasons, each once, in order
    kinds = _by_speed(model)
    for kind in kinds:
        reason = why_not(kind, model, settings)
        if reason is None:
            try:
                engine = open_device(model, Device(kind), settings)
                if not settings.bf16:  # bf16 is less exact, as the user asked
                    _refuse_wrong(engine, model, kind)
            except RefusedError:
                raise
            except HyperguideError as error:
                if kind == kinds[-1]:
                    raise
                reason = str(error).rstrip(".")
            else:
                return engine, "; ".join(passed_over) or "the fastest"
        passed_over[reason] = None
    raise HyperguideError(f"No engine here runs {model.path}: {'; '.join(passed_over)}.")


def _by_speed(model: ModelFile | EngineFile) -> list[str]:
    """The kinds of devices that run a file, fastest first."""
    if isinstance(model, EngineFile):
        return ["tensorrt"]
    # OpenVINO runs int8 about twice as fast as ONNX Runtime, and fp32 about as fast.
    on_cpu = ["openvino", "cpu"] if model.info.precision == "int8" else ["cpu", "openvino"]
    return ["tensorrt", "ort-tensorrt", "cuda", *on_cpu]


def _refuse_wrong(engine: Engine, model: ModelFile | EngineFile, kind: str) -> None:
    """Close the engine and raise HyperguideError if it computes the golden samples wrong.

    GPU compilers have miscompiled such graphs (github.com/NVIDIA/TensorRT, issue 4854), and
    OpenVINO an int8 graph whose first layer reads two concatenated pictures. ONNX Runtime's CPU
    engine is not checked: the samples come from it.
    """
    if kind == "cpu":
        return
    try:
        if not all(d.passed for d in compare_golden(model, engine)):
            raise HyperguideError(f"{engine.name} computes {model.path} wrong.")
    except BaseException:
        engine.close()
        raise
