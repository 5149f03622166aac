"""Writes with fonts as people set them; OpenCV has only letters of strokes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

Color = tuple[int, int, int]

# Fonts that come with matplotlib, without those of the suite `text`.
FONTS = (
    "DejaVuSans-Oblique",
    "DejaVuSansMono-Bold",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "cmss10",
    "cmtt10",
    "cmb10",
)


def write(
    pixels: np.ndarray,
    line: str,
    place: tuple[int, int],
    font: str,
    size: int,
    ink: Color,
    outline: int = 0,
    paper: Color | None = None,
) -> None:
    """Write a line of text into a picture.

    pixels: uint8, shape (H, W, 3), changed in place.
    place: upper left corner, (x, y); the line may leave the picture.
    size: of the font, in pixels.
    outline: width of a black outline.
    paper: colour of a bar behind the line.
    """
    image = PIL.Image.fromarray(pixels)
    draw = PIL.ImageDraw.Draw(image)
    face = open_font(font, size)
    if paper is not None:
        draw.rectangle(draw.textbbox(place, line, face), paper)
    draw.text(place, line, ink, face, stroke_width=outline, stroke_fill=(0, 0, 0))
    pixels[:] = np.asarray(image)


@lru_cache(64)
def open_font(name: str, size: int) -> PIL.ImageFont.FreeTypeFont:
    """A font of matplotlib's, `size` pixels tall."""
    import matplotlib as mpl

    return PIL.ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", f"{name}.ttf"), size)
