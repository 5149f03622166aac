"""Video files that are cut off, corrupt, odd or not videos at all."""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_videos import (
    Tampered,
    clip,
    contents,
    decoded,
    enhance,
    ffmpeg,
    frame_hashes,
    guided_model,
    times,
    tone_source,
)

import hyperguide
from conftest import Cli
from hyperguide import video
from hyperguide.errors import HyperguideError
from hyperguide.video import opening
from hyperguide.video.addresses import parse_source
from hyperguide.video.encoders import EncoderWishes
from hyperguide.video.source import VideoSource

LOSSLESS = EncoderWishes("ffv1")
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "10")
# Noise makes packets of some kB, so that a few wrong bytes do not hit all of them.
NOISE = ("-vf", "noise=alls=40:allf=t", *X264)


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory: pytest.TempPathFactory) -> hyperguide.Enhancer:
    return hyperguide.load(
        guided_model(tmp_path_factory.mktemp("model") / "guided.onnx"), device="cpu"
    )


def cut(source: Path, share: float, name: str) -> Path:
    """The first part of a file."""
    content = source.read_bytes()
    path = source.with_name(name)
    path.write_bytes(content[: round(share * len(content))])
    return path


def of_size(size: tuple[int, int]) -> tuple[str, str]:
    """Words for FFmpeg: scaled, because its test pictures have even sizes only."""
    return "-vf", f"scale={size[0]}:{size[1]}"


def left(folder: Path, *sources: Path) -> list[str]:
    """Names in a folder, without those of the sources."""
    return sorted(path.name for path in folder.iterdir() if path not in sources)


@pytest.mark.parametrize("kind", [".mp4", ".mkv", ".ts"])
def test_of_a_file_that_is_cut_off_the_good_part_is_delivered(
    quick_cli: Cli, tmp_path: Path, kind: str
) -> None:
    """Matroska raises nothing at the cut; its length tells."""
    start = ("-movflags", "+faststart") if kind == ".mp4" else ()
    whole = clip(tmp_path / f"whole{kind}", *NOISE, *start, frames=100)
    source, output = cut(whole, 0.6, f"cut{kind}"), tmp_path / "out.mkv"
    words = ("-t", "denoise", "--device", "cpu", "-s", "0", "--codec", "ffv1")
    done = quick_cli("enhance", "-i", str(source), "-o", str(output), *words)
    good, got = contents(frame_hashes(source)), contents(frame_hashes(output))
    assert 40 <= len(got) < 80
    assert got[:-2] == good[: len(got) - 2]  # the last ones may be half a picture
    if kind == ".ts":  # its headers know no length, so nobody can tell that something is missing
        assert done.code == 0
        return
    assert done.code == 1
    told = re.search(r"ends early.*holds (\d\.\d\d) s of (\d\.\d\d) s; get a complete", done.err)
    assert told is not None, done.err
    assert float(told[1]) == pytest.approx(len(got) / 25, abs=0.001)
    assert float(told[2]) == pytest.approx(4, abs=0.05)
    assert left(tmp_path, whole, source) == ["out.mkv"]


