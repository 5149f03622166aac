"""Random crops of pictures: the same window for all planes of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Generator, Tensor

# Largest ratio of the shares of a picture's height and width that a crop covers, either way round.
_SQUEEZED = 1.3


@dataclass(frozen=True)
class Window:
    """Where a crop is taken.

    down, right: position in [0, 1) between the first and the last possible one.
    height, width: of the crop in pixels, after reducing the picture by the factor `reduce`.
    share: shares of the picture's height and width that are squeezed into the crop; at (0, 0) the
        crop is reduced by `reduce` only.
    """

    down: float
    right: float
    mirrored: bool
    height: int
    width: int
    reduce: int = 1
    share: tuple[float, float] = (0.0, 0.0)

    def crop(self, picture: np.ndarray) -> np.ndarray:
        """The crop, shape (height, width) or (height, width, C)."""
        sides = self.height, self.width
        height, width = (
            max(1, round(share * length)) if share else side * self.reduce
            for share, length, side in zip(self.share, picture.shape, sides, strict=False)
        )
        crop = crop_picture(picture, height, width, self.down, self.right)
        if crop.shape[:2] != sides:
            crop = cv2.resize(crop, sides[::-1], interpolation=cv2.INTER_AREA)
        return crop[:, ::-1] if self.mirrored else crop


def draw_window(
    height: int, width: int, reduce: int, rng: Generator, least_share: float = 0.0
) -> Window:
    """A random window, mirrored half of the time.

    Rain falls and depth recedes upwards, so windows are never flipped upside down.
    least_share: see `preset.Stage`.
    """
    down, right, mirror = torch.rand(3, generator=rng).tolist()
    share = 0.0, 0.0
    if least_share:
        size_of_both, taller = torch.rand(2, generator=rng).tolist()
        both = least_share + (1 - least_share) * size_of_both
        ratio = _SQUEEZED ** (taller - 0.5)
        share = max(least_share, min(both * ratio, 1.0)), max(least_share, min(both / ratio, 1.0))
    return Window(down, right, mirror < 0.5, height, width, reduce, share)


def random_window(picture: np.ndarray, height: int, width: int, rng: Generator) -> np.ndarray:
    """A random crop of a picture; see `crop_picture`."""
    down, right = torch.rand(2, generator=rng).tolist()
    return crop_picture(picture, height, width, down, right)


def crop_picture(
    picture: np.ndarray, height: int, width: int, down: float, right: float
) -> np.ndarray:
    """A crop of a picture, which is first extended by reflection if it is too small.

    down, right: position in [0, 1).
    """
    missing = max(height - picture.shape[0], 0), max(width - picture.shape[1], 0)
    if any(missing):
        picture = cv2.copyMakeBorder(picture, 0, missing[0], 0, missing[1], cv2.BORDER_REFLECT)
    top = int(down * (picture.shape[0] - height + 1))
    left = int(right * (picture.shape[1] - width + 1))
    return picture[top : top + height, left : left + width]


def to_tensor(crop: np.ndarray) -> Tensor:
    """An 8-bit crop, shape (H, W, C), as a batch of one, shape (1, C, H, W), in [0, 1]."""
    planes = np.ascontiguousarray(crop.transpose(2, 0, 1))
    return torch.from_numpy(planes)[None].to(torch.float32) / 255
