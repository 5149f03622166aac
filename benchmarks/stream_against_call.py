"""Overhead of a stream: `stream(frame)` against `enhancer(frame)`.

python benchmarks/stream_against_call.py [--model denoise-fast ...] [--size 1280x720]

The frames have other noise each, and a quarter of the picture moves. The stream smooths its maps;
with a strength and with a mask, the call that it is compared with has none. All run in turns in
one process. Exit code 1 if a ratio, the median over the turns, is above 1.05.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from statistics import median
from typing import Any

import cv2
import numpy as np
import skimage.data

import hyperguide
from hyperguide.bench.clock import WallClock
from hyperguide.bench.turns import in_turns, ratio
from hyperguide.engines import why_absent

MOST = 1.05

# Files and engines; ONNX Runtime computes int8 slower than fp32.
KINDS = (("denoise-fast-int8", "openvino"), ("denoise-fast", "openvino"), ("denoise-fast", "cpu"))

SIGMA = 25


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = list(dict.fromkeys(name for name, _ in KINDS))
    parser.add_argument("--model", nargs="+", default=names, choices=names)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--seconds", type=float, default=40.0, help="for each model and engine")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="of one thread, rather than wall-clock time: where other programs run, too",
    )
    chosen = parser.parse_args()
    threads, clock = (1, ProcessorClock()) if chosen.processor_time else (0, WallClock())
    cv2.setNumThreads(threads if threads else -1)
    width, height = map(int, chosen.size.split("x"))
    photo = cv2.resize(skimage.data.coffee(), (width, height), interpolation=cv2.INTER_CUBIC)
    worst = 0.0
    for name, device in KINDS:
        if name in chosen.model and why_absent(device) is None:
            enhancer = hyperguide.load(name, device=device, threads=threads)
            worst = max(worst, measure(name, enhancer, photo, chosen.seconds, clock))
    print(f"worst ratio {worst:.3f}, at most {MOST}")
    return int(worst > MOST)


class ProcessorClock(WallClock):
    """Counts the seconds that a processor worked for this process."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.process_time()


def measure(
    name: str, enhancer: hyperguide.Enhancer, photo: np.ndarray, seconds: float, clock: WallClock
) -> float:
    """Print the medians for an enhancer; returns the worst ratio, the median over the turns."""
    mask = np.linspace(0.1, 1, photo[..., 0].size, dtype=np.float32).reshape(photo.shape[:2])
    dials: dict[str, dict[str, Any]] = {
        "smoothed": {},
        "strength": {"strength": 0.7},
        "mask": {"strength": mask},
    }
    call, *streams = calls(enhancer, photo, list(dials.values()))
    alone, *streamed = in_turns((call, *streams), seconds, clock=clock)
    print(f"{name:<18} {enhancer.engine:<18} call {1000 * median(alone):7.1f} ms", end="")
    found = [ratio(times, alone) for times in streamed]
    print(*(f"   {kind} {value:.3f}" for kind, value in zip(dials, found, strict=True)), flush=True)
    return max(found)


def calls(
    enhancer: hyperguide.Enhancer, photo: np.ndarray, dials: list[dict[str, Any]]
) -> list[Callable[[], object]]:
    """A call of the enhancer, and one of a stream for each of the dials, each on the next frame."""

    def play(on: Callable[..., object], turned: dict[str, Any]) -> Callable[[], object]:
        frames = frames_of(photo)
        return lambda: on(next(frames), **turned)

    return [
        play(enhancer, {}),
        *(play(enhancer.stream(temporal=False), turned) for turned in dials),
    ]


def frames_of(photo: np.ndarray) -> Iterator[np.ndarray]:
    """Frames of a photo, a quarter of which moves, each with other noise."""
    rng = np.random.default_rng(0)
    height, width = photo.shape[:2]
    frames = []
    for number in range(4):
        frame = photo + rng.normal(0, SIGMA, photo.shape)
        frame[: height // 2, : width // 2] = np.roll(frame, 16 * number, 1)[
            height // 2 :, width // 2 :
        ]
        frames.append(np.rint(frame.clip(0, 255)).astype(np.uint8))
    return cycle(frames)


if __name__ == "__main__":
    sys.exit(main())
