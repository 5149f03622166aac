"""Memory over a long video: flat after the first frames, every frame there and in order.

python benchmarks/long_video.py [--frames 5000] [--size 320x180] [--model denoise-fast-int8]

Exit code 1 if the process grows by 2 % or more after frame 500, or frames are missing or out of
order: the mean of each frame says its number.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np

import hyperguide
from hyperguide import video
from hyperguide.memory import used_bytes
from hyperguide.video.addresses import parse_source
from hyperguide.video.files import FileOptions, enhance_file

WARM, MOST = 500, 0.02


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--model", default="denoise-fast-int8")
    chosen = parser.parse_args()
    used: dict[int, int] = {}

    def report(done: int, count: int | None, slowest: str) -> None:
        if done % 50 == 0:
            used[done] = used_bytes() or 0

    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in.mkv", Path(folder) / "out.mkv"
        _make(source, chosen.size, chosen.frames)
        with hyperguide.load(chosen.model) as enhancer:
            address = parse_source(str(source))
            summary = enhance_file(enhancer, address, out, FileOptions(), report=report)
        before = [float(frame.image.mean()) for frame in video.frames(source)]
        after = [float(frame.image.mean()) for frame in video.frames(out)]
    warm = max(size for done, size in used.items() if done <= WARM)
    most = max(used.values())
    growth = most / warm - 1
    same = len(after) == chosen.frames and bool(np.allclose(before, after, atol=3))
    print(
        f"{summary.frames} frames, {summary.frames / summary.seconds:.1f} frames/s; "
        f"{warm / 1e6:.0f} MB at frame {WARM}, at most {most / 1e6:.0f} MB, {100 * growth:+.1f} %; "
        + ("all frames there and in order" if same else "frames are MISSING or out of order")
    )
    return int(growth >= MOST or not same)


def _make(path: Path, size: str, frames: int) -> None:
    """Frames whose brightness rises and falls over 200 of them, with some noise."""
    level = "60+120*(1-abs(mod(N\\,200)/100-1))"
    source = f"color=gray:size={size}:rate=25,geq=lum='{level}':cb=128:cr=128,noise=alls=20:allf=t"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source]
    command += ["-frames:v", str(frames), "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"]
    subprocess.run([*command, str(path)], check=True)


if __name__ == "__main__":
    sys.exit(main())
