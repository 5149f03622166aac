"""Draws pictures of surfaces, lines, shapes and letters, as on screens and in print."""

from __future__ import annotations

import string

import cv2
import numpy as np

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)
LETTERS = string.ascii_letters + string.digits + ".,:;!?-+/()"


def draw_picture(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A picture of shapes and letters on a background, uint8, shape (height, width, 3)."""
    picture = _ground(height, width, rng)
    for _ in range(int(rng.integers(1, 12))):
        _SHAPES[int(rng.integers(len(_SHAPES)))](picture, rng)
    return picture


def _ground(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """One colour, or a gradient between two."""
    colors = rng.integers(0, 256, (2, 3)).astype(np.float32)
    if rng.random() < 0.5:
        colors[1] = colors[0]
    across = np.linspace(0, 1, width)[None, :, None]
    down = np.linspace(0, 1, height)[:, None, None]
    turn = rng.random()
    share = turn * across + (1 - turn) * down
    return np.rint(colors[0] + share * (colors[1] - colors[0])).astype(np.uint8)


def _polygon(picture: np.ndarray, rng: np.random.Generator) -> None:
    corners = rng.integers(-10, max(picture.shape[:2]) + 10, (int(rng.integers(3, 7)), 2))
    cv2.fillPoly(picture, [corners.astype(np.int32)], _color(rng), cv2.LINE_AA)


def _ellipse(picture: np.ndarray, rng: np.random.Generator) -> None:
    axes = tuple(int(v) for v in rng.integers(2, max(picture.shape[:2]) // 2, 2))
    thickness = -1 if rng.random() < 0.5 else int(rng.integers(1, 5))
    angle = int(rng.integers(180))
    cv2.ellipse(
        picture, _place(picture, rng), axes, angle, 0, 360, _color(rng), thickness, cv2.LINE_AA
    )


def _line(picture: np.ndarray, rng: np.random.Generator) -> None:
    ends = _place(picture, rng), _place(picture, rng)
    cv2.line(picture, *ends, _color(rng), int(rng.integers(1, 4)), cv2.LINE_AA)


def _grid(picture: np.ndarray, rng: np.random.Generator) -> None:
    """Parallel lines: fences, tables, hatching."""
    step, color, thickness = int(rng.integers(3, 17)), _color(rng), int(rng.integers(1, 3))
    lean = int(rng.integers(-40, 41))
    height, width = picture.shape[:2]
    for x in range(-40, width + 40, step):
        cv2.line(picture, (x, 0), (x + lean, height), color, thickness, cv2.LINE_AA)


def _text(picture: np.ndarray, rng: np.random.Generator) -> None:
    """Up to four rows of letters, some outlined like subtitles."""
    size = float(rng.uniform(0.35, 1.4))
    font, color = FONTS[int(rng.integers(len(FONTS)))], _color(rng)
    thickness = 1 if size < 0.7 else int(rng.integers(1, 3))
    x, y = _place(picture, rng)
    outlined = rng.random() < 0.3
    for row in range(int(rng.integers(1, 5))):
        text = "".join(rng.choice(list(LETTERS + "   "), int(rng.integers(3, 16))))
        place = x - 20, y + round(row * 28 * size)
        if outlined:
            black = (0, 0, 0)
            cv2.putText(picture, text, place, font, size, black, thickness + 2, cv2.LINE_AA)
        cv2.putText(picture, text, place, font, size, color, thickness, cv2.LINE_AA)


_SHAPES = (_polygon, _ellipse, _line, _grid, _text, _text)


def _color(rng: np.random.Generator) -> tuple[int, int, int]:
    if rng.random() < 0.3:  # black and white are more common than other colours
        return (255, 255, 255) if rng.random() < 0.5 else (0, 0, 0)
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _place(picture: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(picture.shape[1])), int(rng.integers(picture.shape[0]))
