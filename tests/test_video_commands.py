"""`hyperguide enhance` on videos: files, folders, pipes, and what an app writes itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from conftest import Cli
from hyperguide import video
from hyperguide.errors import HyperguideError
from hyperguide.video.encoders import EncoderWishes
from hyperguide.video.frame import Writer

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SOURCE = "testsrc2=size=96x64:rate=25:duration=0.4"  # ten frames
DENOISE = ("-t", "denoise", "--device", "cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    _ffmpeg("-f", "lavfi", "-i", SOURCE, "-c:v", "ffv1", "-pix_fmt", "yuv420p", str(path))
    return path


def _ffmpeg(*arguments: str, stdin: bytes = b"") -> bytes:
    command = [FFMPEG, "-v", "error", "-y", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def _md5(path: Path | None, content: bytes = b"") -> list[str]:
    """FFmpeg's checksums of the frames of a file or of bytes."""
    lines = _ffmpeg("-i", str(path or "-"), "-f", "framemd5", "-", stdin=content).decode()
    return [line.split(",")[-1].strip() for line in lines.splitlines() if line[0] != "#"]


def _hyperguide(*arguments: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hyperguide", "enhance", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True)


def test_a_film_is_enhanced_in_one_call(quick_cli: Cli, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "clean.mkv"
    done = quick_cli("enhance", "-i", str(clip), "-o", str(out), *DENOISE)
    assert done.code == 0, done.err
    assert "10 frames in" in done.err
    assert "noise level" in done.err
    assert "after averaging over time" in done.err
    assert "(slowest)" in done.err
    assert len(_md5(out)) == 10
    assert not list(tmp_path.glob("*.parts"))


def test_a_film_that_exists_is_kept_without_force(
    quick_cli: Cli, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "clean.mkv"
    out.write_bytes(b"mine")
    done = quick_cli("enhance", "-i", str(clip), "-o", str(out), *DENOISE)
    assert done.code == 1
    assert "exists" in done.err
    assert out.read_bytes() == b"mine"


def test_maps_of_a_film_are_written_for_each_frame_and_can_be_given_back(
    quick_cli: Cli, clip: Path, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    first = ("enhance", "-i", str(clip), *DENOISE, "--save-guidance", str(maps))
    done = quick_cli(*first, "-o", str(tmp_path / "a.mkv"))
    assert done.code == 0, done.err
    names = [path.name for path in sorted(maps.iterdir())]
    assert names == [f"{i:06d}.guidance.png" for i in range(10)]
    again = quick_cli(*first, "-o", str(tmp_path / "b.mkv"))
    assert again.code == 1
    assert "holds maps already" in again.err
    given = ("-g", str(maps / names[0]), "--smooth", "0")
    done = quick_cli("enhance", "-i", str(clip), "-o", str(tmp_path / "c.mkv"), *DENOISE, *given)
    assert done.code == 0, done.err


def test_films_go_into_a_folder_under_their_names(
    quick_cli: Cli, clip: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.mkv"
    other.write_bytes(clip.read_bytes())
    folder = tmp_path / "out"
    folder.mkdir()
    done = quick_cli("enhance", "-i", str(clip), str(other), "-o", str(folder), *DENOISE, "-s", "0")
    assert done.code == 0, done.err
    assert sorted(path.name for path in folder.iterdir()) == ["clip.mkv", "other.mkv"]
    assert _md5(folder / "other.mkv") == _md5(clip)


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "gray"])
def test_a_pipe_at_strength_zero_gives_what_came_in(format: str) -> None:
    came = _ffmpeg(
        *("-f", "lavfi", "-i", SOURCE, "-pix_fmt", format, "-strict", "-1"),
        *("-f", "yuv4mpegpipe", "-"),
    )
    done = _hyperguide("-i", "-", "-o", "-", *DENOISE, "-s", "0", stdin=came)
    assert done.returncode == 0, done.stderr
    assert _md5(None, done.stdout) == _md5(None, came)


def test_a_pipe_that_is_no_video_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    done = _hyperguide("-i", "-", "-o", str(tmp_path / "o.mkv"), *DENOISE, stdin=b"hello" * 99)
    assert done.returncode == 1
    assert b"standard input could not be opened as a video" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_reader_that_wants_no_more_is_no_failure_to_report(clip: Path) -> None:
    command = [sys.executable, "-m", "hyperguide", "enhance", "-i", str(clip), "-o", "-", *DENOISE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        told = process.stderr.read().decode()
    assert "Traceback" not in told
    assert "Error" not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-i", "film.mp4", "-o", "out.mp4"), "There is no file film.mp4"),
        (("-i", "CLIP", "-o", "out.xyz"), "No video format belongs to the ending .xyz"),
        (("-i", "CLIP", "-o", "gone/out.mkv"), "does not exist"),
        (("-i", "CLIP", "-o", "gopher://host/x"), "cannot be sent to"),
        (("-i", "camera:front", "-o", "out.mkv"), "write camera:0"),
        (("-i", "camera:98", "-o", "out.mkv"), "camera:98 could not be opened"),
        (("-i", "rtsp://127.0.0.1:9/x", "-o", "out.mkv"), "could not be opened"),
        (("-i", "CLIP", "-o", "out.mkv", "--codec", "no_such"), "FFmpeg has no encoder"),
        (("-i", "CLIP", "-o", "out.mkv", "--preset", "warp"), "refuses its settings"),
        (("-i", "CLIP", "-o", "out.mkv", "--pix-fmt", "pal8"), "does not take pal8"),
        (("-i", "CLIP", "-o", "out.webm", "--codec", "h264"), "cannot hold h264"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(
    quick_cli: Cli,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    named = [str(clip) if word == "CLIP" else word for word in arguments]
    if "--preset" in named:
        named += ["--codec", "h264"]
    done = quick_cli("enhance", *named, *DENOISE)
    assert done.code == 1, done.err
    assert told in done.err
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".parts"]


def test_options_of_pictures_are_refused_for_videos(quick_cli: Cli, clip: Path) -> None:
    done = quick_cli("enhance", "-i", str(clip), "-o", "o.mkv", *DENOISE, "--quality", "9")
    assert done.code == 2
    assert "is for pictures" in done.err


def test_pictures_and_videos_need_a_call_each(quick_cli: Cli, clip: Path) -> None:
    done = quick_cli("enhance", "-i", str(clip), "a.png", "-o", "out", *DENOISE)
    assert done.code == 2
    assert "a.png is no video" in done.err


@pytest.mark.parametrize("output", ["-", "tcp://127.0.0.1:9"])
def test_pictures_are_not_written_to_pipes_and_urls(quick_cli: Cli, output: str) -> None:
    done = quick_cli("enhance", "-i", "a.png", "-o", output, *DENOISE)
    assert done.code == 2
    assert "name a file" in done.err


def test_without_a_display_the_window_is_an_error(
    quick_cli: Cli, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    done = quick_cli("enhance", "-i", str(clip), "--show", *DENOISE)
    assert done.code == 1
    assert "no display" in done.err


def test_what_an_app_leaves_alone_is_written_as_it_was(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with video.writer(out, codec="ffv1") as writer:
        for frame in video.frames(clip):
            writer.write(frame, frame.image)
    assert _md5(out) == _md5(clip)


def test_frames_have_the_times_of_the_file(clip: Path) -> None:
    times = [frame.seconds for frame in video.frames(clip)]
    assert times == pytest.approx([0.04 * i for i in range(10)], abs=0.001)


def test_a_file_of_an_app_that_fails_does_not_get_its_name(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with pytest.raises(RuntimeError, match="stop"), Writer(out, EncoderWishes()) as writer:  # noqa: PT012
        for frame in video.frames(clip):
            writer.write(frame, frame.image)
            raise RuntimeError("stop")
    assert not out.exists()


def test_a_picture_of_another_shape_is_refused(clip: Path, tmp_path: Path) -> None:
    frame = next(iter(video.frames(clip)))
    writer = video.writer(tmp_path / "out.mkv")
    with pytest.raises(HyperguideError, match="cannot take the place"):
        writer.write(frame, frame.image[1:])
    with pytest.raises(HyperguideError, match="cannot take the place"):
        writer.write(frame, frame.image.astype(np.float32))


def test_a_film_enhanced_from_python_has_its_frames(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    summary = video.enhance(clip, out, "denoise", strength=0.5, device="cpu")
    assert (summary.frames, summary.complete) == (10, True)
    with av.open(str(out)) as container:
        assert container.streams.video[0].frames == 10
