"""Builds engines for every task, tier and precision with TensorRT-RTX, which needs no GPU.

    python benchmarks/engines.py
    python benchmarks/engines.py --only derain-paper --precision fp16

The pairs are untrained and calibrated on few pictures: this only shows that every graph parses,
gets the requested precision, and builds for the targets and for 64 to 2160 rows.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import skimage.data
from untrained import PRESETS, untrained

from hyperguide.engines.tensorrt.bindings import TensorRt, open_tensorrt
from hyperguide.engines.tensorrt.build import BuildOptions, build_engine, round_up
from hyperguide.errors import HyperguideError
from hyperguide.export.model import Lower, export_model
from hyperguide.model_format.contract import PRECISIONS
from hyperguide.model_format.model_file import read_model_file
from hyperguide.picture_files import write_picture
from hyperguide.training.checkpoint import TrainedModel
from hyperguide.training.preset import Preset, Stage, load_preset

TARGETS = ("sm75", "sm86", "sm89", "sm120")
SIZES = ((64, 64), (720, 1280), (2160, 3840))
_CROP = 96


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PRESETS, action="append", help="may be repeated")
    parser.add_argument("--precision", choices=PRECISIONS, action="append", help="may be repeated")
    arguments = parser.parse_args()
    rtx = open_tensorrt("tensorrt_rtx")
    print(f"TensorRT-RTX {rtx.version} for {', '.join(TARGETS)}; {SIZES[0]} to {SIZES[-1]}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = name  # keeps these engines out of the user's cache
        photos = folder / "photos"
        photos.mkdir()
        for number, picture in enumerate((skimage.data.astronaut(), skimage.data.coffee())):
            write_picture(photos / f"{number}.png", picture)
        for preset_name in arguments.only or PRESETS:
            task, _, tier = preset_name.partition("-")
            trained = _untrained(load_preset(task, tier))
            for precision in arguments.precision or PRECISIONS:
                path = folder / f"{preset_name}-{precision}.onnx"
                lower = None
                if precision != "fp32":
                    kind: Any = precision
                    lower = Lower(kind, [photos], steps=0, accept_loss=True)
                export_model(trained, path, lower=lower)
                for targets in (TARGETS, TARGETS[1:]):
                    try:
                        print(
                            f"{preset_name:<20}{precision:<6}{_build(path, targets, rtx)}",
                            flush=True,
                        )
                        break
                    except HyperguideError as error:
                        print(f"{preset_name:<20}{precision:<6}{error}", flush=True)


def _build(path: Path, targets: tuple[str, ...], rtx: TensorRt) -> str:
    """Build an engine and return a line about it."""
    file = read_model_file(path)
    least, best, most = (round_up(size, file.info.size_multiple) for size in SIZES)
    options = BuildOptions((least, best, most), precision=file.info.precision, targets=targets)
    began = time.perf_counter()
    built = build_engine(file, path.with_suffix(".engine"), options, rtx)
    counts = ", ".join(f"{n} in {kind}" for kind, n in built.convolutions.items())
    return (
        f"{time.perf_counter() - began:6.1f} s {len(built.content) / 1e6:6.1f} MB for "
        f"{', '.join(targets)}; convolutions: {counts}"
    )


def _untrained(preset: Preset) -> TrainedModel:
    """An untrained pair with noise on its weights, because the identity cannot be calibrated."""
    stage = Stage(until=1.0, crop=_CROP, batch=1)
    preset = replace(preset, schedule=replace(preset.schedule, stages=(stage,), held_out=2))
    return untrained(preset, 0.002)


if __name__ == "__main__":
    main()
