"""Live runs: frames pass through while the model loads, keys turn the strength, outputs play."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hyperguide.errors import HyperguideError
from hyperguide.result import Result
from hyperguide.tasks import TASKS
from hyperguide.video.addresses import Address
from hyperguide.video.camera import LiveFrame
from hyperguide.video.coding import coding_of, plane_format
from hyperguide.video.files import FileOptions
from hyperguide.video.live import Controls, LiveRun, LiveStatus, Shown, part_name, sink_for
from hyperguide.video.sinks import parse_destination
from hyperguide.video.video_info import VideoInfo

WIDTH, HEIGHT = 64, 48


def _info(width: int = WIDTH) -> VideoInfo:
    format = plane_format("yuv420p")
    assert format is not None
    coding, _ = coding_of(format, HEIGHT, 1, 1)
    return VideoInfo(
        *(
            "rawvideo",
            width,
            HEIGHT,
            "yuv420p",
            format,
            coding,
            Fraction(25),
            Fraction(25),
            Fraction(1, 25),
        ),
        *(None, None, 1, 1, 1, 1, None, 0, False, None, ()),
    )


class FakeCamera:
    """Gives frames of gray level 100, as many as asked for, one each 40 ms of its clock."""

    address = Address("camera:0", "/dev/video0", "v4l2", is_live=True)
    lost = ""
    dropped = 0

    def __init__(self, frames: int, widths: dict[int, int] | None = None) -> None:
        self.left, self.number, self.now = frames, 0, 0.0
        self.widths = widths or {}

    def clock(self) -> float:
        return self.now

    @property
    def ended(self) -> bool:
        return self.left == 0

    def read(self, timeout: float) -> LiveFrame | None:
        width = self.widths.get(self.number, WIDTH)
        frame = av.VideoFrame(width, HEIGHT, "yuv420p")
        for plane, level in zip(frame.planes, (100, 128, 128), strict=True):
            np.frombuffer(plane, np.uint8)[:] = level  # type: ignore[call-overload]
        frame.pts, frame.time_base = self.number, Fraction(1, 25)
        self.left -= 1
        self.now = 0.04 * self.number
        live = LiveFrame(frame, _info(width), self.number, self.now, 0)
        self.number += 1
        return live


@dataclass
class FakeStream:
    """Makes pictures brighter by ten times the strength."""

    resets: int = 0

    def __call__(self, image: np.ndarray, strength: float = 1.0, **dials: Any) -> Result:
        bright = image.astype(np.float32) + 10 * strength
        return Result(bright.round().astype(np.uint8), np.full(image.shape[:2], 0.1, np.float32))

    def reset(self) -> None:
        self.resets += 1


class FakeEnhancer:
    """An enhancer whose results are known."""

    def __init__(self) -> None:
        self.closed = False
        self.info = type("Info", (), {"guidance": TASKS["denoise"].guidance})
        self.stream_made = FakeStream()

    def stream(self, *arguments: Any) -> FakeStream:
        return self.stream_made

    def __call__(self, image: np.ndarray, **dials: Any) -> Result:
        return self.stream_made(image, **dials)

    def close(self) -> None:
        self.closed = True


def _run(camera: Any, load: Any, sink: Any = None, controls: Controls | None = None) -> list[Shown]:
    run = LiveRun(camera, load, FileOptions(), sink, controls or Controls())
    shown: list[Shown] = []
    run.run(lambda one, status: shown.append(one) if one else None, lambda: False)
    return shown


def test_frames_pass_through_until_the_model_is_there() -> None:
    loaded, enhancer = threading.Event(), FakeEnhancer()

    class Waits(FakeCamera):
        def read(self, timeout: float) -> LiveFrame | None:
            if self.number == 3:
                loaded.set()
                while not run._loading.done:
                    threading.Event().wait(0.001)
            return super().read(timeout)

    def load() -> Any:
        assert loaded.wait(60)
        return enhancer

    run = LiveRun(Waits(6), load, FileOptions(), None, Controls())  # type: ignore[arg-type]
    shown: list[Shown] = []
    run.run(lambda one, status: shown.append(one) if one else None, lambda: False)
    assert [one.after is None for one in shown] == [True, True, True, False, False, False]
    assert run.status.passed == 3
    assert enhancer.closed


def test_a_model_that_does_not_load_ends_the_run_with_its_error() -> None:
    def load() -> Any:
        raise HyperguideError("There is no model x.")

    class Endless(FakeCamera):
        def __init__(self) -> None:
            super().__init__(1 << 30)

    with pytest.raises(HyperguideError, match="There is no model x"):
        _run(Endless(), load)


def test_the_picture_and_its_map_are_of_the_same_frame() -> None:
    shown = _run(_Loaded(4), FakeEnhancer)
    done = [one for one in shown if one.after is not None]
    assert done
    for one in done:
        assert one.guidance is not None
        assert one.guidance.shape == one.frame.image.shape[:2]
        change = one.after.astype(int) - one.frame.image  # type: ignore[union-attr]
        assert (change == 10).all()


class _Loaded(FakeCamera):
    """A camera that lets the model load before its first frame."""

    def read(self, timeout: float) -> LiveFrame | None:
        threading.Event().wait(0.2 if self.number == 0 else 0)
        return super().read(timeout)


def test_the_strength_of_the_keys_counts_from_the_next_frame() -> None:
    controls = Controls()
    strengths: list[float] = []

    def turn(one: Shown | None, status: LiveStatus) -> None:
        if one is not None:
            strengths.append(one.strength)
            controls.strength = 0.5

    run = LiveRun(_Loaded(8), FakeEnhancer, FileOptions(), None, controls)  # type: ignore[arg-type]
    run.run(turn, lambda: False)
    assert strengths[0] == 1.0
    assert strengths[-1] == 0.5


def test_at_strength_zero_the_model_is_not_called() -> None:
    shown = _run(_Loaded(3), FakeEnhancer, controls=Controls(strength=0.0))
    assert all(one.after is None for one in shown)


def test_a_recording_has_every_frame_at_the_time_of_its_arrival(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    _run(_Loaded(10), FakeEnhancer, sink_for(_file(path), FileOptions()))
    times, frames = _decoded(part_name(path))
    assert times == pytest.approx([0.04 * i for i in range(10)], abs=0.002)
    # Gray of luma 100 is brighter by 10 levels of 255 in RGB, which is 10 * 219 / 255 in luma.
    assert float(frames[-1].mean()) == pytest.approx(100 + 10 * 219 / 255, abs=1)


def test_a_recording_that_is_cut_off_still_plays(tmp_path: Path) -> None:
    """The bytes at some moment of the recording, as a crash leaves them."""
    path = tmp_path / "out.mp4"
    content: list[bytes] = []

    class Looks(_Loaded):
        def read(self, timeout: float) -> LiveFrame | None:
            if self.number == 500:
                content.append(part_name(path).read_bytes())
            return super().read(timeout)

    _run(Looks(501), FakeEnhancer, sink_for(_file(path), FileOptions()))
    times, _ = _decoded(io.BytesIO(content[0]))
    assert len(times) > 100


def test_a_source_that_comes_back_with_another_size_ends_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    camera = _Loaded(6)
    camera.widths = {4: 96, 5: 96}
    with pytest.raises(HyperguideError, match="came back with other frames, 96x48"):
        _run(camera, FakeEnhancer, sink_for(_file(path), FileOptions()))
    times, _ = _decoded(part_name(path))
    assert len(times) == 4


def test_a_destination_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    sink = sink_for(Address("/dev/video99", "/dev/video99", "v4l2", is_live=True), FileOptions())
    with pytest.raises(HyperguideError, match="/dev/video99"):
        _run(_Loaded(3), FakeEnhancer, sink)


def _file(path: Path) -> Address:
    return Address(str(path), str(path), is_file=True)


def _decoded(source: Any) -> tuple[list[float], list[np.ndarray]]:
    with av.open(source if isinstance(source, io.BytesIO) else str(source)) as container:
        found: Iterator[av.VideoFrame] = container.decode(video=0)
        pairs = [(frame.time, frame.to_ndarray()[:HEIGHT]) for frame in found]
    return [time for time, _ in pairs], [frame for _, frame in pairs]


def test_what_is_sent_over_tcp_can_be_watched() -> None:
    """A receiver gets frames that FFmpeg decodes, with a keyframe at least every two seconds."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def receive() -> None:
            connection, _ = server.accept()
            with connection:
                while part := connection.recv(1 << 16):
                    received.append(part)

        receiver = threading.Thread(target=receive)
        receiver.start()
        address = parse_destination(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        _run(_Loaded(120), FakeEnhancer, sink_for(address, FileOptions()))
        receiver.join(60)
    with av.open(io.BytesIO(b"".join(received))) as container:
        frames = list(container.decode(video=0))  # type: ignore[union-attr]
    assert len(frames) == 120
    assert [i for i, frame in enumerate(frames) if frame.key_frame] == [0, 50, 100]
