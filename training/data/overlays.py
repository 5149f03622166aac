"""Draws what stands in front of a scene and must not be taken for rain: text, fences, grass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from . import lettering
from .drawings import FONTS, LETTERS
from .lettering import Color


@dataclass(frozen=True)
class Overlay:
    """Things in front of a scene.

    on_black, on_white: the things in front of a black and a white scene, uint8, shape (H, W, 3);
        any other scene lies in between.
    """

    on_black: np.ndarray
    on_white: np.ndarray

    def over(self, photo: np.ndarray) -> np.ndarray:
        """A photo, float32, shape (H, W, 1 or 3) in [0, 1], behind the things."""
        black, white = (
            picture.astype(np.float32) / 255 for picture in (self.on_black, self.on_white)
        )
        if photo.shape[2] == 1:
            black, white = (picture.mean(2, keepdims=True) for picture in (black, white))
        return black + photo * (white - black)


def draw_overlay(height: int, width: int, rng: np.random.Generator) -> Overlay:
    """One or two kinds of things in front of a scene of this size."""
    seed = int(rng.integers(2**62))
    on_black, on_white = (_drawn_on(level, height, width, seed) for level in (0, 255))
    return Overlay(on_black, on_white)


def _drawn_on(level: int, height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), level, np.uint8)
    for _ in range(int(rng.integers(1, 3))):
        _KINDS[int(rng.integers(len(_KINDS)))](pixels, rng)
    return pixels


def _subtitle(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """One to three bright rows with a dark outline or on a dark bar."""
    height, width = pixels.shape[:2]
    size = float(rng.uniform(0.4, 1.1))
    step = round(26 * size)
    thickness = 1 if size < 0.7 else 2
    font = FONTS[int(rng.integers(len(FONTS)))]
    bright: Color = (255, 255, 255) if rng.random() < 0.6 else (255, 255, 64)
    dark: Color = (0, 0, 0)
    left, top = int(rng.integers(-40, width // 2)), int(rng.integers(step, height))
    on_bar = rng.random() < 0.3
    for row in range(int(rng.integers(1, 4))):
        place, text = (left, top + row * step), _words(int(rng.integers(6, 30)), rng)
        if on_bar:
            span = cv2.getTextSize(text, font, size, thickness)[0][0]
            corner = left + span + 4, place[1] + round(8 * size)
            cv2.rectangle(pixels, (left - 4, place[1] - round(20 * size)), corner, dark, -1)
        else:
            cv2.putText(pixels, text, place, font, size, dark, thickness + 2, cv2.LINE_AA)
        cv2.putText(pixels, text, place, font, size, bright, thickness, cv2.LINE_AA)


def _print(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """One to three rows set in a font: titles, captions, small print."""
    height, width = pixels.shape[:2]
    size = round(8 * 5 ** float(rng.random()))
    font = lettering.FONTS[int(rng.integers(len(lettering.FONTS)))]
    ink: Color = (255, 255, 255) if rng.random() < 0.5 else _color(rng)
    left, top = int(rng.integers(-40, width // 2)), int(rng.integers(-size // 2, height))
    outline = int(rng.integers(1, 1 + max(size // 10, 1))) if rng.random() < 0.4 else 0
    paper = _color(rng) if rng.random() < 0.2 else None
    for row in range(int(rng.integers(1, 4))):
        line, place = _words(int(rng.integers(6, 40)), rng), (left, top + round(1.3 * row * size))
        lettering.write(pixels, line, place, font, size, ink, outline, paper)


def _sign(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """Letters on a plain board, as on shops and roads."""
    size = float(rng.uniform(0.5, 2.0))
    font, ink = FONTS[int(rng.integers(len(FONTS)))], _color(rng)
    text, thickness = _words(int(rng.integers(2, 10)), rng), int(rng.integers(1, 4))
    (span, tall), below = cv2.getTextSize(text, font, size, thickness)
    left, top = _place(pixels, rng)
    left -= span // 2
    if rng.random() < 0.7:
        corner = left + span + 8, top + below + 8
        cv2.rectangle(pixels, (left - 8, top - tall - 8), corner, _color(rng), -1, cv2.LINE_AA)
    cv2.putText(pixels, text, (left, top), font, size, ink, thickness, cv2.LINE_AA)


def _fence(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """Parallel bars, upright or leaning like rain."""
    height, width = pixels.shape[:2]
    step, thickness = int(rng.integers(4, 40)), int(rng.integers(1, 4))
    lean = int(rng.integers(-60, 61)) if rng.random() < 0.5 else 0
    color = _color(rng)
    top, bottom = sorted(rng.integers(-20, height + 20, 2).tolist())
    for x in range(-60, width + 60, step):
        cv2.line(pixels, (x, top), (x + lean, bottom), color, thickness, cv2.LINE_AA)


def _grass(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """Curved blades, hair or fronds: many thin strokes of similar colour and direction."""
    height, width = pixels.shape[:2]
    center, spread = _place(pixels, rng), int(rng.integers(20, max(height, width)))
    length, bend = float(rng.uniform(10, 70)), float(rng.normal(0, 0.5))
    toward, scatter = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0.05, 0.7))
    base = np.array(_color(rng), np.float64)
    for _ in range(int(rng.integers(20, 200))):
        start = np.array(center) + rng.normal(0, spread / 2, 2)
        angle, long = toward + rng.normal(0, scatter), length * rng.uniform(0.5, 1.5)
        color = [int(v) for v in (base * rng.uniform(0.5, 1.5)).clip(0, 255)]
        _stroke(pixels, start, angle, long, bend + rng.normal(0, 0.2), color, rng)


def _wires(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """A few long lines that sag."""
    height, width = pixels.shape[:2]
    color, thickness = _color(rng), int(rng.integers(1, 3))
    sag, across = rng.uniform(0, height / 3), np.linspace(-0.1, 1.1, 24)
    begin, end = rng.uniform(0, height, 2)
    for wire in range(int(rng.integers(1, 6))):
        y = begin + (end - begin) * across + 4 * sag * across * (1 - across) + 9 * wire
        points = np.stack([across * width, y], 1)
        cv2.polylines(pixels, [_subpixel(points)], False, color, thickness, cv2.LINE_AA, 4)


_KINDS = (_subtitle, _print, _print, _sign, _fence, _grass, _grass, _wires)


def _stroke(
    pixels: np.ndarray,
    start: np.ndarray,
    angle: float,
    length: float,
    bend: float,
    color: Sequence[int],
    rng: np.random.Generator,
) -> None:
    """A curve of a constant bend, in radians over its length."""
    along = np.linspace(0, 1, 7)
    turned = angle + bend * along
    steps = length / 6 * np.stack([np.cos(turned), np.sin(turned)], 1)
    points = start + np.cumsum(steps, 0)
    thickness = int(rng.integers(1, 3))
    cv2.polylines(pixels, [_subpixel(points)], False, color, thickness, cv2.LINE_AA, 4)


def _subpixel(points: np.ndarray) -> np.ndarray:
    return np.rint(16 * points).astype(np.int32)


def _words(count: int, rng: np.random.Generator) -> str:
    return "".join(rng.choice(list(LETTERS + "     "), count))


def _color(rng: np.random.Generator) -> Color:
    if rng.random() < 0.4:  # the colours of rain
        gray = int(rng.integers(150, 256))
        return gray, gray, gray
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _place(pixels: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(pixels.shape[1])), int(rng.integers(pixels.shape[0]))
