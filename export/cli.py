"""`hyperguide export`: from a run folder to one model file."""

from __future__ import annotations

from pathlib import Path

import click

from hyperguide.training.checkpoint import load_run

from .model import export_model


@click.command(
    epilog="""\b
Example:
  hyperguide export runs/denoise -o denoise.onnx
"""
)
@click.argument("run", type=Path)
@click.option("-o", "--output", required=True, type=Path, help="The .onnx file to write.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def export(run: Path, output: Path, force: bool) -> None:
    """Fuse the trained pair of a RUN folder into one ONNX file.

    The file is compared with torch before it appears: image and guidance, three sizes.
    """
    differences = export_model(load_run(run), output, force)
    for d in differences:
        click.echo(
            f"{d.size[1]}x{d.size[0]}: worst difference from torch: "
            f"enhanced {d.enhanced:.1e}, guidance {d.guidance:.1e}"
        )
    click.echo(f"{output}: {output.stat().st_size / 1000:.0f} kB")
