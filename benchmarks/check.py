"""Ratios of speed that must hold: a few minutes, exit code 1 if one does not.

    python benchmarks/check.py
    python benchmarks/check.py --only "enhancer / engine, cpu" --handicap 0.1   # must fail

Both sides of a ratio run in turns within one process, and their lower quartiles are compared: other
work on the machine only ever adds time, to both. `--handicap` lets the runtime sleep for a share of
the engine's time in each call, which the check must notice.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from fused_against_plain import runner
from runtime_against_engine import onnx_runtime, openvino
from untrained import roughened

import hyperguide
from hyperguide.bench.subject import synthetic_frame
from hyperguide.engines import why_absent
from hyperguide.export.graph import export_graph
from hyperguide.pixels import to_tensor
from hyperguide.runner import Runner
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.preset import load_preset

Call = Callable[[], object]


@dataclass(frozen=True)
class Check:
    """`one` takes at most `most` times as long as `other`."""

    name: str
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
    for check in checks(frame):
        if chosen.only and check.name not in chosen.only:
            continue
        if chosen.handicap:
            _slow_down(chosen.handicap * _quartile([_seconds(check.other) for _ in range(8)]))
        ratio = measured(check, chosen.seconds)
        holds = ratio <= check.most
        print(
            f"{check.name:<44} {ratio:6.3f}  at most {check.most:5.3f}  "
            f"{'ok' if holds else 'FAILED'}",
            flush=True,
        )
        failed += [] if holds else [check.name]
    print(f"failed: {', '.join(failed)}" if failed else "every ratio holds")
    return int(bool(failed))


def checks(frame: np.ndarray) -> Iterator[Check]:
    """Each is set up when it is its turn."""
    for device, bare in (("cpu", onnx_runtime), ("openvino", openvino)):
        if why_absent(device) is None:
            enhancer = hyperguide.load("denoise", device=device)
            tensor, _ = to_tensor(frame, 3)
            yield Check(
                f"enhancer / engine, {device}",
                1.06,
                lambda enhancer=enhancer: enhancer(frame),  # type: ignore[misc]
                bare("denoise-fast", tensor),
            )
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    if why_absent("openvino") is None:
        int8 = hyperguide.load("denoise-gray-fast-int8", device="openvino")
        fp32 = hyperguide.load("denoise-gray-fast", device="cpu")
        yield Check(
            "int8 on OpenVINO / fp32 on ONNX Runtime", 0.55, lambda: int8(gray), lambda: fp32(gray)
        )
    yield _fused("denoise-fast")
    yield _fused("derain-paper")
    denoise = hyperguide.load("denoise", device="cpu")
    yield Check(
        "denoise-fast / OpenCV's non-local means",
        0.25,
        lambda: denoise(frame),
        lambda: cv2.fastNlMeansDenoisingColored(frame, None, 10, 10),
    )


def _fused(name: str) -> Check:
    """The fused graph of a preset's pair against the plain one."""
    task, _, tier = name.partition("-")
    model = roughened(load_preset(task, tier), 0.01)
    image = torch.rand(1, model.channels, 128, 192, generator=torch.Generator().manual_seed(0))
    plain, fused = (
        runner(export_graph(form, plain=is_plain), {"image": image.numpy()}, 0)
        for form, is_plain in ((model, True), (fold_layers(model).eval(), False))
    )
    return Check(f"fused / plain, {name}", 1.02, fused, plain)


def measured(check: Check, seconds: float) -> float:
    """The ratio of the lower quartiles, after two rounds of warming up."""
    taken: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken[0]) < 12:
        for side, action in zip(taken, (check.one, check.other), strict=True):
            side.append(_seconds(action))
    one, other = (_quartile(side[2:]) for side in taken)
    return one / other


def _quartile(values: list[float]) -> float:
    return float(np.quantile(values, 0.25))


def _seconds(action: Call) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _slow_down(seconds: float) -> None:
    """Let every call of the runtime sleep from now on."""
    run = getattr(Runner.run, "undisturbed", Runner.run)

    def slow(self: Runner, *arguments: object) -> object:
        time.sleep(seconds)
        return run(self, *arguments)

    slow.undisturbed = run  # type: ignore[attr-defined]
    Runner.run = slow  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    sys.exit(main())
