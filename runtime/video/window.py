"""A window that shows a live run: before and after at a divider, the map, and the dials' keys."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import cv2
import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import false_color

from .live import Controls, LiveStatus, Shown
from .summary import level

KEYS = "+ - strength   0 off   g map   d divider   space pause   q quit"

_STEP, _MOST = 0.1, 2.0
_ESCAPE = 27
_LEFT, _RIGHT = (81, 2), (83, 3)  # of GTK and Qt, and of macOS
_PROBE = "import cv2; cv2.namedWindow('hyperguide'); cv2.waitKey(1)"


class Window:
    """Shows pictures and turns `controls` by keys and the mouse.

    strength: as given, until a key changes it.
    """

    def __init__(self, title: str, controls: Controls, strength: float) -> None:
        """Open the window. Raises HyperguideError where there is no display."""
        _refuse_without_display()
        self._title = title
        self._controls = controls
        self._divider, self._is_divided, self._shows_map = 0.5, True, False
        self._given = strength
        self._last: Shown | None = None
        self._width = 1
        os.environ.setdefault(
            "QT_LOGGING_RULES", "*=false"
        )  # it misses its fonts in OpenCV's wheel
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.setMouseCallback(title, self._mouse)

    def show(self, shown: Shown | None, status: LiveStatus) -> None:
        """Show a picture, None for the one before, and look at the keys."""
        if shown is not None:
            if self._last is None:
                height, width = shown.frame.image.shape[:2]
                cv2.resizeWindow(self._title, width, height)
            self._last = shown
        if self._last is not None:
            cv2.imshow(self._title, self.drawn(self._last, status))
        while (key := cv2.waitKey(1)) != -1:
            self._press(key & 0xFF)
        if cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            self._controls.quit = True

    def close(self) -> None:
        """Close the window."""
        cv2.destroyWindow(self._title)
        cv2.waitKey(1)

    def drawn(self, shown: Shown, status: LiveStatus) -> np.ndarray:
        """What the window shows, as BGR bytes."""
        before = _bgr(shown.frame.image)
        after = before if shown.after is None else _bgr(shown.after)
        if self._shows_map and shown.guidance is not None and shown.meaning is not None:
            after = false_color(shown.guidance, shown.meaning, legend=False)[..., ::-1]
        picture = np.ascontiguousarray(after).copy()
        height, width = picture.shape[:2]
        self._width = width
        if self._is_divided:
            at = round(self._divider * width)
            picture[:, :at] = before[:, :at]
            for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.line(picture, (at, 0), (at, height), color, thickness)
        for row, words in enumerate(self._words(shown, status)):
            _write(picture, words, 8, 22 + 20 * row)
        return picture

    def _words(self, shown: Shown, status: LiveStatus) -> list[str]:
        state = "paused" if self._controls.paused else status.waiting
        line = f"strength {shown.strength:.1f}   age {1000 * status.age:.0f} ms"
        line += f"   dropped {status.dropped}"
        if shown.guidance is not None and shown.meaning is not None:
            line += f"   {level(float(np.mean(shown.guidance)), shown.meaning)}"
        return [line, *([state] if state else []), KEYS]

    def _press(self, key: int) -> None:
        controls = self._controls
        strength = self._given if controls.strength is None else controls.strength
        if key in (ord("+"), ord("=")):
            controls.strength = min(round(strength + _STEP, 2), _MOST)
        elif key in (ord("-"), ord("_")):
            controls.strength = max(round(strength - _STEP, 2), 0.0)
        elif key == ord("0"):
            controls.strength = 0.0 if strength else self._given
        elif key == ord("g"):
            self._shows_map = not self._shows_map
        elif key == ord("d"):
            self._is_divided = not self._is_divided
        elif key == ord(" "):
            controls.paused = not controls.paused
        elif key in _LEFT:
            self._divider = max(self._divider - 0.05, 0.0)
        elif key in _RIGHT:
            self._divider = min(self._divider + 0.05, 1.0)
        elif key in (ord("q"), _ESCAPE):
            controls.quit = True

    def _mouse(self, event: int, x: int, y: int, flags: int, data: Any) -> None:
        if flags & cv2.EVENT_FLAG_LBUTTON:
            self._divider = min(max(x / self._width, 0.0), 1.0)


def _bgr(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image[..., ::-1]


def _write(picture: np.ndarray, words: str, x: int, y: int) -> None:
    """Write white letters with a dark edge."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    for right, down in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        place = x + right, y + down
        cv2.putText(picture, words, place, font, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(picture, words, (x, y), font, 0.45, (255, 255, 255), 1, cv2.LINE_AA)


def _refuse_without_display() -> None:
    """Raise HyperguideError if no window can be opened. Qt would end the process."""
    no_display = "There is no display for --show: leave it out, or set DISPLAY."
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise HyperguideError(no_display)
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=20)
    except subprocess.TimeoutExpired:
        raise HyperguideError(no_display) from None
    if probe.returncode == 0:
        return
    if b"not implemented" in probe.stderr:
        raise HyperguideError(
            "This build of OpenCV opens no windows: install opencv-python in place of "
            "opencv-python-headless."
        )
    raise HyperguideError(no_display)
