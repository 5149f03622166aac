"""Text stays: a suite of photos with subtitles, signs and small print drawn over them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from hyperguide.training.data.lettering import Color, open_font

from .suites import Case, Options, Suite, list_pictures, read_float

# Fonts that training does not use.
_FONTS = ("DejaVuSans-Bold", "DejaVuSans", "DejaVuSerif", "STIXGeneral", "DejaVuSansMono")
_LINES = (
    "What did they say when the rain began?",
    "No. 14  OPEN DAILY 9-18  (closed on Mondays)",
    "I told you: it never stops before noon.",
    "ILLINOIS /// platform 11, all trains to Lille",
)
_SIGNS = ("HOTEL 24", "Bakery", "EXIT ILL", "Wifi/Taxi")
_WHITE, _BLACK, _IVORY = (255, 255, 255), (0, 0, 0), (225, 225, 215)
_YELLOW, _RED = (255, 240, 90), (170, 20, 20)


def text(folder: Path, options: Options) -> Suite:
    """Photos with drawn text, undegraded: a target should leave the text as it is.

    Every photo has two rows of subtitle, outlined or on a bar, a sign, and a row of small print.
    Each of these is a part of its own, because small print is the first to be taken for rain.
    Raises HyperguideError if the folder is missing or holds no pictures.
    """
    paths = list_pictures(folder)[: options.limit]
    return Suite(
        about=f"text over the pictures of {folder}",
        protocol="rgb",
        guidance=None,
        cases=tuple(partial(_case, path, n, options.blur) for n, path in enumerate(paths)),
    )


def _case(path: Path, number: int, blur: bool) -> Case:
    photo = np.rint(255 * np.atleast_3d(read_float(path))).astype(np.uint8)
    page = _Page(np.broadcast_to(photo, (*photo.shape[:2], 3)))
    parts = _subtitle(page, number), _sign(page, number), _small_print(page, number)
    picture = (np.asarray(page.image) / 255).astype(np.float32)
    kernel = np.ones((1, 1)) if blur else None
    return Case(path.stem, picture, picture.astype(np.float64), kernel=kernel, parts=parts)


class _Page:
    """A photo to write on."""

    def __init__(self, photo: np.ndarray) -> None:
        self.image = PIL.Image.fromarray(np.ascontiguousarray(photo))
        self.draw = PIL.ImageDraw.Draw(self.image)
        self.height, self.width = photo.shape[:2]
        self.size = max(round(self.width / 24), 10)  # of the subtitle's letters

    def write(
        self,
        place: tuple[int, int],
        line: str,
        font: PIL.ImageFont.FreeTypeFont,
        ink: Color,
        anchor: str = "la",
        outline: int = 0,
    ) -> np.ndarray:
        """Write a line. Returns which pixels the letters cover, bool, shape (H, W)."""
        self.draw.text(
            place, line, ink, font, anchor=anchor, stroke_width=outline, stroke_fill=_BLACK
        )
        letters = PIL.Image.new("L", self.image.size)
        PIL.ImageDraw.Draw(letters).text(place, line, 255, font, anchor=anchor)
        return np.asarray(letters) > 127


def _subtitle(page: _Page, number: int) -> np.ndarray:
    font, ink = _font(number, page.size), _YELLOW if number % 3 == 1 else _WHITE
    covered = []
    for row in range(2):
        line = _LINES[(number + row) % len(_LINES)]
        place = page.width // 2, page.height - round((2.8 - 1.3 * row) * page.size)
        if number % 4 == 3:
            page.draw.rectangle(page.draw.textbbox(place, line, font, anchor="ma"), _BLACK)
        outline = max(page.size // 12, 1)
        covered.append(page.write(place, line, font, ink, "ma", outline))
    return covered[0] | covered[1]


def _sign(page: _Page, number: int) -> np.ndarray:
    ink, board = (_WHITE, _RED) if number % 2 else (_BLACK, _IVORY)
    place, font = (round(0.6 * page.width), page.height // 6), _font(number + 1, page.size)
    word = _SIGNS[number % len(_SIGNS)]
    left, top, right, bottom = page.draw.textbbox(place, word, font)
    edge = page.size // 2
    page.draw.rectangle((left - edge, top - edge, right + edge, bottom + edge), board)
    return page.write(place, word, font, ink)


def _small_print(page: _Page, number: int) -> np.ndarray:
    place, font = (page.width // 16, page.height // 2), _font(number + 2, max(page.size // 2, 8))
    return page.write(place, _LINES[number % len(_LINES)], font, _WHITE)


def _font(number: int, size: int) -> PIL.ImageFont.FreeTypeFont:
    return open_font(_FONTS[number % len(_FONTS)], size)
