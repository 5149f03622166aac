"""Makes the pictures that the page offers, from photos with known defects.

python page/make_examples.py CHINA.JPG public/examples

CHINA.JPG is scikit-learn's `sklearn/datasets/images/china.jpg`, by danielbuechele, CC BY 2.0. The
other photos come with scikit-image and are CC0: `chelsea` by Stefan van der Walt, `coffee` by
Rachel Michetti.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from hyperguide.training.data.rain import draw_streaks

NOISE = 28 / 255
HAZE = 1.5  # optical depth of the farthest points
AIRLIGHT = np.float32([0.86, 0.88, 0.9])
MOTION = 13, 25  # pixels, and degrees from the horizontal


def main(china: Path, folder: Path) -> None:
    """Write the pictures into a folder."""
    rng = np.random.default_rng(3)
    temple = cv2.cvtColor(cv2.imread(str(china)), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    cat, coffee = (
        photo().astype(np.float32) / 255 for photo in (skimage.data.chelsea, skimage.data.coffee)
    )
    pictures = {
        "denoise": cat + NOISE * rng.standard_normal(cat.shape, np.float32),
        "derain": rainy(temple),
        "dehaze": hazy(temple),
        "deblur": blurred(coffee)
        + np.float32(1 / 255) * rng.standard_normal(coffee.shape, np.float32),
    }
    for name, picture in pictures.items():
        levels = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
        settings = [cv2.IMWRITE_JPEG_QUALITY, 93]
        cv2.imwrite(str(folder / f"{name}.jpg"), cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), settings)


def rainy(photo: np.ndarray) -> np.ndarray:
    """Heavy rain on a dark day."""
    height, width = photo.shape[:2]
    streaks = draw_streaks(height, width, np.random.default_rng(5), sheets=3)
    return 0.85 * photo**1.35 + 0.6 * streaks[..., None]


def hazy(photo: np.ndarray) -> np.ndarray:
    """Haze over the temple: sky and lake are far, all else is near, and nearer at the bottom."""
    brightest, darkest = photo.max(2), photo.min(2)
    is_far = ((brightest > 0.55) & (brightest - darkest < 0.3)).astype(np.uint8)
    is_far = cv2.morphologyEx(is_far, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    rows = np.linspace(0.55, 0.3, len(photo), dtype=np.float32)[:, None]
    depth = cv2.GaussianBlur(np.where(is_far > 0, np.float32(1), rows), (0, 0), 3)
    transmission = np.exp(-HAZE * depth)[..., None]
    return photo * transmission + AIRLIGHT * (1 - transmission)


def blurred(photo: np.ndarray) -> np.ndarray:
    """Blur of a camera that moves along a line during the exposure."""
    length, degrees = MOTION
    side = length + 4
    kernel = np.zeros((side, side), np.float32)
    along = np.linspace(-(length - 1) / 2, (length - 1) / 2, 20 * length)
    angle = np.deg2rad(degrees)
    x, y = side // 2 + along * np.cos(angle), side // 2 - along * np.sin(angle)
    np.add.at(kernel, (np.rint(y).astype(int), np.rint(x).astype(int)), 1)
    return cv2.filter2D(photo, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
