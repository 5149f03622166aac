"""`hyperguide info`: describes a model file."""

from __future__ import annotations

import json
from typing import Any

import click

from hyperguide.model_format.bundled import model_path
from hyperguide.model_format.contract import DIALS
from hyperguide.model_format.model_file import read_model_file
from hyperguide.printable import printable, shortened


@click.command(
    epilog="""\b
Examples:
  hyperguide info model.onnx
  hyperguide info derain
  hyperguide info model.onnx --json
"""
)
@click.argument("model")
@click.option("--tier", default="fast", show_default=True, help="Tier of a bundled model.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(model: str, tier: str, as_json: bool) -> None:
    """Show what a model file or bundled model is, how it was trained, and how good it is."""
    file = read_model_file(model_path(model, tier))
    about = file.info
    dials = {name: default for name, default in DIALS.items() if name in file.inputs}
    facts: dict[str, Any] = {
        "file": file.path.name,
        "size": len(file.content),
        "task": about.task,
        "tier": about.tier,
        "color": about.color,
        "guidance": vars(about.guidance),
        "dials": dials,
        "required_inputs": list(file.required),
        "size_multiple": about.size_multiple,
        "receptive_field": about.receptive_field,
        "overlap": about.tile_overlap,
        "context": about.context,
        "whole_picture": about.whole_picture,
        "precision": about.precision,
        "io": about.io,
        "cost": about.cost,
        "training": about.training,
        "quality": about.quality,
        "card": about.card,
        "sha256": file.digests,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        for row, text in _rows(name, value):
            click.echo(printable(f"{row:<32} {text}"))


def _rows(name: str, value: Any) -> list[tuple[str, str]]:
    """Nested values as one row each, with dotted names."""
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in _rows(f"{name}.{key}", item)]
    if isinstance(value, float):
        return [(name, f"{value:.4g}")]
    if isinstance(value, list):
        return [(name, json.dumps(value))]
    text = str(value)
    return [(name, text if " " in text else shortened(text))]  # sentences, or bytes as text
