"""The window of live runs, with OpenCV's windows replaced by a record of what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest

from hyperguide.tasks import TASKS
from hyperguide.video.camera import LiveFrame
from hyperguide.video.coding import coding_of, plane_format
from hyperguide.video.live import Controls, LiveStatus, Shown
from hyperguide.video.video_info import VideoInfo
from hyperguide.video.window import Window

HEIGHT, WIDTH = 120, 160
NOISE = TASKS["denoise"].guidance


@dataclass
class Screen:
    """What OpenCV would show, and the keys that will be pressed."""

    shown: list[np.ndarray] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    mouse: Callable[..., None] | None = None
    is_open: bool = True

    def press(self, _: int) -> int:
        return self.keys.pop(0) if self.keys else -1


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr("hyperguide.video.window._refuse_without_display", lambda: None)
    monkeypatch.setattr(cv2, "namedWindow", lambda *a: None)
    monkeypatch.setattr(cv2, "resizeWindow", lambda *a: None)
    monkeypatch.setattr(cv2, "setMouseCallback", lambda _, act: setattr(screen, "mouse", act))
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: screen.shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", screen.press)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *a: float(screen.is_open))
    return screen


def _shown(strength: float = 1.0) -> Shown:
    """Before: dark gray. After: light gray. The map: 20/255."""
    frame = av.VideoFrame(WIDTH, HEIGHT, "gray")
    np.frombuffer(frame.planes[0], np.uint8)[:] = 50  # type: ignore[call-overload]
    format = plane_format("gray")
    assert format is not None
    coding, _ = coding_of(format, HEIGHT, 2, 2)
    info: Any = VideoInfo(
        *(
            "rawvideo",
            WIDTH,
            HEIGHT,
            "gray",
            format,
            coding,
            Fraction(25),
            Fraction(25),
            Fraction(1, 25),
        ),
        *(None, None, 2, 2, 2, 2, None, 0, False, None, ()),
    )
    after = np.full((HEIGHT, WIDTH), 200, np.uint8)
    guidance = np.full((HEIGHT, WIDTH), 20 / 255, np.float32)
    return Shown(LiveFrame(frame, info, 0, 0.0, 0), strength, after, guidance, NOISE)


def _below_text(picture: np.ndarray) -> np.ndarray:
    return picture[-10:]


def test_before_is_left_of_the_divider_and_after_right_of_it(screen: Screen) -> None:
    window = Window("test", Controls(), 1.0)
    window.show(_shown(), LiveStatus())
    below = _below_text(screen.shown[-1])
    assert (below[:, : WIDTH // 2 - 3] == 50).all()
    assert (below[:, WIDTH // 2 + 3 :] == 200).all()


def test_dragging_moves_the_divider(screen: Screen) -> None:
    window = Window("test", Controls(), 1.0)
    window.show(_shown(), LiveStatus())
    assert screen.mouse is not None
    screen.mouse(0, WIDTH // 4, 10, cv2.EVENT_FLAG_LBUTTON, None)
    window.show(None, LiveStatus())
    below = _below_text(screen.shown[-1])
    assert (below[:, : WIDTH // 4 - 3] == 50).all()
    assert (below[:, WIDTH // 4 + 3 :] == 200).all()


def test_d_takes_the_divider_away(screen: Screen) -> None:
    window = Window("test", Controls(), 1.0)
    screen.keys = [ord("d")]
    window.show(_shown(), LiveStatus())
    window.show(None, LiveStatus())
    assert (_below_text(screen.shown[-1]) == 200).all()


def test_g_shows_the_map_in_false_colour(screen: Screen) -> None:
    window = Window("test", Controls(), 1.0)
    screen.keys = [ord("g"), ord("d")]
    window.show(_shown(), LiveStatus())
    window.show(None, LiveStatus())
    # Level 20 of a range to 80 is a quarter of Viridis.
    quarter = cv2.applyColorMap(np.full((1, 1), 64, np.uint8), cv2.COLORMAP_VIRIDIS)[0, 0]
    found = _below_text(screen.shown[-1])[0, 0].astype(int)
    assert np.abs(found - quarter).max() <= 3


@pytest.mark.parametrize(
    ("keys", "strength"),
    [("+", 0.9), ("++", 1.0), ("-", 0.7), ("0", 0.0), ("00", 0.8), ("-" * 20, 0.0), ("+" * 40, 2)],
)
def test_keys_turn_the_strength(screen: Screen, keys: str, strength: float) -> None:
    controls = Controls()
    window = Window("test", controls, 0.8)
    screen.keys = [ord(key) for key in keys]
    window.show(_shown(0.8), LiveStatus())
    assert controls.strength == pytest.approx(strength)


def test_space_pauses_and_goes_on(screen: Screen) -> None:
    controls = Controls()
    window = Window("test", controls, 1.0)
    for expected in (True, False):
        screen.keys = [ord(" ")]
        window.show(_shown(), LiveStatus())
        assert controls.paused is expected


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_q_and_escape_quit(screen: Screen, key: str) -> None:
    controls = Controls()
    window = Window("test", controls, 1.0)
    screen.keys = [ord(key)]
    window.show(_shown(), LiveStatus())
    assert controls.quit


def test_a_window_that_is_closed_quits(screen: Screen) -> None:
    controls = Controls()
    window = Window("test", controls, 1.0)
    screen.is_open = False
    window.show(_shown(), LiveStatus())
    assert controls.quit


def test_age_dropped_frames_and_what_is_waited_for_are_written(screen: Screen) -> None:
    window = Window("test", Controls(), 1.0)
    status = LiveStatus(dropped=7, age=0.045, waiting="loading the model")
    words = window._words(_shown(), status)
    assert "age 45 ms" in words[0]
    assert "dropped 7" in words[0]
    assert "noise level 20/255" in words[0]
    assert words[1] == "loading the model"
