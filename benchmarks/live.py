"""Live video: how old pictures are when they are shown, and whether a lost source comes back.

python benchmarks/live.py [--model denoise-fast-int8] [--size 1280x720] [--fps 60] [--seconds 10]

FFmpeg sends a stream over TCP on this machine, faster than the engine; then it is killed and
started again. Exit code 1 if a tenth of the pictures or more are older than two frame times and one
call, the call's ninth decile of the same run, if frames that were replaced are not counted, or if
the source does not come back.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import imageio_ffmpeg
import numpy as np

import hyperguide
from hyperguide.video.addresses import parse_source
from hyperguide.video.camera import Camera
from hyperguide.video.files import FileOptions
from hyperguide.video.live import Controls, LiveRun, LiveStatus, Shown


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="denoise-fast-int8")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--fps", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    enhancer = hyperguide.load(chosen.model)
    enhancer.warmup(height, width)
    timed = _Timed(enhancer)
    port = _free_port()
    with _server(port, chosen.size, chosen.fps):
        time.sleep(1)
        with Camera(parse_source(f"tcp://127.0.0.1:{port}")) as camera:
            ages = _ages(camera, timed, chosen.seconds)
            received, dropped = camera.received, camera.dropped
    call = float(np.quantile(timed.calls, 0.9))
    bound = 2 / chosen.fps + call
    share = float(np.mean(np.array(ages) > bound))
    print(
        f"{chosen.model} {chosen.size} at {chosen.fps} frames/s: call {1000 * call:.0f} ms, "
        f"age {1000 * np.median(ages):.0f} ms (median), {1000 * np.quantile(ages, 0.9):.0f} ms "
        f"(ninth decile), {1000 * max(ages):.0f} ms (worst), bound {1000 * bound:.0f} ms, "
        f"{100 * share:.1f} % above; {received} frames came, {len(ages)} shown, {dropped} dropped"
    )
    is_counted = abs(received - len(ages) - dropped) <= 2  # those in progress at the end
    is_back = _comes_back(chosen.size, chosen.fps, timed)
    print("the source was killed and started again: " + ("back" if is_back else "NOT back"))
    return int(not (share < 0.1 and is_counted and is_back))


class _Timed:
    """An enhancer whose stream notes the time of each call."""

    def __init__(self, enhancer: hyperguide.Enhancer) -> None:
        self.calls: list[float] = []
        self.info = enhancer.info
        self._stream = enhancer.stream()

    def stream(self, *arguments: object) -> _Timed:
        return self

    def __call__(self, image: np.ndarray, **dials: object) -> hyperguide.Result:
        began = time.perf_counter()
        result = self._stream(image, **dials)
        self.calls.append(time.perf_counter() - began)
        return result

    def reset(self) -> None:
        self._stream.reset()

    def close(self) -> None:
        """Stays open for the next run."""


def _ages(camera: Camera, enhancer: _Timed, seconds: float) -> list[float]:
    """Ages of the pictures at the moment of being shown."""
    ages: list[float] = []
    end = time.monotonic() + seconds
    run = LiveRun(camera, lambda: enhancer, FileOptions(), None, Controls())  # type: ignore[arg-type, return-value]

    def show(shown: Shown | None, status: LiveStatus) -> None:
        if shown is not None:
            ages.append(status.age)

    run.run(show, lambda: time.monotonic() > end)
    return ages


def _comes_back(size: str, fps: int, enhancer: _Timed) -> bool:
    port = _free_port()
    with _server(port, size, fps):
        time.sleep(1)
        camera = Camera(parse_source(f"tcp://127.0.0.1:{port}"))
        camera.__enter__()
        _ages(camera, enhancer, 1)
    before = camera.received
    time.sleep(1)
    with _server(port, size, fps), closing(camera):
        end = time.monotonic() + 30
        while camera.received <= before + fps and time.monotonic() < end:
            time.sleep(0.1)
        frame = camera.read()
        return frame is not None and frame.connection > 0


@contextmanager
def _server(port: int, size: str, fps: int) -> Iterator[None]:
    source = f"testsrc2=size={size}:rate={fps}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-re", "-f", "lavfi", "-i", source]
    command += ["-c:v", "mpeg2video", "-q:v", "5", "-g", "10", "-f", "mpegts"]
    command += [f"tcp://127.0.0.1:{port}?listen=1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
