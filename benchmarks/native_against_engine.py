"""What the C library adds to the bare call of an engine, at 1280x720.

    python benchmarks/native_against_engine.py [--check]

Prints the time of `hg_session_run` in RGB and in NV12 as parts of the engine's own time on planes
of floats. --check: exit with 1 if RGB adds more than 5 %, or NV12 5 % more than that.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import openvino

from hyperguide.model_format.bundled import FOLDER
from hyperguide.model_format.model_file import default_feeds, read_model_file

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import native  # type: ignore[import-not-found]

HEIGHT, WIDTH = 720, 1280
ALLOWED = 1.05
SUBJECTS = (
    ("denoise-live-int8", "openvino"),
    ("denoise-fast-int8", "openvino"),
    ("derain-fast-int8", "openvino"),
    ("dehaze-fast-int8", "openvino"),
    ("denoise-fast", "cpu"),
)


def at_cache_line(shape: tuple[int, ...]) -> np.ndarray:
    """Planes whose memory begins at a cache line, which OpenVINO reads faster."""
    count, line = math.prod(shape), 64
    memory = np.empty(4 * count + line, np.uint8)
    first = -memory.ctypes.data % line
    return memory[first : first + 4 * count].view(np.float32).reshape(shape)


def bare(path: Path, device: str, threads: int) -> Callable[[], object]:
    """A call of the engine on planes of floats."""
    file = read_model_file(path)
    rows, columns = map(file.info.sizes.of, (HEIGHT, WIDTH))
    planes = at_cache_line((1, 3, rows, columns))
    np.random.default_rng(0).random(dtype=np.float32, out=planes)
    if device == "cpu":
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            file.content, options, providers=["CPUExecutionProvider"]
        )
        return lambda: session.run(["enhanced", "guidance"], {"image": planes})
    core = openvino.Core()
    model = core.read_model(file.with_inputs())
    shapes = {value.any_name: value.partial_shape for value in model.inputs}
    for shape in shapes.values():
        shape[0] = 1
    model.reshape(shapes)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    feeds = {**default_feeds(file.inputs), "image": planes}
    return lambda: request.infer(feeds, share_inputs=True, share_outputs=True)


def nv12() -> tuple[native.Picture, list[np.ndarray]]:
    """A picture of random NV12, and its planes."""
    rng = np.random.default_rng(0)
    planes = [
        rng.integers(16, 235, (rows, WIDTH)).astype(np.uint8) for rows in (HEIGHT, HEIGHT // 2)
    ]
    picture = native.Picture(native.NV12, WIDTH, HEIGHT)
    for place, plane in enumerate(planes):
        picture.planes[place] = plane.ctypes.data
    return picture, planes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    library = native.Library(native.built())
    rgb = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    kept = np.empty_like(rgb)
    picture, result = native.picture_of(rgb), native.picture_of(kept)
    yuv, _planes = nv12()
    to_yuv, _kept = nv12()
    failed = False
    for name, device in SUBJECTS:
        path = FOLDER / f"{name}.onnx"
        model = library.model(path, device, options.threads)
        session = model.session(smoothing=0, temporal=False)
        calls: dict[str, Callable[[], object]] = {
            "engine": bare(path, device, options.threads),
            "RGB": partial(session.run, picture, result),
            "NV12": partial(session.run, yuv, to_yuv),
        }
        times: dict[str, list[float]] = {call: [] for call in calls}
        for _ in range(options.rounds):  # in turns, so that the machine's moods reach all
            for call, run in calls.items():
                began = time.perf_counter()
                run()
                times[call].append(time.perf_counter() - began)
        own = statistics.median(times["engine"])
        ratios = {
            call: statistics.median(
                a / b for a, b in zip(times[call], times["engine"], strict=True)
            )
            for call in ("RGB", "NV12")
        }
        print(
            f"{name} on {device}: engine {1000 * own:.1f} ms, "
            + ", ".join(f"{call} {ratio:.3f}" for call, ratio in ratios.items())
        )
        failed |= ratios["RGB"] > ALLOWED or ratios["NV12"] > ratios["RGB"] + ALLOWED - 1
        session.close()
        model.close()
    return int(options.check and failed)


if __name__ == "__main__":
    sys.exit(main())
