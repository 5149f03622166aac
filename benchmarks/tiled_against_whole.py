"""Compares large pictures computed in tiles and as a whole, for every bundled float file.

    python benchmarks/tiled_against_whole.py
    python benchmarks/tiled_against_whole.py --model deblur-fast --size 1080x1920 --tile 512

Files that see only their receptive field must agree within 1e-5; deblurring files, whose Fourier
transforms see everything, must reach 60 dB; for files that see the whole picture the PSNR is only
printed. Exit code 1 if one fails.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import cv2
import numpy as np
import skimage.data

import hyperguide
from hyperguide.engines import why_absent
from hyperguide.model_format.bundled import bundled_models
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.psnr import psnr

MOST = 1e-5
LEAST_PSNR = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [path.stem for path in bundled_models() if "int8" not in path.stem]
    parser.add_argument("--model", nargs="+", default=names, choices=names)
    parser.add_argument("--size", nargs="+", default=["333x517", "1080x1920"], help="HxW")
    parser.add_argument("--tile", type=int, default=300, help="longest side of a part, pixels")
    chosen = parser.parse_args()
    right = True
    for name in chosen.model:
        for device in ("cpu", "openvino"):
            for size in chosen.size if why_absent(device) is None else ():
                right &= _compare(name, device, size, chosen.tile)
    print("all as the whole" if right else "FAILED")
    return int(not right)


def _compare(name: str, device: str, size: str, tile: int) -> bool:
    """Print how far tiles are from the whole; returns whether that is close enough."""
    whole, parts = (hyperguide.load(name, device=device, tile=side) for side in (None, tile))
    picture, dials = _picture(size, parts.info)
    count: list[float] = []
    one, other = whole(picture, **dials), parts(picture, **dials, report=count.append)
    assert one.guidance is not None
    assert other.guidance is not None
    worst = float(np.abs(one.image - other.image).max())
    of_map = float(np.abs(one.guidance - other.guidance).max())
    agreement = psnr(one.image, other.image, 1)
    same = parts.info.context == "global" or max(worst, of_map) <= MOST
    near = agreement >= LEAST_PSNR if dials else same
    print(
        f"{name:<18} {parts.engine:<18} {size:>10} in {len(count):3} reports: enhanced off by "
        f"{worst:.1e}, {agreement:6.1f} dB, map by {of_map:.1e}  {'ok' if near else 'FAILED'}",
        flush=True,
    )
    return near


def _picture(size: str, info: ModelInfo) -> tuple[np.ndarray, dict[str, Any]]:
    """A noisy photo in [0, 1] and the dials; for deblurring blurred, with its kernel."""
    height, width = map(int, size.split("x"))
    photo = cv2.resize(skimage.data.coffee(), (width, height), interpolation=cv2.INTER_CUBIC)
    if info.channels == 1:
        photo = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    clean = photo.astype(np.float32) / 255
    dials: dict[str, Any] = {}
    if info.task == "deblur":
        line = np.zeros((15, 15), np.float32)
        cv2.line(line, (1, 3), (13, 11), 1.0)
        dials["kernel"] = line / line.sum()
        clean = cv2.filter2D(clean, -1, dials["kernel"][::-1, ::-1])
    noise = np.random.default_rng(0).normal(0, 0.02, clean.shape)
    return (clean + noise).clip(0, 1).astype(np.float32), dials


if __name__ == "__main__":
    sys.exit(main())
