"""Averaging over time against frame by frame, beside FFmpeg's own denoisers.

python benchmarks/temporal.py DAVIS [--frames 25] [--sigmas 20 50] [--kinds frozen moving ...]
python benchmarks/temporal.py DAVIS --sheet sheet.png
python benchmarks/temporal.py DAVIS --time-only

DAVIS: a folder with a folder of frames for each sequence. Kinds of clips:

- frozen: the first frame, again and again
- moving: the sequence
- pan: a window that slides over the first frame by (2, 1) pixels a frame
- slow pan: by (1.3, 0.4) pixels, interpolated by its Fourier series

White noise of a fixed seed is added, rounded and clipped to bytes. PSNR is that against the clean
frames, mean over the frames. The strengths of hqdn3d and nlmeans are those that are best on another
photo, panned. Exit code 1 if a moving clip loses more than 0.05 dB, a frozen one gains less than
3 dB from frame 9 on, or averaging takes more than 15 % of the call's time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median

import cv2
import imageio_ffmpeg
import numpy as np
import skimage.data

import hyperguide
from hyperguide.psnr import psnr
from hyperguide.temporal import MIX, TemporalAverage

KINDS = ("frozen", "moving", "pan", "slow pan")
STRENGTHS = {
    "hqdn3d": ("hqdn3d={}", (6, 9, 13, 19, 28, 40, 60)),
    "nlmeans": ("nlmeans=s={}:p=7:r=11", (4, 6, 9, 13, 19, 28)),
}
SETTLED = 8  # frames after which gains are counted "from frame 9 on"

Frames = list[np.ndarray]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("davis", type=Path)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--sigmas", type=int, nargs="+", default=[20, 50])
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--sheet", type=Path, help="write pictures of moving things instead")
    parser.add_argument("--time-only", action="store_true")
    chosen = parser.parse_args()
    with hyperguide.load("denoise-fast") as enhancer:
        if chosen.sheet:
            cv2.imwrite(str(chosen.sheet), _sheet(enhancer, chosen.davis)[..., ::-1])
            return 0
        failed = False
        if not chosen.time_only:
            failed = _quality(enhancer, chosen)
    return int(failed | _slow())


def _quality(enhancer: hyperguide.Enhancer, chosen: argparse.Namespace) -> bool:
    """Print PSNR of all clips. Returns whether a gain is too small."""
    sequences = sorted(path for path in chosen.davis.iterdir() if path.is_dir())
    failed = False
    for sigma in chosen.sigmas:
        filters = {name: _best_filter(name, sigma, chosen.frames) for name in STRENGTHS}
        print(f"\nsigma {sigma}: {', '.join(filters.values())}\n")
        print("| clip | frame by frame | averaged | gain | from frame 9 | hqdn3d | nlmeans |")
        print("|---|---|---|---|---|---|---|")
        for kind in chosen.kinds:
            rows = []
            for number, sequence in enumerate(sequences):
                clean = clip(sequence, kind, chosen.frames)
                noisy = with_noise(clean, sigma, seed=100 * number + sigma)
                single = _psnrs([enhancer(frame).image for frame in noisy], clean)
                averaged = _psnrs(list(over_time(enhancer, noisy)), clean)
                peers = [mean(_psnrs(_ffmpeg(f, noisy), clean)) for f in filters.values()]
                gains = [a - s for a, s in zip(averaged, single, strict=True)]
                row = [mean(single), mean(averaged), mean(gains), mean(gains[SETTLED:]), *peers]
                rows.append(row)
                _print_row(f"{kind}, {sequence.name}", row)
                failed |= kind == "moving" and row[2] < -0.05
                failed |= kind == "frozen" and row[3] < 3
            _print_row(f"**{kind}, mean**", [mean(column) for column in zip(*rows, strict=True)])
    return failed


def _print_row(name: str, row: list[float]) -> None:
    single, averaged, gain, late, *peers = row
    cells = [f"{single:.2f}", f"{averaged:.2f}", f"{gain:+.2f}", f"{late:+.2f}"]
    print("|", " | ".join([name, *cells, *(f"{peer:.2f}" for peer in peers)]), "|", flush=True)


def over_time(enhancer: hyperguide.Enhancer, frames: Frames) -> Iterator[np.ndarray]:
    """The frames enhanced after averaging."""
    temporal = TemporalAverage()
    for frame in frames:
        picture, noise = temporal(frame)
        result = _enhanced(enhancer, picture, noise)
        temporal.learn(result.guidance)
        yield result.image


def _enhanced(
    enhancer: hyperguide.Enhancer, picture: np.ndarray, noise: np.ndarray | None
) -> hyperguide.Result:
    if noise is None:
        return enhancer(picture)
    return enhancer(picture, guidance=noise, guidance_mix=MIX)


def clip(sequence: Path, kind: str, count: int) -> Frames:
    """Clean RGB frames."""
    paths = sorted(sequence.glob("*.jpg"))[:count]
    if kind == "moving":
        return [_read(path) for path in paths]
    photo = _read(paths[0])
    if kind == "frozen":
        return [photo] * count
    step = (2.0, 1.0) if kind == "pan" else (1.3, 0.4)
    return list(panned(photo, step, count))


def panned(photo: np.ndarray, step: tuple[float, float], count: int) -> Iterator[np.ndarray]:
    """A window that slides over a photo, step: x and y in pixels a frame."""
    margin = 8  # the Fourier series rings at the border
    height, width = (
        side - int(np.ceil(by * (count - 1))) - 2 * margin
        for side, by in zip(photo.shape[:2], step[::-1], strict=True)
    )
    waves = np.fft.fft2(photo, axes=(0, 1))
    y, x = (np.fft.fftfreq(side)[:, None] for side in photo.shape[:2])
    for i in range(count):
        (left, part_x), (top, part_y) = (divmod(i * by, 1) for by in step)
        window = photo
        if part_x or part_y:
            turned = np.exp(2j * np.pi * (y * part_y + x.T * part_x))[..., None]
            window = np.fft.ifft2(waves * turned, axes=(0, 1)).real.clip(0, 255).round()
        left, top = int(left) + margin, int(top) + margin
        yield window[top : top + height, left : left + width].astype(np.uint8)


def with_noise(frames: Frames, sigma: float, seed: int) -> Frames:
    rng = np.random.default_rng(seed)
    noisy = (frame + rng.normal(0, sigma, frame.shape) for frame in frames)
    return [frame.clip(0, 255).round().astype(np.uint8) for frame in noisy]


def _read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None, path
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _psnrs(frames: Frames, clean: Frames) -> list[float]:
    pairs = zip(frames, clean, strict=True)
    return [psnr(frame, truth, 255) for frame, truth in pairs]


def _best_filter(name: str, sigma: int, count: int) -> str:
    """FFmpeg's filter at the strength that is best on a panned photo."""
    pattern, strengths = STRENGTHS[name]
    clean = list(panned(skimage.data.coffee(), (2.0, 1.0), min(count, 10)))
    noisy = with_noise(clean, sigma, seed=1)
    filters = [pattern.format(strength) for strength in strengths]
    return max(filters, key=lambda filter: mean(_psnrs(_ffmpeg(filter, noisy), clean)))


