"""`hyperguide verify`: is the file what was exported, and does this machine compute it right?"""

from __future__ import annotations

import click

from hyperguide.bundled import model_path
from hyperguide.engines import DEVICES, open_engine, why_not
from hyperguide.errors import HyperguideError
from hyperguide.model_file import ModelFile, read_model_file
from hyperguide.verify import compare_golden, seal_breaks

_EVERY = tuple(device for device in DEVICES if device != "auto")


@click.command(
    epilog="""\b
Examples:
  hyperguide verify model.onnx
  hyperguide verify denoise
  hyperguide verify model.onnx --device openvino && deploy model.onnx
"""
)
@click.argument("model")
@click.option("--tier", default="fast", show_default=True, help="Of a bundled model.")
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    help="Only this one, which must run; by default everything that is installed.",
)
def verify(model: str, tier: str, device: str | None) -> None:
    """Check a model file's digests, then run its golden samples on the engines of this machine.

    Exit code 1 if weights, graph or metadata were changed, or if image or guidance deviate on an
    engine.
    """
    file = read_model_file(model_path(model, tier))
    info = file.info
    broken = seal_breaks(file)
    if broken:
        raise HyperguideError(
            f"{file.path} is not what was exported: {' and '.join(broken)}; "
            "export or download it again."
        )
    click.echo(f"{file.path}: {info.task} {info.tier} {info.precision}, digests match")
    verdicts = {}
    for name in _EVERY if device is None else (device,):
        reason = why_not(name) if device is None else None
        if reason is not None:
            click.echo(f"{name}: not run, {reason}")
        else:
            verdicts[name] = _computes_right(file, name)
    if not verdicts:
        raise HyperguideError(
            f"No engine is installed that could run {file.path}: pip install 'hyperguide[cpu]'."
        )
    wrong = [name for name, right in verdicts.items() if not right]
    if wrong:
        raise HyperguideError(
            f"{file.path} is computed wrong on this machine by --device {', '.join(wrong)}: "
            "use another engine or version."
        )


def _computes_right(file: ModelFile, device: str) -> bool:
    engine = open_engine(file, device)
    deviations = compare_golden(file, engine)
    parts = [
        f"{d.output} off by {d.worst:.1e} of {d.tolerance:.0e}, {d.psnr:.1f} dB" for d in deviations
    ]
    right = all(d.passed for d in deviations)
    click.echo(f"{engine.name}: {'; '.join(parts)}: {'ok' if right else 'FAILED'}")
    return right
