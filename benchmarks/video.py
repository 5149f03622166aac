"""Throughput of video files against their slowest stage, beside FFmpeg's own denoisers.

python benchmarks/video.py [--model denoise-fast-int8] [--size 1280x720] [--frames 100]

A photo is panned, noise of 20/255 is added, and x264 encodes it at crf 8. Then, in one process:
- every stage alone, and its CPU time; the whole job, which should reach 90 % of
  1 / max(slowest stage alone, CPU time of all / cores) in frames per second
- the whole job with an engine that only sleeps, which should reach 95 % of that engine
- hqdn3d and nlmeans of FFmpeg with the same encoder
PSNR is that of the output against the clean frames. Exit code 1 if a share is too low.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import imageio_ffmpeg
import numpy as np
import skimage.data

import hyperguide
from hyperguide import video
from hyperguide.psnr import psnr
from hyperguide.video.addresses import parse_source
from hyperguide.video.encoders import EncoderWishes
from hyperguide.video.enhancing import Item, colors_in, colors_out
from hyperguide.video.files import FileOptions, enhance_file
from hyperguide.video.source import VideoSource

SIGMA, ROUNDS = 20, 3


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="denoise-fast-int8")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--frames", type=int, default=100)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        clean = list(_panned(width, height, chosen.frames))
        noisy = Path(folder) / "noisy.mp4"
        _encode(clean, noisy)
        with hyperguide.load(chosen.model) as enhancer:
            enhancer.warmup(height, width)
            low = _against_stages(enhancer, noisy, clean, Path(folder))
        low |= _against_sleep(noisy, Path(folder))
        for filter in ("hqdn3d", "nlmeans=s=12"):
            _ffmpeg(filter, noisy, clean, Path(folder))
    return int(low)


def _against_stages(
    enhancer: hyperguide.Enhancer, noisy: Path, clean: list[np.ndarray], folder: Path
) -> bool:
    """Print each stage alone and the whole job. Returns whether the job is too slow."""
    stages = _stages(enhancer, noisy, folder)
    wholes: list[float] = []
    processor: list[float] = []
    alone: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(ROUNDS):
        spent = 0.0
        for name, run in stages.items():
            cost = _timed(run)
            alone[name].append(cost.seconds)
            spent += cost.processor
        processor.append(spent)
        wholes.append(_timed(lambda: _whole(enhancer, noisy, folder)).seconds)
    count = len(clean)
    for name, seconds in alone.items():
        print(f"{name:<14} alone {count / median(seconds):7.1f} frames/s")
    limits = [
        max(*(alone[name][i] for name in alone), processor[i] / (os.cpu_count() or 1))
        for i in range(ROUNDS)
    ]
    share = median(limit / whole for limit, whole in zip(limits, wholes, strict=True))
    quality = _quality(folder / "out.mp4", clean)
    print(
        f"hyperguide     whole {count / median(wholes):7.1f} frames/s, {100 * share:.0f} % of "
        f"the possible {count / median(limits):.1f}; PSNR {quality:.2f} dB, "
        f"noisy {_quality(noisy, clean):.2f} dB"
    )
    return share < 0.9


def _stages(
    enhancer: hyperguide.Enhancer, noisy: Path, folder: Path
) -> dict[str, Callable[[], object]]:
    with VideoSource(parse_source(str(noisy))) as source:
        info = source.info
        frames = list(source.frames())
    items = list(colors_in((Item(i, frame) for i, frame in enumerate(frames)), info))
    stream = enhancer.stream()
    pictures = [stream(item.before).image for item in items]

    def decode() -> None:
        with VideoSource(parse_source(str(noisy))) as again:
            for _ in again.frames():
                pass

    def colors() -> None:
        for _ in colors_in((Item(i, frame) for i, frame in enumerate(frames)), info):
            pass

    def enhance() -> None:
        with enhancer.stream() as fresh:
            for item in items:
                fresh(item.before)

    def back() -> None:
        done = (
            Item(i.number, i.frame, i.planes, i.before, picture)
            for i, picture in zip(items, pictures, strict=True)
        )
        for _ in colors_out(done, info, "yuv420p"):
            pass

    def encode() -> None:
        _filtered("null", noisy, folder / "encoded.mp4")

    return {
        "decode": decode,
        "colours": colors,
        "enhance": enhance,
        "colours back": back,
        "encode": encode,
    }


def _whole(enhancer: Any, noisy: Path, folder: Path) -> None:
    video.enhance(noisy, folder / "out.mp4", enhancer, preset="veryfast", crf=18, force=True)


class _Sleeping:
    """An engine that takes its time, and no processor."""

    def __init__(self, like: hyperguide.Enhancer, seconds: float) -> None:
        self.path, self.info, self.engine = like.path, like.info, "sleep"
        self.seconds, self.temporal = seconds, False

    def stream(self, *arguments: object) -> _Sleeping:
        return self

    def __call__(self, image: np.ndarray, **dials: object) -> hyperguide.Result:
        time.sleep(self.seconds)
        return hyperguide.Result(image, None)

    def state(self) -> dict[str, np.ndarray]:
        return {}


def _against_sleep(noisy: Path, folder: Path) -> bool:
    with hyperguide.load("denoise-fast") as enhancer:
        sleeping: Any = _Sleeping(enhancer, 0.1)
    options = FileOptions(wishes=EncoderWishes(preset="veryfast"))
    source = parse_source(str(noisy))
    done = enhance_file(sleeping, source, folder / "slept.mp4", options, force=True)
    share = done.frames * 0.1 / done.seconds
    print(f"with an engine that sleeps 100 ms: {100 * share:.1f} % of its rate")
    return share < 0.95


def _ffmpeg(filter: str, noisy: Path, clean: list[np.ndarray], folder: Path) -> None:
    out = folder / "peer.mp4"
    cost = _timed(lambda: _filtered(filter, noisy, out))
    print(
        f"FFmpeg {filter:<13} {len(clean) / cost.seconds:7.1f} frames/s; "
        f"PSNR {_quality(out, clean):.2f} dB"
    )


def _filtered(filter: str, source: Path, out: Path) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(source)]
    command += ["-vf", filter, "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", str(out)]
    subprocess.run(command, check=True)


@dataclass(frozen=True)
class _Cost:
    seconds: float
    processor: float


def _timed(run: Callable[[], object]) -> _Cost:
    before, began = os.times(), time.perf_counter()
    run()
    after, seconds = os.times(), time.perf_counter() - began
    spent = sum(after[:4]) - sum(before[:4])  # with children
    return _Cost(seconds, spent)


def _panned(width: int, height: int, count: int) -> Iterator[np.ndarray]:
    """RGB frames of a photo that moves by two pixels per frame."""
    photo = skimage.data.coffee()
    size = width + 2 * count, round((width + 2 * count) * photo.shape[0] / photo.shape[1])
    wide = cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC)
    wide = cv2.copyMakeBorder(wide, 0, max(height - len(wide), 0), 0, 0, cv2.BORDER_REFLECT)
    for i in range(count):
        yield np.ascontiguousarray(wide[:height, 2 * i : 2 * i + width])


def _encode(frames: list[np.ndarray], out: Path) -> None:
    height, width = frames[0].shape[:2]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo"]
    command += ["-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "25", "-i", "-"]
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-pix_fmt", "yuv420p"]
    command += ["-colorspace", "bt709", "-color_range", "tv", "-c:v", "libx264", "-crf", "8"]
    rng = np.random.default_rng(0)
    with subprocess.Popen([*command, str(out)], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for frame in frames:
            noisy = frame + rng.normal(0, SIGMA, frame.shape).astype(np.float32)
            process.stdin.write(noisy.clip(0, 255).round().astype(np.uint8).tobytes())


def _quality(path: Path, clean: list[np.ndarray]) -> float:
    """Mean PSNR of the frames as RGB."""
    pairs = zip(video.frames(path), clean, strict=True)
    return float(np.mean([psnr(frame.image, truth, 255) for frame, truth in pairs]))


if __name__ == "__main__":
    sys.exit(main())
