"""Live sources: the newest frame wins, late ones are dropped, lost ones are opened again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import hyperguide
from hyperguide.errors import HyperguideError
from hyperguide.video.addresses import Address, is_video, parse_source
from hyperguide.video.camera import LOST, Camera, Source

PATIENCE = 60  # seconds after which a missing event is an error

pytestmark = pytest.mark.lowest


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Sender:
    """A live source whose frames come when the test sends them."""

    def __init__(self) -> None:
        self.info: Any = None
        self.ended_early = ""
        self.opened = 0
        self.refuses = 0  # how often opening fails
        self._changed = threading.Condition()
        self._waiting: list[av.VideoFrame | None] = []

    @contextmanager
    def open(self, address: Address) -> Iterator[Source]:
        self.opened += 1
        if self.refuses:
            self.refuses -= 1
            raise HyperguideError(f"{address} is not there.")
        yield self

    def frames(self) -> Iterator[av.VideoFrame]:
        while True:
            with self._changed:
                assert self._changed.wait_for(lambda: bool(self._waiting), PATIENCE)
                frame = self._waiting.pop(0)
            if frame is None:
                return
            yield frame

    def send(self, camera: Camera, *numbers: int) -> None:
        """Send frames, and wait until the camera has them."""
        before = camera.received
        with self._changed:
            for number in numbers:
                frame = av.VideoFrame(16, 16, "gray")
                frame.pts = number
                self._waiting.append(frame)
            self._changed.notify_all()
        _wait_until(lambda: camera.received == before + len(numbers))

    def end(self) -> None:
        """End the stream, as a server that is killed does."""
        with self._changed:
            self._waiting.append(None)
            self._changed.notify_all()


def _wait_until(condition: Any) -> None:
    for _ in range(PATIENCE * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


@contextmanager
def _camera(sender: Sender, clock: Clock) -> Iterator[Camera]:
    camera = Camera(Address("test", "test", is_live=True), sender.open, clock)
    opened = threading.Thread(target=camera.__enter__)
    opened.start()
    sender.send(camera, 0)
    opened.join(PATIENCE)
    yield camera
    camera.close()
    sender.end()


def test_the_newest_frame_is_taken_and_those_before_it_are_counted_as_dropped() -> None:
    sender, clock = Sender(), Clock()
    with _camera(sender, clock) as camera:
        sender.send(camera, 1, 2, 3)
        frame = camera.read(0)
        assert frame is not None
        assert frame.frame.pts == 3
        assert (camera.received, camera.dropped) == (4, 3)


def test_a_frame_is_taken_only_once() -> None:
    sender, clock = Sender(), Clock()
    with _camera(sender, clock) as camera:
        assert camera.read(0) is not None
        assert camera.read(0) is None
        sender.send(camera, 1)
        assert camera.read(0) is not None
        assert camera.dropped == 0


def test_the_age_counts_from_the_arrival() -> None:
    sender, clock = Sender(), Clock()
    with _camera(sender, clock) as camera:
        clock.now = 5.0
        sender.send(camera, 1)
        clock.now = 5.25
        assert camera.read(0) is not None
        clock.now = 5.5
        assert camera.age == 0.5


def test_a_source_is_lost_after_two_seconds_without_a_frame_and_found_with_the_next() -> None:
    sender, clock = Sender(), Clock()
    with _camera(sender, clock) as camera:
        clock.now = LOST - 0.01
        assert camera.lost == ""
        clock.now = LOST
        assert camera.lost
        sender.send(camera, 1)
        assert camera.lost == ""


def test_a_source_that_ends_is_opened_again_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sender, clock = Sender(), Clock()
    with _camera(sender, clock) as camera:
        waits: list[float] = []
        monkeypatch.setattr(camera._closing, "wait", waits.append)
        sender.refuses = 6
        sender.end()
        sender.send(camera, 1)
        frame = camera.read(0)
        assert frame is not None
        assert frame.connection == 7
        assert sender.opened == 8
        assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_source_that_never_opened_is_an_error_at_once() -> None:
    sender = Sender()
    sender.refuses = 1
    camera = Camera(Address("test", "test", is_live=True), sender.open, Clock())
    with pytest.raises(HyperguideError, match="test is not there"):
        camera.__enter__()


def test_ffmpegs_own_source_is_read_as_rgb() -> None:
    """The colours of FFmpeg's test source: red is red."""
    with hyperguide.camera("lavfi:color=c=red:size=64x48:rate=30") as camera:
        frame = next(iter(camera))
    assert frame.image.shape == (48, 64, 3)
    assert np.abs(frame.image.reshape(-1, 3).mean(0) - (254, 0, 0)).max() < 3


def test_a_file_played_as_a_camera_ends_with_its_last_frame(tmp_path: Path) -> None:
    path = tmp_path / "short.y4m"
    frames = b"".join(b"FRAME\n" + bytes([level]) * 96 for level in (10, 20, 30))
    path.write_bytes(b"YUV4MPEG2 W8 H8 F1000:1 Ip A1:1 C420\n" + frames)
    with hyperguide.camera(str(path)) as camera:
        seen = [int(frame.planes[0][0, 0]) for frame in camera]
    assert seen[-1] == 30
    assert camera.dropped + len(seen) == 3


@pytest.mark.parametrize(
    ("name", "target", "format"),
    [
        ("camera:0", "/dev/video0", "v4l2"),
        ("camera:/dev/video3", "/dev/video3", "v4l2"),
        ("v4l2:/dev/video1", "/dev/video1", "v4l2"),
        ("rtsp://host/stream", "rtsp://host/stream", None),
        ("lavfi:testsrc2=size=64x48", "testsrc2=size=64x48", "lavfi"),
    ],
)
def test_cameras_devices_and_urls_are_live(name: str, target: str, format: str | None) -> None:
    found = parse_source(name)
    assert (found.target, found.format, found.is_live) == (target, format, True)
    assert is_video(name)


def test_options_of_ffmpeg_follow_the_name_of_a_camera() -> None:
    found = parse_source("camera:1?video_size=1280x720&framerate=30")
    assert found.target == "/dev/video1"
    assert found.options == {"video_size": "1280x720", "framerate": "30"}


@pytest.mark.parametrize("name", ["camera:", "camera:front", "camera:0?fast", "camera:0?=1"])
def test_a_camera_that_is_none_is_refused_with_the_way_to_write_it(name: str) -> None:
    with pytest.raises(HyperguideError, match="write"):
        parse_source(name)


def test_pictures_and_folders_are_no_videos(tmp_path: Path) -> None:
    assert not any(is_video(name) for name in ("a.png", "photos/", "a.jpg", str(tmp_path)))
    assert all(is_video(name) for name in ("a.mp4", "A.MKV", "-", "udp://127.0.0.1:9"))
