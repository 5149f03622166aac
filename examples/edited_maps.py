"""Feeds an edited map for each frame: shadows lose more noise, one region keeps its grain.

python examples/edited_maps.py film.mp4 film-clean.mp4 [x y width height]

The network predicts the noise level of every pixel. Here it is raised by half in the shadows, where
noise is seen most, and divided by two in the region that is named.
"""

import sys

import cv2
import numpy as np

import hyperguide
from hyperguide import video


def main(source: str, output: str, region: list[int]) -> None:
    with hyperguide.load("denoise") as enhancer, video.writer(output) as writer:
        stream = enhancer.stream(temporal=False)  # maps of the frames, not of averages
        most = enhancer.info.guidance.maximum
        for frame in video.frames(source):
            noise = stream(frame.image).guidance
            edited = edit(noise, frame.image, region).clip(0, most)
            writer.write(frame, enhancer(frame.image, guidance=edited).image)


def edit(noise: np.ndarray, image: np.ndarray, region: list[int]) -> np.ndarray:
    """The map to remove noise by, shape (H, W), in the unit of `noise`."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    shadows = cv2.GaussianBlur(gray, (0, 0), 8) < 0.25
    edited = noise * np.where(shadows, np.float32(1.5), np.float32(1))
    if region:
        x, y, width, height = region
        edited[y : y + height, x : x + width] *= 0.5
    return cv2.GaussianBlur(edited, (0, 0), 4)  # no hard edges


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [int(number) for number in sys.argv[3:7]])
