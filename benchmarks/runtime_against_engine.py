"""Overhead of the runtime: `enhancer(frame)` against the engine's own call.

python benchmarks/runtime_against_engine.py [--model denoise-fast ...] [--size 1280x720]

The enhancer gets a picture as bytes; the bare ONNX Runtime session or OpenVINO request gets it as a
float tensor. Both run in turns in one process. Exit code 1 if a ratio, the median over the turns,
is above 1.05.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np
import onnxruntime
import skimage.data

import hyperguide
from hyperguide.bench.turns import in_turns, ratio
from hyperguide.engines import why_absent
from hyperguide.model_format.bundled import bundled_models, model_path
from hyperguide.model_format.model_file import read_model_file
from hyperguide.pixels import to_tensor

MOST = 1.05


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [path.stem for path in bundled_models()]
    parser.add_argument("--model", nargs="+", default=names, choices=names)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each model and engine")
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    photo = cv2.resize(skimage.data.coffee(), (width, height), interpolation=cv2.INTER_CUBIC)
    worst = 0.0
    for name in chosen.model:
        for device in ("cpu", "openvino"):
            if why_absent(device) is None:
                worst = max(worst, measure(name, device, photo, chosen.seconds))
    print(f"worst ratio {worst:.3f}, at most {MOST}")
    return int(worst > MOST)


def measure(name: str, device: str, photo: np.ndarray, seconds: float) -> float:
    """Print the medians for a model on a device; returns the ratio, the median over the turns."""
    enhancer = hyperguide.load(name, device=device)
    frame = photo if enhancer.info.channels == 3 else cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    tensor, _ = to_tensor(frame, enhancer.info.channels)
    bare = {"cpu": onnx_runtime, "openvino": openvino}[device](name, tensor)
    whole, alone = in_turns((lambda: enhancer(frame), bare), seconds)
    found = ratio(whole, alone)
    print(
        f"{name:<22} {enhancer.engine:<20} enhancer {1000 * median(whole):7.1f} ms   "
        f"engine {1000 * median(alone):7.1f} ms   ratio {found:.3f}",
        flush=True,
    )
    return found


def onnx_runtime(name: str, tensor: np.ndarray) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model_path(name), options)
    return lambda: session.run(None, {"image": tensor})


def openvino(name: str, tensor: np.ndarray) -> Callable[[], object]:
    import openvino

    file = read_model_file(model_path(name))
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    request = core.compile_model(core.read_model(file.content), "CPU", options)
    infer = request.create_infer_request()

    def run() -> list[np.ndarray]:
        infer.infer({"image": tensor})
        return [infer.get_tensor(name).data.copy() for name in ("enhanced", "guidance")]

    return run


if __name__ == "__main__":
    sys.exit(main())