def test_corrupt_packets_are_counted_and_the_rest_is_kept(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    source, output = clip(tmp_path / "in.ts", *NOISE, frames=100), tmp_path / "out.mkv"
    content = bytearray(source.read_bytes())
    for place in range(40 * 188, len(content) - 188, len(content) // 5 // 188 * 188):
        content[place : place + 188] = bytes(188)  # one packet of the transport stream
    source.write_bytes(content)
    summary = enhance(enhancer, source, output, strength=0, wishes=LOSSLESS)
    (note,) = (note for note in summary.notes if "damaged" in note)
    assert 1 <= int(note.split()[0]) <= 10
    assert len(frame_hashes(output)) > 80


@pytest.mark.parametrize("what", ["size", "format"])
def test_where_size_or_format_change_the_time_is_said_and_what_came_before_is_kept(
    enhancer: hyperguide.Enhancer, tmp_path: Path, what: str
) -> None:
    first = clip(tmp_path / "a.ts", *X264, frames=30)
    other = (80, 48) if what == "size" else (96, 64)
    words = X264 if what == "size" else ("-c:v", "libx264", "-pix_fmt", "yuv444p")
    second = clip(tmp_path / "b.ts", *words, "-output_ts_offset", "1.2", frames=30, size=other)
    source, output = tmp_path / "both.ts", tmp_path / "out.mkv"
    source.write_bytes(first.read_bytes() + second.read_bytes())
    changed = "to 80x48 yuv420p" if what == "size" else "to 96x64 yuv444p"
    with pytest.raises(HyperguideError, match=f"{changed}: cut the file there") as caught:
        enhance(enhancer, source, output, strength=0, wishes=LOSSLESS)
    at = re.search(r"changes at (\d\.\d\d) s", str(caught.value))
    assert at is not None
    assert float(at[1]) == pytest.approx(times(frame_hashes(second))[0], abs=0.005)
    assert contents(frame_hashes(output)) == contents(frame_hashes(first))


def test_sound_alone_is_no_video(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    source = tmp_path / "sound.mp4"
    ffmpeg(*tone_source(), "-c:a", "aac", source)
    with pytest.raises(HyperguideError, match=r"has no video stream, only audio: give another -i"):
        enhance(enhancer, source, tmp_path / "out.mkv")
    assert left(tmp_path, source) == []


def test_an_unknown_codec_is_named(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", "-c:v", "mjpeg", frames=3)
    content = source.read_bytes()
    assert content.count(b"V_MJPEG") == 1
    source.write_bytes(content.replace(b"V_MJPEG", b"V_NOBDY"))
    with pytest.raises(HyperguideError, match=r"in\.mkv .*(cannot decode|could not be opened)"):
        enhance(enhancer, source, tmp_path / "out.mkv")
    assert left(tmp_path, source) == []


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"RIFF\0\0\0\0AVI LIST", b"a film" * 999])
@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.avi", "in.ts"])
def test_files_that_are_no_videos_are_refused(
    enhancer: hyperguide.Enhancer, tmp_path: Path, name: str, content: bytes
) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    with pytest.raises(HyperguideError, match=re.escape(name)) as caught:
        enhance(enhancer, source, tmp_path / "out.mkv")
    assert "\n" not in str(caught.value)
    assert left(tmp_path, source) == []


def test_headers_without_a_frame_are_refused(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mkv", *X264, frames=5)
    source = tmp_path / "in.mkv"
    content = whole.read_bytes()
    source.write_bytes(content[: content.index(b"\x1f\x43\xb6\x75")])  # up to the first cluster
    with pytest.raises(HyperguideError, match=r"could not be opened|holds no video frame"):
        enhance(enhancer, source, tmp_path / "out.mkv")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi", ".ts", ".webm", ".y4m"])
def test_one_frame_is_a_video(enhancer: hyperguide.Enhancer, tmp_path: Path, suffix: str) -> None:
    source = clip(tmp_path / "in.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p", frames=1)
    output = tmp_path / f"out{suffix}"
    assert enhance(enhancer, source, output, strength=0).frames == 1
    assert len(frame_hashes(output)) == 1


@pytest.mark.parametrize("size", [(97, 65), (97, 64), (96, 65), (19, 9)])
@pytest.mark.parametrize("codec", ["ffv1", "libvpx-vp9"])
def test_odd_sizes_with_shared_colours_are_kept(
    enhancer: hyperguide.Enhancer, tmp_path: Path, size: tuple[int, int], codec: str
) -> None:
    lossless = ("-lossless", "1") if codec == "libvpx-vp9" else ()
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    clip(source, *of_size(size), "-c:v", codec, "-pix_fmt", "yuv420p", *lossless, frames=4)
    enhance(enhancer, source, output, strength=0, wishes=LOSSLESS)
    assert contents(frame_hashes(output)) == contents(frame_hashes(source))
    whole = tmp_path / "whole.mkv"
    assert enhance(enhancer, source, whole, wishes=LOSSLESS).frames == 4
    assert decoded(whole, size=size).shape == (4, size[1], size[0], 3)


def test_h264_of_an_odd_size_is_kept_whole(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    """x264 takes no odd sizes with 420, so the colours get the full resolution."""
    words = (*of_size((97, 65)), "-c:v", "ffv1", "-pix_fmt", "yuv420p")
    source = clip(tmp_path / "in.mkv", *words, frames=4)
    output, notes = tmp_path / "out.mp4", list[str]()
    enhance(enhancer, source, output, strength=0, say=notes.append)
    assert any("yuv420p is encoded as yuv444p" in note for note in notes), notes
    assert decoded(output, size=(97, 65)).shape == (4, 65, 97, 3)


def test_untagged_colours_are_assumed_by_the_height_and_said(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.y4m", "-pix_fmt", "yuv420p", frames=2)
    notes: list[str] = []
    enhance(enhancer, source, tmp_path / "out.mkv", strength=0, say=notes.append)
    assert any("smpte170m is assumed" in note for note in notes), notes


def test_wrong_colour_tags_change_no_sample(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    """RGB tagged as limited, YUV tagged with the matrix of RGB: kept as they are."""
    tags = ("-colorspace", "rgb", "-color_range", "pc")
    source = tmp_path / "in.mkv"
    clip(source, "-c:v", "ffv1", "-pix_fmt", "yuv444p", frames=3)
    tagged = tmp_path / "tagged.mkv"
    ffmpeg("-i", source, "-c", "copy", *tags, tagged)
    enhance(enhancer, tagged, tmp_path / "out.mkv", strength=0, wishes=LOSSLESS)
    assert contents(frame_hashes(tmp_path / "out.mkv")) == contents(frame_hashes(tagged))


@pytest.mark.parametrize("color", ["black", "white", "red", "0x102030"])
def test_frames_of_one_colour_are_no_failure_of_the_engine(
    enhancer: hyperguide.Enhancer, tmp_path: Path, color: str
) -> None:
    source = tmp_path / "in.mkv"
    picture = f"color={color}:size=96x64:rate=25,trim=end_frame=3"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "ffv1", "-pix_fmt", "yuv420p", source)
    assert enhance(enhancer, source, tmp_path / "out.mkv").frames == 3


@pytest.mark.parametrize("color", [0, 255])
def test_one_colour_in_place_of_a_picture_fails_with_its_time(
    enhancer: hyperguide.Enhancer, tmp_path: Path, color: int
) -> None:
    def change(number: int, result: hyperguide.Result) -> hyperguide.Result:
        return result if number < 5 else replace(result, image=np.full_like(result.image, color))

    broken = Tampered(enhancer, change)
    source = clip(tmp_path / "in.mkv", "-c:v", "ffv1", frames=10)
    with pytest.raises(HyperguideError, match=r"at 0\.20 s came back in one colour"):
        enhance(broken, source, tmp_path / "out.mkv")
    assert len(frame_hashes(tmp_path / "out.mkv")) == 5


@pytest.mark.parametrize("way", ["same", "dots", "link"])
def test_the_source_is_never_its_own_output(
    enhancer: hyperguide.Enhancer, tmp_path: Path, way: str
) -> None:
    source = clip(tmp_path / "in.mkv", "-c:v", "ffv1", frames=3)
    content = source.read_bytes()
    output = source
    if way == "dots":
        (tmp_path / "folder").mkdir()
        output = tmp_path / "folder" / ".." / "in.mkv"
    elif way == "link":
        output = tmp_path / "link.mkv"
        output.symlink_to(source)
    with pytest.raises(HyperguideError, match=r"is the source itself: give another name of -o"):
        enhance(enhancer, source, output, force=True)
    assert source.read_bytes() == content


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    taken = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for one in taken:
        one.close()


@pytest.mark.parametrize("scheme", ["http", "rtsp", "tcp", "rtmp"])
def test_a_server_that_never_answers_is_given_up(
    silent_server: int, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "OPEN_TIMEOUT", 0.3)
    monkeypatch.setattr(opening, "READ_TIMEOUT", 0.3)
    address = parse_source(f"{scheme}://127.0.0.1:{silent_server}/live")
    with pytest.raises(HyperguideError, match="could not be opened as a video"):
        VideoSource(address)


def test_names_of_hosts_that_do_not_exist_are_an_error() -> None:
    with pytest.raises(HyperguideError, match="could not be opened as a video"):
        VideoSource(parse_source("http://no-such-host.invalid/film.mp4"))


def _flipped(content: bytes, random: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice([1, 3, 30])):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _header_flipped(content: bytes, random: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice([1, 4])):
        changed[random.randrange(min(600, len(changed)))] = random.choice([0, 255, 127, 128])
    return bytes(changed)


def _shortened(content: bytes, random: random.Random) -> bytes:
    start = random.randrange(len(content))
    return content[:start] + content[start + random.randrange(1, 400) :]


@pytest.mark.parametrize("mutate", [_flipped, _header_flipped, _shortened])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".y4m", ".webm"])
def test_mutated_videos_never_raise_anything_else(
    tmp_path: Path, suffix: str, mutate: Callable[[bytes, random.Random], bytes]
) -> None:
    """Whatever comes out has the size and kind that was announced."""
    codec = {".webm": ("-c:v", "libvpx"), ".y4m": ()}.get(suffix, X264)
    source = clip(tmp_path / f"in{suffix}", *codec, "-pix_fmt", "yuv420p", frames=6)
    content, chance = source.read_bytes(), random.Random(suffix + mutate.__name__)
    outcomes = set()
    for _ in range(25):
        source.write_bytes(mutate(content, chance))
        try:
            for frame in video.frames(source):
                assert frame.image.dtype in (np.uint8, np.uint16)
                assert frame.image.ndim == 3
                outcomes.add("frame")
        except HyperguideError as error:
            outcomes.add("error" if "\n" not in str(error) else "lines")
    assert "lines" not in outcomes
    if mutate is _flipped:  # most of the file is pictures, so most changes leave some
        assert "frame" in outcomes