def _ffmpeg(filter: str, frames: Frames) -> Frames:
    height, width = frames[0].shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *raw, "-s", f"{width}x{height}"]
    command += ["-i", "-", "-vf", f"format=yuv444p,{filter}", *raw, "-"]
    stream = b"".join(frame.tobytes() for frame in frames)
    done = subprocess.run(command, input=stream, stdout=subprocess.PIPE, check=True).stdout
    return list(np.frombuffer(done, np.uint8).reshape(-1, height, width, 3))


def _slow() -> bool:
    """Print the share of the call's time at 1280x720. Returns whether it is too large."""
    photo = cv2.resize(skimage.data.coffee(), (1400, 934), interpolation=cv2.INTER_CUBIC)
    shares = {}
    print()
    for model in ("denoise-fast", "denoise-fast-int8"):
        with hyperguide.load(model) as enhancer:
            for step in ((0.0, 0.0), (2.0, 1.0), (1.3, 0.4)):
                clean = [frame[:720, :1280] for frame in panned(photo, step, 20)]
                spent = _times(enhancer, with_noise(clean, 20, seed=2))
                shares[model, step] = median(spent[0]) / median(spent[1])
                print(
                    f"{model} on {enhancer.engine}, panned by {step}: averaging "
                    f"{1000 * median(spent[0]):.1f} ms, call {1000 * median(spent[1]):.1f} ms, "
                    f"{100 * shares[model, step]:.1f} %"
                )
    return max(share for (model, _), share in shares.items() if model == "denoise-fast") > 0.15


def _times(enhancer: hyperguide.Enhancer, frames: Frames) -> tuple[list[float], list[float]]:
    """Seconds of averaging, and of the call, for each frame once it has settled."""
    temporal = TemporalAverage()
    averaging, calls = [], []
    for frame in frames:
        began = time.perf_counter()
        picture, noise = temporal(frame)
        averaged = time.perf_counter()
        result = _enhanced(enhancer, picture, noise)
        called = time.perf_counter()
        temporal.learn(result.guidance)
        averaging.append(averaged - began + time.perf_counter() - called)
        began = time.perf_counter()
        enhancer(frame)
        calls.append(time.perf_counter() - began)
    return averaging[5:], calls[5:]


def _sheet(enhancer: hyperguide.Enhancer, davis: Path) -> np.ndarray:
    """Moving things: frame by frame, averaged, three times the difference, clean; RGB."""
    moments = (
        ("libby", 10, 300, 150, 50),
        ("parkour", 12, 400, 120, 20),
        ("dog", 16, 300, 130, 20),
        ("car-roundabout", 18, 300, 130, 50),
        ("cows", 20, 250, 180, 50),
    )
    rows = []
    for name, number, left, top, sigma in moments:
        clean = clip(davis / name, "moving", number + 1)
        noisy = with_noise(clean, sigma, seed=3)
        box = (slice(top, top + 260), slice(left, left + 360))
        single = enhancer(noisy[-1]).image[box].astype(int)
        averaged = list(over_time(enhancer, noisy))[-1][box].astype(int)
        difference = (128 + 3 * (averaged - single)).clip(0, 255)
        rows.append(np.hstack([single, averaged, difference, clean[-1][box]]))
    return np.vstack(rows).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
