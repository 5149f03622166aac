"""`hyperguide models`: lists the bundled models."""

from __future__ import annotations

import click

from hyperguide.model_format.bundled import FOLDER, bundled_models
from hyperguide.model_format.model_file import read_model_file
from hyperguide.tasks import TASKS


@click.command(
    epilog="""\b
Examples:
  hyperguide models
  cp $(hyperguide models --path)/derain-fast.onnx .
"""
)
@click.option("--path", "show_path", is_flag=True, help="Print the folder of the files.")
def models(show_path: bool) -> None:
    """List the models that come with the package."""
    if show_path:
        click.echo(FOLDER)
        return
    for path in bundled_models():
        about = read_model_file(path).info
        kilobytes = path.stat().st_size / 1000
        click.echo(
            f"{path.stem:<22} removes {TASKS[about.task].removes}; "
            f"guided by {about.guidance.name}; {about.color}, {about.precision}, {kilobytes:.0f} kB"
        )
