"""Checks speed ratios that must hold. Takes a few minutes; exit code 1 if one fails.

    python benchmarks/check.py
    python benchmarks/check.py --only "enhancer / engine, cpu" --handicap 0.1   # must fail

Both sides of a ratio run in turns in one process, and their lower quartiles are compared, because
other work on the machine only adds time. `--handicap` makes the runtime sleep for a share of the
engine's time in each call, which the check must detect.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from fused_against_plain import runner
from runtime_against_engine import onnx_runtime, openvino
from stream_against_call import KINDS, calls
from untrained import roughened

import hyperguide
from hyperguide.bench.clock import timed
from hyperguide.bench.load import Call
from hyperguide.bench.statistics import percentile
from hyperguide.bench.subject import synthetic_frame
from hyperguide.bench.turns import in_turns
from hyperguide.engines import why_absent
from hyperguide.export.graph import export_graph
from hyperguide.inference.runner import Runner
from hyperguide.pixels import to_tensor
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.preset import load_preset


@dataclass(frozen=True)
class Check:
    """`one` takes at most `most` times as long as `other`."""

    most: float
    one: Call
    other: Call


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", help="a check's name; may be repeated")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each ratio")
    parser.add_argument("--handicap", type=float, default=0.0, help="share of the engine's time")
    chosen = parser.parse_args()
    frame = cv2.resize(synthetic_frame(), (640, 480), interpolation=cv2.INTER_AREA)
    failed = []
    for name, set_up in checks(frame).items():
        if chosen.only and name not in chosen.only:
            continue
        check = set_up()
        if chosen.handicap:
            usual = percentile([timed(check.other)[1] for _ in range(8)], 25)
            _slow_down(chosen.handicap * usual)
        ratio = measured(check, chosen.seconds)
        holds = ratio <= check.most
        print(
            f"{name:<44} {ratio:6.3f}  at most {check.most:5.3f}  {'ok' if holds else 'FAILED'}",
            flush=True,
        )
        failed += [] if holds else [name]
    print(f"failed: {', '.join(failed)}" if failed else "every ratio holds")
    return int(bool(failed))


def checks(frame: np.ndarray) -> dict[str, Callable[[], Check]]:
    """Functions that set up the checks, by name."""
    named: dict[str, Callable[[], Check]] = {
        f"enhancer / engine, {device}": partial(_overhead, device, frame)
        for device in ("cpu", "openvino")
        if why_absent(device) is None
    }
    if why_absent("openvino") is None:
        named["int8 on OpenVINO / fp32 on ONNX Runtime"] = partial(_int8, frame)
    for name, device in KINDS:
        if why_absent(device) is None:
            named[f"stream / enhancer, {name}, {device}"] = partial(_stream, name, device, frame)
    for name in ("denoise-fast", "derain-paper"):
        named[f"fused / plain, {name}"] = partial(_fused, name)
    named["denoise-fast / OpenCV's non-local means"] = partial(_peer, frame)
    named["import hyperguide / numpy and OpenCV"] = _imports
    return named


def _overhead(device: str, frame: np.ndarray) -> Check:
    enhancer = hyperguide.load("denoise", device=device)
    tensor, _ = to_tensor(frame, 3)
    bare = {"cpu": onnx_runtime, "openvino": openvino}[device]("denoise-fast", tensor)
    most = {"cpu": 1.06, "openvino": 1.01}[device]  # OpenVINO converts bytes as it reads them
    return Check(most, lambda: enhancer(frame), bare)


def _stream(name: str, device: str, frame: np.ndarray) -> Check:
    """A stream that smooths its maps against single calls."""
    call, stream = calls(hyperguide.load(name, device=device), frame, [{}])
    return Check(1.05, stream, call)


def _int8(frame: np.ndarray) -> Check:
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    int8 = hyperguide.load("denoise-gray-fast-int8", device="openvino")
    fp32 = hyperguide.load("denoise-gray-fast", device="cpu")
    return Check(0.55, lambda: int8(gray), lambda: fp32(gray))


def _fused(name: str) -> Check:
    """The fused graph of a preset's pair against the plain one."""
    task, _, tier = name.partition("-")
    model = roughened(load_preset(task, tier), 0.01)
    image = torch.rand(1, model.channels, 128, 192, generator=torch.Generator().manual_seed(0))
    plain, fused = (
        runner(export_graph(form, plain=is_plain), {"image": image.numpy()}, 0)
        for form, is_plain in ((model, True), (fold_layers(model).eval(), False))
    )
    return Check(1.02, fused, plain)


def _peer(frame: np.ndarray) -> Check:
    denoise = hyperguide.load("denoise", device="cpu")
    filtered = partial(cv2.fastNlMeansDenoisingColored, frame, None, 10, 10)
    return Check(0.25, lambda: denoise(frame), filtered)


def _imports() -> Check:
    """Import time of the package, against that of numpy and OpenCV."""
    return Check(2.5, partial(_python, "import hyperguide"), partial(_python, "import numpy, cv2"))


def _python(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], check=True)


def measured(check: Check, seconds: float) -> float:
    """The ratio of the lower quartiles of both times."""
    one, other = in_turns((check.one, check.other), seconds)
    return percentile(one, 25) / percentile(other, 25)


def _slow_down(seconds: float) -> None:
    """Make every call of the runtime sleep from now on."""
    run = getattr(Runner.run, "undisturbed", Runner.run)

    def slow(self: Runner, *arguments: Any) -> object:
        time.sleep(seconds)
        return run(self, *arguments)

    slow.undisturbed = run  # type: ignore[attr-defined]
    Runner.run = slow  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    sys.exit(main())
