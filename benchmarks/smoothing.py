"""What the smoothing of maps does to a video: quality of a pan, flicker, and trails behind edges.

    python benchmarks/smoothing.py --data photos/ --out trails.png

The denoiser restores clips made of photos, each frame with other noise, once without smoothing and
once with the default; frames are not averaged. The pan slides a window over a photo; its PSNR and
the change of the picture and the map from frame to frame are printed, the latter for step 0. In the
other clip a square with more noise, or less, moves over a photo: printed is how far the map where
the square was before is from that of the frame alone. The sheet shows for each of these clips the
map of the last frame, alone and smoothed, and ten times their difference.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from outputs import add_force, check_outputs

import hyperguide
from hyperguide.picture_files import read_picture, write_picture
from hyperguide.psnr import psnr
from hyperguide.result import Result

# Frames of a clip, and those at its begin in which the smoothed map settles.
_FRAMES, _SETTLING = 14, 4
_SIGMA = 25.0
_SIDES = (256, 384)  # of a frame
_SQUARE = 96
_PAN_STEPS = (0, 1, 2, 4, 8)
_SQUARES = ((8, 40), (40, 8), (25, 25))  # noise of the scene and of the square
_SQUARE_STEPS = (3, 12)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of photos; without it those of skimage")
    parser.add_argument("--photos", type=int, default=8, help="of the folder, evenly spread")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="the sheet, a PNG")
    add_force(parser)
    chosen = parser.parse_args()
    check_outputs(parser, [chosen.out], chosen.force)
    photos = _photos(chosen.data, chosen.photos)
    enhancer = hyperguide.load("denoise", device=chosen.device)
    print(f"pans, sigma {_SIGMA:g}, {len(photos)} photos, {enhancer.engine}")
    for step in _PAN_STEPS:
        _print_pan(enhancer, photos, step)
    print("squares that move over a photo: the map behind them, levels of 255")
    sheet = [
        _print_square(enhancer, photos[0], noise, step)
        for noise in _SQUARES
        for step in _SQUARE_STEPS
    ]
    if chosen.out:
        write_picture(chosen.out, np.vstack(sheet))
    return 0


def _photos(folder: Path | None, most: int) -> list[np.ndarray]:
    """Photos that are large enough, RGB bytes."""
    if folder is None:
        return [skimage.data.coffee(), skimage.data.rocket(), skimage.data.astronaut()]
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
    chosen = paths[:: max(len(paths) // most, 1)][:most]
    width = _SIDES[1] + max(_PAN_STEPS) * _FRAMES
    return [_at_least(read_picture(path)[..., :3], _SIDES[0], width) for path in chosen]


def _at_least(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    factor = max(height / photo.shape[0], width / photo.shape[1], 1)
    return cv2.resize(photo, None, fx=factor, fy=factor) if factor > 1 else photo


def _pan(photo: np.ndarray, step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Clean and noisy frames of a window that slides to the right."""
    height, width = _SIDES
    for number in range(_FRAMES):
        clean = photo[:height, step * number : step * number + width]
        yield clean, _noisy(clean, _SIGMA, number)


def _noisy(clean: np.ndarray, sigma: float | np.ndarray, seed: int) -> np.ndarray:
    noise = sigma * np.random.default_rng(seed).normal(0, 1, clean.shape)
    return np.rint((clean + noise).clip(0, 255)).astype(np.uint8)


def _restored(
    enhancer: hyperguide.Enhancer, frames: list[np.ndarray], smooth: float | None
) -> list[Result]:
    with enhancer.stream(smooth, temporal=False) as stream:
        return [stream(frame) for frame in frames][_SETTLING:]


def _print_pan(enhancer: hyperguide.Enhancer, photos: list[np.ndarray], step: int) -> None:
    gains, flickers = [], []
    for photo in photos:
        clean, noisy = (list(frames) for frames in zip(*_pan(photo, step), strict=True))
        alone, smoothed = (_restored(enhancer, noisy, smooth) for smooth in (0, None))
        gains.append(_quality(smoothed, clean) - _quality(alone, clean))
        flickers.append([*_flicker(alone), *_flicker(smoothed)])
    line = f"  {step} pixels a frame: PSNR {np.mean(gains):+.3f} dB, worst {min(gains):+.3f}"
    if step == 0:
        picture, map_, smooth_picture, smooth_map = np.mean(flickers, axis=0)
        line += f"; flicker of the picture {picture:.3f} -> {smooth_picture:.3f} levels"
        line += f", of the map {map_:.3f} -> {smooth_map:.3f}"
    print(line, flush=True)


def _quality(results: list[Result], clean: list[np.ndarray]) -> float:
    pairs = zip(results, clean[_SETTLING:], strict=True)
    return float(np.mean([psnr(result.image, frame, 255) for result, frame in pairs]))


def _flicker(results: list[Result]) -> tuple[float, float]:
    """Mean standard deviation over time of pictures and maps, in levels of 255."""
    pictures = np.stack([result.image for result in results]).astype(np.float32)
    return float(pictures.std(0).mean()), float(255 * _maps(results).std(0).mean())


def _maps(results: list[Result]) -> np.ndarray:
    return np.stack([result.guidance for result in results if result.guidance is not None])


def _print_square(
    enhancer: hyperguide.Enhancer, photo: np.ndarray, noise: tuple[int, int], step: int
) -> np.ndarray:
    """Print the trail of a square; returns a row of the sheet."""
    height, width = _SIDES
    clean = photo[:height, :width]
    rows = slice((height - _SQUARE) // 2, (height + _SQUARE) // 2)
    frames = []
    for number in range(_FRAMES):
        columns = slice(8 + step * number, 8 + step * number + _SQUARE)
        scene, sigma = clean.copy(), np.full(clean.shape, float(noise[0]))
        scene[rows, columns] = photo[:_SQUARE, -_SQUARE:]
        sigma[rows, columns] = noise[1]
        frames.append(_noisy(scene, sigma, number))
    alone, smoothed = (255 * _maps(_restored(enhancer, frames, smooth)) for smooth in (0, None))
    everywhere = 255 * _maps(_mixed_everywhere(enhancer, frames))
    left = 8 + step * (_FRAMES - 1)
    trail = rows, slice(max(left - 3 * step, 0), left)
    print(
        f"  noise {noise[0]:2} and {noise[1]:2}, {step:2} pixels a frame:",
        f"{_distance(smoothed, alone, trail):5.2f};",
        f"mixed everywhere {_distance(everywhere, alone, trail):5.2f};",
        f"change from frame to frame {np.abs(np.diff(alone, axis=0))[:, *trail].mean():5.2f}",
        flush=True,
    )
    parts = [3 * alone[-1], 3 * smoothed[-1], 10 * np.abs(smoothed[-1] - alone[-1])]
    return np.hstack(parts).clip(0, 255).astype(np.uint8)


def _mixed_everywhere(enhancer: hyperguide.Enhancer, frames: list[np.ndarray]) -> list[Result]:
    """As a stream that does not see motion."""
    results = [enhancer(frames[0])]
    share = enhancer.info.guidance.smoothing
    for frame in frames[1:]:
        before = results[-1].guidance
        results.append(enhancer(frame, guidance=before, guidance_mix=share))
    return results[_SETTLING:]


def _distance(maps: np.ndarray, alone: np.ndarray, where: tuple[slice, slice]) -> float:
    return float(np.abs(maps[-1] - alone[-1])[where].mean())


if __name__ == "__main__":
    sys.exit(main())
