"""`hyperguide doctor`: what this machine can run, and what to install."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import tempfile
from pathlib import Path

import click
import numpy as np

from hyperguide import __version__
from hyperguide.bundled import bundled_models
from hyperguide.engines import open_engine
from hyperguide.errors import HyperguideError
from hyperguide.model_file import read_model_file
from hyperguide.verify import compare_golden, seal_breaks

# Distribution -> what it is for and the extra that installs it.
_PACKAGES = {
    "numpy": ("arrays", None),
    "opencv-python": ("picture files", None),
    "onnxruntime": ("CPU engine", "cpu"),
    "onnxruntime-gpu": ("CUDA and TensorRT engines", "gpu"),
    "openvino": ("CPU engine", "openvino"),
    "torch": ("training", "train"),
    "safetensors": ("checkpoints", "train"),
    "pyyaml": ("presets", "train"),
    "onnx": ("export", "export"),
    "onnxscript": ("export", "export"),
}

# These two install into the same folder.
_RIVALS = {"onnxruntime": "onnxruntime-gpu", "onnxruntime-gpu": "onnxruntime"}


@click.command(epilog="\b\nExample:\n  hyperguide doctor")
def doctor() -> int:
    """Check the installation: packages, conflicts, and every bundled model on the engine.

    Exit code 1 if something that is installed does not work.
    """
    click.echo(f"hyperguide {__version__}, Python {platform.python_version()}, {platform.system()}")
    click.echo(f"{os.cpu_count()} processors, {platform.machine()}")
    versions = {name: _version(name) for name in _PACKAGES}
    for name, (purpose, extra) in _PACKAGES.items():
        version = versions[name]
        hint = f"not installed: pip install 'hyperguide[{extra}]'" if extra else "not installed"
        rival = _RIVALS.get(name)
        if rival and versions[rival]:
            hint = f"not installed, and must not be beside {rival}"
        click.echo(f"  {name:<16} {purpose:<26} {version or hint}")
    problems = []
    if versions["onnxruntime"] and versions["onnxruntime-gpu"]:
        problems.append(
            "onnxruntime and onnxruntime-gpu overwrite each other: "
            "pip uninstall onnxruntime onnxruntime-gpu, then install the one you need"
        )
    problems += _check_models() + _check_writing()
    for problem in problems:
        click.echo(f"  problem: {problem}")
    click.echo("Everything installed works." if not problems else f"{len(problems)} problem(s).")
    return 1 if problems else 0


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _check_models() -> list[str]:
    problems = []
    for path in bundled_models():
        try:
            file = read_model_file(path)
            broken = seal_breaks(file)
            engine = open_engine(file)
            deviations = compare_golden(file, engine)
        except HyperguideError as error:
            problems.append(str(error))
            continue
        worst = max(d.worst for d in deviations) if deviations else np.nan
        click.echo(f"  {path.stem:<22} {engine.name:<20} worst deviation {worst:.1e}")
        problems += [f"{path.name}: {reason}" for reason in broken]
        if not all(d.passed for d in deviations):
            problems.append(f"{engine.name} computes {path.name} wrong")
    return problems


def _check_writing() -> list[str]:
    folder = Path(tempfile.gettempdir())
    return [] if os.access(folder, os.W_OK) else [f"{folder} is not writable: set TMPDIR"]
