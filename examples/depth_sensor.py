"""Dehazes a picture with the depth that a sensor measured.

python examples/depth_sensor.py hazy.jpg depth.png clean.png

How much haze lies before each point follows from its distance, which the network otherwise guesses.
A LiDAR, a stereo camera or radar knows it better, even if it measures few points. `depth.png` is a
gray picture of distances of any size, 8 or 16 bits; where it is 0, the sensor saw nothing, and the
network's own map is used.
"""

import sys

import cv2
import numpy as np

import hyperguide


def main(source: str, depth: str, output: str) -> None:
    image = cv2.imread(source)
    distance = cv2.imread(depth, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_GRAYSCALE)
    if image is None or distance is None:
        raise SystemExit(f"{source if image is None else depth} is not a picture.")
    guidance, share = as_guidance(distance, image.shape[:2])
    with hyperguide.load("dehaze") as enhancer:
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        clean = enhancer(rgb, guidance=guidance, guidance_mix=share).image
    cv2.imwrite(output, cv2.cvtColor(clean, cv2.COLOR_RGB2BGR))


def as_guidance(distance: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The map and its share, shape `size` each, from distances in any unit, 0 where unknown."""
    known = (distance > 0).astype(np.float32)
    relative = distance.astype(np.float32) / max(float(distance.max()), 1e-6)
    width_height = size[::-1]
    share = cv2.resize(known, width_height, interpolation=cv2.INTER_LINEAR)
    # Unknown cells must not pull the distances of their neighbours down.
    total = cv2.resize(relative * known, width_height, interpolation=cv2.INTER_LINEAR)
    return total / np.maximum(share, 1e-6), share


if __name__ == "__main__":
    main(*sys.argv[1:4])
