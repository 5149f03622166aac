"""`hyperguide verify`: is the file what was exported, and does this machine compute it right?"""

from __future__ import annotations

import click

from hyperguide.bundled import model_path
from hyperguide.engines import DEVICES, open_engine
from hyperguide.errors import HyperguideError
from hyperguide.model_file import read_model_file
from hyperguide.verify import compare_golden, seal_breaks


@click.command(
    epilog="""\b
Examples:
  hyperguide verify model.onnx
  hyperguide verify denoise
  hyperguide verify model.onnx && deploy model.onnx
"""
)
@click.argument("model")
@click.option("--tier", default="fast", show_default=True, help="Of a bundled model.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
def verify(model: str, tier: str, device: str) -> None:
    """Check a model file's digests, then run its golden samples.

    Exit code 1 if weights, graph or metadata were changed, or if image or guidance deviate.
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
    engine = open_engine(file, device)
    deviations = compare_golden(file, engine)
    for d in deviations:
        verdict = "ok" if d.passed else "FAILED"
        click.echo(
            f"{engine.name}: {d.output:<8}  worst deviation {d.worst:.2e} "
            f"(accepted {d.tolerance:.0e})  PSNR {d.psnr:.1f} dB  {verdict}"
        )
    if not all(d.passed for d in deviations):
        raise HyperguideError(
            f"{engine.name} computes {file.path} wrong on this machine: "
            "use another engine or version."
        )
