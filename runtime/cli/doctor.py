"""`hyperguide doctor`: what this machine can run, and what to install."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tempfile
from pathlib import Path

import click

from hyperguide import __version__
from hyperguide.engines import KINDS, Device, Settings, fastest, open_device, why_absent
from hyperguide.engines.engine import Engine
from hyperguide.engines.proof import compare_golden
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import bundled_models
from hyperguide.model_format.engine_file import SUFFIX, cache_folder
from hyperguide.model_format.model_file import ModelFile, read_model_file

from .progress import building_bar

# Distribution -> what it is for and the extra that installs it.
_PACKAGES = {
    "numpy": ("arrays", None),
    "opencv-python": ("picture files", None),
    "simplejpeg": ("JPEG files", None),
    "onnxruntime": ("CPU engine", "cpu"),
    "onnxruntime-gpu": ("CUDA and TensorRT engines", "gpu"),
    "openvino": ("CPU engine", "openvino"),
    "tensorrt": ("GPU engine", "tensorrt"),
    "tensorrt-rtx-cu13": ("GPU engine", "rtx"),
    "pycuda": ("memory for TensorRT", "tensorrt"),
    "cuda-bindings": ("CUDA graphs for TensorRT", "tensorrt"),
    "av": ("video and cameras", "video"),
    "torch": ("training", "train"),
    "safetensors": ("checkpoints", "train"),
    "pyyaml": ("presets", "train"),
    "onnx": ("export", "export"),
    "onnxscript": ("export", "export"),
}

# These two install into the same folder.
_RIVALS = {"onnxruntime": "onnxruntime-gpu", "onnxruntime-gpu": "onnxruntime"}

Versions = dict[str, str | None]


@click.command(epilog="\b\nExample:\n  hyperguide doctor")
def doctor() -> int:
    """Check the installation: packages, conflicts, devices, and every bundled model.

    Exit code 1 if something that is installed does not work.
    """
    click.echo(f"hyperguide {__version__}, Python {platform.python_version()}, {platform.system()}")
    click.echo(f"{os.cpu_count()} processors, {platform.machine()}")
    versions = {name: _version(name) for name in _PACKAGES}
    click.echo("packages:")
    for name, (purpose, extra) in _PACKAGES.items():
        hint = f"not installed: pip install 'hyperguide[{extra}]'" if extra else "not installed"
        rival = _RIVALS.get(name)
        if rival and versions[rival]:
            hint = f"not installed, and must not be beside {rival}"
        click.echo(f"  {name:<18} {purpose:<26} {versions[name] or hint}")
    problems = conflicts(versions)
    click.echo("devices:")
    problems += _check_devices()
    click.echo("models:")
    problems += _check_models()
    _list_cameras()
    problems += _check_cache() + _check_writing()
    for problem in problems:
        click.echo(f"problem: {problem}")
    click.echo("Everything installed works." if not problems else f"{len(problems)} problem(s).")
    return 1 if problems else 0


def conflicts(versions: Versions) -> list[str]:
    """Conflicts between packages, each with the command that resolves it.

    versions: of the installed distributions, None for the others.
    """
    found = []
    if versions["onnxruntime"] and versions["onnxruntime-gpu"]:
        found.append(
            "onnxruntime and onnxruntime-gpu overwrite each other: "
            "pip uninstall onnxruntime onnxruntime-gpu, then install the one you need"
        )
    tensorrt = versions["tensorrt"]
    if tensorrt and versions["onnxruntime-gpu"] and int(tensorrt.partition(".")[0]) > 10:
        found.append(
            f"onnxruntime-gpu's TensorRT provider loads TensorRT 10, not {tensorrt}: "
            "pip install 'tensorrt>=10.13,<11', or use --device tensorrt"
        )
    return found


def _version(distribution: str) -> str | None:
    for name in (distribution, f"{distribution}-headless"):  # OpenCV without a GUI
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _check_devices() -> list[str]:
    """Run a bundled model on every available device."""
    file = read_model_file(bundled_models()[0])
    problems = []
    for kind in KINDS:
        reason = why_absent(kind)
        if reason is None:
            try:
                with building_bar() as building:
                    engine = open_device(file, Device(kind), Settings(report=building))
                problems += _proof(engine, file, f"{kind:<18}")
            except HyperguideError as error:
                reason = str(error)
                problems.append(f"--device {kind}: {error}")
        if reason is not None:
            click.echo(f"  {kind:<18} does not run: {reason}")
    return problems


def _check_models() -> list[str]:
    """Run every bundled model on its default device."""
    problems = []
    for path in bundled_models():
        try:
            file = read_model_file(path)
            with building_bar() as building:
                engine, _ = fastest(file, Settings(report=building))
            problems += _proof(engine, file, f"{path.stem:<22}")
        except HyperguideError as error:
            problems.append(str(error))
    return problems


def _proof(engine: Engine, file: ModelFile, row: str) -> list[str]:
    """Print how far an engine deviates from a file's golden samples."""
    deviations = compare_golden(file, engine)
    engine.close()
    worst = max(d.worst for d in deviations)
    click.echo(f"  {row} {engine.name:<24} worst deviation {worst:.1e}")
    if all(d.passed for d in deviations):
        return []
    return [f"{engine.name} computes {file.path.name} wrong"]


def _list_cameras() -> None:
    """Print the cameras of this machine (Linux)."""
    devices = sorted(Path("/dev").glob("video*"))
    names = [f"camera:{path.name.removeprefix('video')}" for path in devices]
    click.echo(f"cameras: {', '.join(names) or 'none found'}")


def _check_cache() -> list[str]:
    """Report the engines that were built."""
    folder = cache_folder()
    engines = list(folder.glob(f"engines/*{SUFFIX}"))
    size = sum(path.stat().st_size for path in engines) / 1e6
    click.echo(f"cache: {folder}, {len(engines)} engine(s), {size:.0f} MB")
    if folder.exists() and not os.access(folder, os.W_OK):
        return [f"{folder} is not writable, so that engines are built at each start: chmod it"]
    return []


def _check_writing() -> list[str]:
    folder = Path(tempfile.gettempdir())
    return [] if os.access(folder, os.W_OK) else [f"{folder} is not writable: set TMPDIR"]
