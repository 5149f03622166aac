"""`hyperguide verify`: is the file what was exported, and are its results correct here?"""

from __future__ import annotations

import click

from hyperguide.engines import KINDS, Device, Engine, OnnxRuntimeCpu, Settings, open_engine, why_not
from hyperguide.engines.proof import Deviation, compare_golden, compare_shapes, refuse_changed
from hyperguide.errors import HyperguideError, UnavailableError
from hyperguide.model_format.bundled import model_path
from hyperguide.model_format.engine_file import EngineFile, read_file
from hyperguide.model_format.model_file import ModelFile

from .options import DeviceType
from .progress import building_bar


@click.command(
    epilog="""\b
Examples:
  hyperguide verify model.onnx
  hyperguide verify denoise
  hyperguide verify model.engine
  hyperguide verify model.onnx --device openvino && deploy model.onnx
"""
)
@click.argument("model")
@click.option("--tier", default="fast", show_default=True, help="Tier of a bundled model.")
@click.option(
    "--device",
    type=DeviceType(),
    help="Only this one, which must run; by default everything that is installed.",
)
@click.option("--trust", is_flag=True, help="Load an engine that somebody else built.")
def verify(model: str, tier: str, device: Device | None, trust: bool) -> None:
    """Check a file's digests, then run its golden samples on the engines of this machine.

    Narrow pictures, for which engines use different code, are compared with ONNX Runtime's CPU
    engine if it is installed.

    MODEL is a model file, a bundled model or a TensorRT engine. Exit code 1 if weights, graph or
    metadata were changed, or if image or guidance deviate on an engine.
    """
    file = read_file(model_path(model, tier), trust)
    click.echo(f"{file.path}: {_kind(file)}, digests match")
    verdicts = {}
    for one in map(Device, KINDS) if device is None else [device]:
        reason = why_not(one.kind, file) if device is None else None
        if reason is not None:
            click.echo(f"{one}: not run, {reason}")
            continue
        try:
            verdicts[str(one)] = _computes_right(file, one)
        except UnavailableError as error:
            if device is not None:
                raise
            click.echo(f"{one}: not run, {error}")
        except HyperguideError as error:  # the other devices are still of interest
            if device is not None:
                raise
            click.echo(f"{one}: FAILED, {error}")
            verdicts[str(one)] = False
    if not verdicts:
        if isinstance(file, EngineFile):
            raise HyperguideError(
                f"{file.path} was not run: it needs a GPU and TensorRT's runtime."
            )
        raise HyperguideError(
            f"No engine is installed that could run {file.path}: pip install 'hyperguide[cpu]'."
        )
    wrong = [name for name, right in verdicts.items() if not right]
    if wrong:
        raise HyperguideError(
            f"{file.path} is not computed right on this machine by --device {', '.join(wrong)}: "
            "use another engine or version."
        )


def _kind(file: ModelFile | EngineFile) -> str:
    """A short description of the file. Raises HyperguideError if it was changed."""
    info = file.info
    text = f"{info.task} {info.tier} {info.precision}"
    refuse_changed(file)
    if not isinstance(file, EngineFile):
        return text
    made = file.sidecar
    default = "this machine's GPU" if made.builder == "tensorrt" else "sm80 and later"
    return f"{text}, {made.builder} {made.version} for {', '.join(made.targets) or default}"


def _computes_right(file: ModelFile | EngineFile, device: Device) -> bool:
    with building_bar() as building:
        engine = open_engine(file, device, Settings(report=building))
    right = _tell(engine.name, compare_golden(file, engine))
    reference = _reference(file, engine)
    if reference is None or isinstance(file, EngineFile):
        return right
    deviations = compare_shapes(file, engine, reference)
    return _tell(f"Narrow pictures on {engine.name}", deviations) and right


def _tell(what: str, deviations: list[Deviation]) -> bool:
    """Print how far outputs deviate. Returns whether that is acceptable."""
    parts = [
        f"{d.output} off by {d.worst:.1e} of {d.tolerance:.0e}, {d.psnr:.1f} dB" for d in deviations
    ]
    right = all(d.passed for d in deviations)
    click.echo(f"{what}: {'; '.join(parts)}: {'ok' if right else 'FAILED'}")
    return right


def _reference(file: ModelFile | EngineFile, engine: Engine) -> Engine | None:
    """The reference engine to compare with for pictures of any shape; None if there is none."""
    is_other = isinstance(file, ModelFile) and not isinstance(engine, OnnxRuntimeCpu)
    if not is_other or engine.largest is not None or why_not("cpu", file) is not None:
        return None
    return open_engine(file, Device("cpu"))
