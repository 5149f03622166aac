"""Pads pictures to the sizes that a network takes, and crops them back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def next_multiple(length: int, multiple: int) -> int:
    """The smallest multiple that is not below `length`."""
    return -(-length // multiple) * multiple


@dataclass(frozen=True)
class SizeRequirements:
    """A network's requirement that a picture's height and width are multiples of a number."""

    multiple: int

    def of(self, length: int) -> int:
        """The smallest valid length that is not below `length`."""
        return next_multiple(length, self.multiple)

    def are_met(self, height: int, width: int) -> bool:
        """Whether a picture of this size needs no padding."""
        return height % self.multiple == 0 and width % self.multiple == 0

    def pad(self, array: np.ndarray, rows_axis: int = 2) -> np.ndarray:
        """Mirror the last rows and columns until the size is valid.

        Networks that look far see structure in rows and columns that are repeated instead.

        array: height at `rows_axis`, width at the next axis; returned itself if nothing is missing.
        """
        missing = [self.of(n) - n for n in array.shape[rows_axis : rows_axis + 2]]
        if not any(missing):
            return array
        widths = [(0, 0)] * array.ndim
        widths[rows_axis : rows_axis + 2] = [(0, count) for count in missing]
        return np.pad(array, widths, mode="symmetric")

    @staticmethod
    def crop(array: np.ndarray, height: int, width: int, rows_axis: int = 2) -> np.ndarray:
        """Undo `pad`: a view of the first `height` rows and `width` columns."""
        kept = [slice(None)] * array.ndim
        kept[rows_axis : rows_axis + 2] = [slice(height), slice(width)]
        return array[tuple(kept)]
