"""Contact sheets: degraded, guidance, enhanced and true picture side by side, with PSNR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hyperguide.picture_files import decode_map, draw_text, false_color, write_picture
from hyperguide.psnr import psnr
from hyperguide.tasks import Guidance

_WIDTH = 420  # of a picture on the sheet
_GAP = 10


@dataclass(frozen=True)
class Row:
    """The pictures of one task, uint8 RGB.

    guidance: 16-bit gray over the range of `meaning`. results: (caption, picture) pairs.
    """

    task: str
    degraded: np.ndarray
    guidance: np.ndarray
    meaning: Guidance
    results: tuple[tuple[str, np.ndarray], ...]
    clean: np.ndarray

    def psnr(self, picture: np.ndarray) -> float:
        return psnr(picture, self.clean, 255)


def write_sheet(path: Path, rows: list[Row]) -> None:
    """Write one row of pictures per task."""
    write_picture(path, np.vstack([_draw(row) for row in rows]))


def _draw(row: Row) -> np.ndarray:
    guidance = decode_map(row.guidance, row.meaning, row.task)
    columns = (
        (row.degraded, f"{row.task}: input, {row.psnr(row.degraded):.2f} dB"),
        (None, "predicted guidance"),
        *((picture, f"{name}, {row.psnr(picture):.2f} dB") for name, picture in row.results),
        (row.clean, "ground truth"),
    )
    height = round(row.clean.shape[0] * _WIDTH / row.clean.shape[1])
    cells = []
    for picture, caption in columns:
        if picture is None:
            small = cv2.resize(guidance, (_WIDTH, height), interpolation=cv2.INTER_AREA)
            body = false_color(small, row.meaning)
        else:
            body = cv2.resize(picture, (_WIDTH, height), interpolation=cv2.INTER_AREA)
        cell = np.full((height + 90, _WIDTH + _GAP, 3), 255, np.uint8)
        draw_text(cell, caption, 2, 20, size=0.55)
        cell[28 : 28 + body.shape[0], : body.shape[1]] = body
        cells.append(cell)
    return np.hstack(cells)
