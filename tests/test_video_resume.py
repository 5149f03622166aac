"""Runs that are killed, stopped or go wrong go on where they were."""

from __future__ import annotations

import errno
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_videos import (
    Tampered,
    clip,
    contents,
    enhance,
    ffmpeg,
    frame_hashes,
    guided_model,
    packet_hashes,
    picture_source,
    probe,
    times,
    tone_source,
)

import hyperguide
from hyperguide.errors import DiskFullError, HyperguideError
from hyperguide.video import files, muxing, stored_packets, work_folder
from hyperguide.video.encoders import EncoderWishes
from hyperguide.video.source import VideoSource

SEGMENT = 12
FRAMES = 100
LOSSLESS = EncoderWishes("ffv1")
# x264 encodes smaller pictures a little differently each time: its assembly for `mbtree` reads
# beyond the rows. With `asm=0` they are the same.
REPRODUCIBLE = 640, 360


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return guided_model(tmp_path_factory.mktemp("model") / "guided.onnx")


@pytest.fixture(scope="module")
def enhancer(model: Path) -> hyperguide.Enhancer:
    return hyperguide.load(model, device="cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds that grow dark, with sound, and frames that are decoded out of order."""
    path = tmp_path_factory.mktemp("source") / "in.mp4"
    coded = ["-c:v", "libx264", "-g", 25, "-bf", 3, "-pix_fmt", "yuv420p", "-c:a", "aac"]
    fade = ["-vf", "fade=out:start_frame=0:nb_frames=100"]
    ffmpeg(*picture_source(frames=FRAMES), *tone_source(4), *fade, *coded, path)
    return path


@pytest.fixture(scope="module")
def whole(source: Path, enhancer: hyperguide.Enhancer) -> list[str]:
    """The frames of one run."""
    output = source.with_name("whole.mkv")
    enhance(enhancer, source, output, smooth=0.8, wishes=LOSSLESS)
    return contents(frame_hashes(output))


class StopAfter:
    """Asks to stop after a number of frames."""

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def report(self, done: int, count: int | None, slowest: str) -> None:
        self.frames -= 1

    def stop(self) -> bool:
        return self.frames <= 0


def enhance_some(
    enhancer: hyperguide.Enhancer, source: Path, output: Path, frames: int, **more: Any
) -> Any:
    some = StopAfter(frames)
    return enhance(enhancer, source, output, report=some.report, stop=some.stop, **more)


KILLED = """
import sys, time
from pathlib import Path
import made_videos
from hyperguide.video.encoders import EncoderWishes
import hyperguide

model, source, output, codec, resume = sys.argv[1:]

def report(done, count, slowest):
    print(done, flush=True)
    time.sleep(0.003)

enhancer = hyperguide.load(model, device="cpu")
wishes = EncoderWishes(codec)
made_videos.enhance(enhancer, Path(source), Path(output), smooth=0.8, wishes=wishes,
                    report=report, resume=resume == "resume")
"""


def run_and_kill(
    model: Path, source: Path, output: Path, codec: str, resume: bool, at: int
) -> None:
    """Run in a process of its own, and kill it when it says that a frame is done."""
    how = "resume" if resume else "anew"
    words = [sys.executable, "-c", KILLED, *map(str, (model, source, output, codec, how))]
    folder = Path(__file__).parent
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=folder)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= at:
            break
    process.kill()
    process.wait()


def test_a_killed_run_goes_on_with_the_frames_of_one_run(
    model: Path, enhancer: hyperguide.Enhancer, source: Path, whole: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    for resume, at in ((False, 31), (True, 70)):
        run_and_kill(model, source, output, "ffv1", resume, at)
        assert not output.exists()
    summary = enhance(enhancer, source, output, smooth=0.8, wishes=LOSSLESS, resume=True)
    assert summary.before >= 70 - SEGMENT - 8  # a segment, and what was on its way
    assert contents(frame_hashes(output)) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.mark.long
@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_runs_killed_at_random_points_give_the_frames_of_one_run(
    model: Path, enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path, codec: str
) -> None:
    wishes = EncoderWishes(codec)
    if codec == "h264":
        source = clip(tmp_path / "in.mkv", "-c:v", "ffv1", frames=FRAMES, size=REPRODUCIBLE)
    enhance(enhancer, source, tmp_path / "whole.mkv", smooth=0.8, wishes=wishes)
    wanted = contents(frame_hashes(tmp_path / "whole.mkv"))
    rng = random.Random(5)
    output = tmp_path / "out.mkv"
    for _ in range(10 if codec == "ffv1" else 4):
        run_and_kill(model, source, output, codec, False, rng.randint(1, 60))
        run_and_kill(model, source, output, codec, True, rng.randint(61, 100))
        if output.exists():  # it was killed too late
            output.unlink()
            continue
        enhance(enhancer, source, output, smooth=0.8, wishes=wishes, resume=True)
        assert contents(frame_hashes(output)) == wanted
        output.unlink()


def test_ctrl_c_leaves_a_file_that_plays_and_can_be_gone_on_with(
    enhancer: hyperguide.Enhancer, source: Path, whole: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    how: dict[str, Any] = {"smooth": 0.8, "wishes": LOSSLESS}
    first = enhance_some(enhancer, source, output, 40, **how)
    assert not first.complete
    made = contents(frame_hashes(output))
    assert 40 <= len(made) < 60
    assert made == whole[: len(made)]
    sound = times(packet_hashes(output, "a:0"))
    assert len(made) / 25 - 0.05 < sound[-1] < len(made) / 25
    summary = enhance(enhancer, source, output, resume=True, **how)
    assert summary.before == len(made) // SEGMENT * SEGMENT
    assert summary.complete
    assert contents(frame_hashes(output)) == whole
    assert contents(packet_hashes(output, "a:0")) == contents(packet_hashes(source, "a:0"))


def test_a_stop_while_passing_over_what_is_done_keeps_it(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 60, wishes=LOSSLESS)
    monkeypatch.setattr(VideoSource, "_found_again", lambda *_: None)
    summary = enhance(enhancer, source, output, wishes=LOSSLESS, resume=True, stop=lambda: True)
    assert summary.frames == 0
    assert not summary.complete
    assert len(frame_hashes(output)) == summary.before


def test_the_smoothing_goes_on_where_it_was(
    enhancer: hyperguide.Enhancer, source: Path, whole: list[str], tmp_path: Path
) -> None:
    """The model's picture depends on the smoothed map, so a forgotten state would show."""
    enhance(enhancer, source, tmp_path / "rough.mkv", smooth=0, wishes=LOSSLESS)
    assert contents(frame_hashes(tmp_path / "rough.mkv"))[1:] != whole[1:]
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 30, smooth=0.8, wishes=LOSSLESS)
    enhance(enhancer, source, output, smooth=0.8, wishes=LOSSLESS, resume=True)
    assert contents(frame_hashes(output)) == whole


KINDS = {
    # name: suffix, encoding, whether a place in it can be found again
    "frames out of order": (".mp4", ["-c:v", "libx264", "-bf", 3, "-g", 20], True),
    "open groups": (
        ".mp4",
        ["-c:v", "libx264", "-bf", 3, "-x264-params", "open-gop=1:keyint=20:bframes=3"],
        True,
    ),
    "open groups of hevc": (
        ".mkv",
        ["-c:v", "libx265", "-x265-params", "open-gop=1:keyint=20:log-level=none"],
        True,
    ),
    "refresh without keyframes": (
        ".mkv",
        ["-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=20"],
        None,
    ),
    "matroska": (".mkv", ["-c:v", "libx264", "-bf", 2, "-g", 20], True),
    "one keyframe": (".mkv", ["-c:v", "libx264", "-g", 1000], True),
    "transport stream": (".ts", ["-c:v", "libx264", "-bf", 2, "-g", 20], True),
    "mpeg2": (".mpg", ["-c:v", "mpeg2video", "-bf", 2, "-g", 12], None),
    "avi": (".avi", ["-c:v", "mpeg4", "-bf", 2, "-g", 20], None),
    "no times": (".h264", ["-c:v", "libx264", "-bf", 2, "-g", 20], None),
    "uneven times": (
        ".mp4",
        [
            *("-vf", "settb=1/600,setpts='(N+0.4*mod(N,3))/25/TB'", "-fps_mode", "vfr"),
            *("-enc_time_base", "filter", "-c:v", "libx264", "-bf", 2, "-g", 20),
        ],
        True,
    ),
    "interlaced": (
        ".ts",
        [
            *("-vf", "interlace,setpts=N/25/TB", "-r", 25, "-flags", "+ildct+ilme"),
            *("-c:v", "mpeg2video", "-bf", 2, "-g", 12),
        ],
        True,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_finds_its_place(
    enhancer: hyperguide.Enhancer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    suffix, coded, found = KINDS[kind]
    source = tmp_path / f"in{suffix}"
    frames = 220 if kind == "interlaced" else 110
    clip(source, *coded, "-pix_fmt", "yuv420p", frames=frames)
    enhance(enhancer, source, tmp_path / "whole.mkv", strength=0, wishes=LOSSLESS)
    whole = frame_hashes(tmp_path / "whole.mkv")
    assert contents(whole) == contents(frame_hashes(source)) or kind == "interlaced"
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 75, strength=0, wishes=LOSSLESS)
    from_start = VideoSource._from_start
    read: list[int] = []
    monkeypatch.setattr(
        VideoSource, "_from_start", lambda s, *a: read.append(1) or from_start(s, *a)
    )
    summary = enhance(enhancer, source, output, strength=0, wishes=LOSSLESS, resume=True)
    assert summary.before in (72, 84, 96)
    assert frame_hashes(output) == whole
    if found is not None:
        assert bool(read) != found


@pytest.mark.parametrize(
    "other",
    [
        {"smooth": 0.5},
        {"strength": 0.5},
        {"wishes": EncoderWishes("ffv1", pix_fmt="yuv444p")},
        {"segment": 24},
        {"temporal": True},
    ],
)
def test_other_settings_are_refused(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 30, wishes=LOSSLESS)
    with pytest.raises(HyperguideError, match="other settings"):
        enhance(enhancer, source, output, **{"wishes": LOSSLESS, "resume": True, **other})


def test_another_source_is_refused(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 30)
    other = Path(shutil.copy(source, tmp_path / "other.mp4"))
    with pytest.raises(HyperguideError, match="of another file"):
        enhance(enhancer, other, output, resume=True)


def test_what_an_earlier_run_left_is_not_thrown_away_unasked(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 30)
    output.unlink()  # as after kill -9
    with pytest.raises(HyperguideError, match="--resume, or begin anew with --force"):
        enhance(enhancer, source, output)
    assert enhance(enhancer, source, output, force=True).before == 0


def test_resume_without_an_earlier_run_begins(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path
) -> None:
    assert enhance(enhancer, source, tmp_path / "out.mkv", resume=True).frames == FRAMES


def test_two_runs_do_not_write_the_same_file(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"

    def other(done: int, count: int | None, slowest: str) -> None:
        if done == 20:
            with pytest.raises(HyperguideError, match="Another run"):
                enhance(enhancer, source, output, force=True)

    enhance(enhancer, source, output, report=other)
    assert len(frame_hashes(output)) == FRAMES


@pytest.mark.parametrize("ending", [".json", ".packets", ".npz"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone", "empty", "foreign"])
def test_a_damaged_segment_is_made_again(
    enhancer: hyperguide.Enhancer,
    source: Path,
    whole: list[str],
    tmp_path: Path,
    ending: str,
    how: str,
) -> None:
    output = tmp_path / "out.mkv"
    settings: dict[str, Any] = {"smooth": 0.8, "wishes": LOSSLESS}
    enhance_some(enhancer, source, output, 50, **settings)
    folder = work_folder.work_folder(output)
    last = max(folder.glob("*.npz"))  # the end has no state, it is made again anyway
    damage(last.with_suffix(ending), how)
    summary = enhance(enhancer, source, output, resume=True, **settings)
    assert summary.before == int(last.stem) * SEGMENT
    assert contents(frame_hashes(output)) == whole


@pytest.mark.parametrize("ending", [".json", ".packets"])
def test_where_a_damaged_segment_is_an_early_one_all_is_made_again(
    enhancer: hyperguide.Enhancer, source: Path, whole: list[str], tmp_path: Path, ending: str
) -> None:
    output = tmp_path / "out.mkv"
    settings: dict[str, Any] = {"smooth": 0.8, "wishes": LOSSLESS}
    enhance_some(enhancer, source, output, 60, **settings)
    damage(work_folder.work_folder(output) / f"000001{ending}", "cut")
    summary = enhance(enhancer, source, output, resume=True, **settings)
    assert summary.before == 0
    assert contents(frame_hashes(output)) == whole


@pytest.mark.parametrize("ending", [".json", ".packets", ".npz"])
def test_folders_in_the_place_of_files_are_refused(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path, ending: str
) -> None:
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 50)
    last = max(work_folder.work_folder(output).glob("*.npz")).with_suffix(ending)
    damage(last, "folder")
    with pytest.raises(HyperguideError, match=last.name):
        enhance(enhancer, source, output, resume=True)


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 1
    elif how == "cut":
        del content[len(content) // 2 :]
    elif how == "empty":
        content.clear()
    elif how == "foreign":
        content = bytearray(b"something else")
    path.unlink()
    if how == "folder":
        path.mkdir()
        (path / "inside").touch()
    elif how != "gone":
        path.write_bytes(content)


def test_damaged_settings_are_refused_with_a_sentence(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 30)
    settings = work_folder.work_folder(output) / "settings.json"
    for content in (b"", b"{", b"[]", b'{"settings": 3}', b"\xff\xfe", b'{"other": "x"}'):
        settings.write_bytes(content)
        with pytest.raises(HyperguideError, match="begin anew with --force"):
            enhance(enhancer, source, output, resume=True)


def test_records_with_right_checksums_and_wrong_fields_do_not_count(tmp_path: Path) -> None:
    good: dict[str, Any] = {
        "number": 0,
        "frames": 1,
        "done": 1,
        "complete": True,
        "last": 0,
        "digest": 0,
        "until": 0.04,
        "map_frames": 0,
        "map_sum": 0.0,
        "map_least": 0.0,
        "map_most": 0.0,
        "checksum": 0,
        "state_checksum": 0,
        "packets": [[0, 1, 1, 0]],
    }
    (tmp_path / "000000.packets").touch()

    def written(record: Any) -> Any:
        import json

        stored = {"record": record, "checksum": stored_packets._checksum(record)}
        (tmp_path / "000000.json").write_text(json.dumps(stored))
        return stored_packets.read_segment(tmp_path, 0)

    assert written(good) is not None
    wrong: list[dict[str, Any]] = [
        {"number": 1},
        {"frames": 0},
        {"frames": "1"},
        {"done": True},
        {"until": 1},
        {"more": 1},
        {"packets": []},
        {"packets": [[0, 1, 1]]},
        {"packets": [[0, 1, 1, -1], [0, 1, 1, 1]]},
        {"packets": [[1 << 63, 1, 1, 0]]},
        {"packets": [["0", 1, 1, 0]]},
        {"packets": None},
        {"checksum": 1},
    ]
    for change in wrong:
        assert written(good | change) is None, change
    assert written([]) is None
    assert written({}) is None


def test_mutated_work_folders_never_raise_anything_else(
    enhancer: hyperguide.Enhancer, source: Path, whole: list[str], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"smooth": 0.8, "wishes": LOSSLESS}
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 50, **settings)
    folder = work_folder.work_folder(output)
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    rng = random.Random(1)
    redone = 0
    for _ in range(12):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)
        for victim in rng.sample(sorted(folder.iterdir()), 2):
            content = bytearray(victim.read_bytes())
            for _ in range(rng.randint(1, 4)):
                content[rng.randrange(len(content))] = rng.randrange(256)
            victim.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
        try:
            enhance(enhancer, source, output, resume=True, **settings)
        except HyperguideError:
            continue
        redone += 1
        assert contents(frame_hashes(output)) == whole
    assert redone


def test_a_state_that_does_not_fit_is_refused(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mkv"
    enhance_some(enhancer, source, output, 30, smooth=0.8)
    monkeypatch.setattr(
        work_folder, "read_state", lambda *_: {"other": np.zeros((2, 2), np.float32)}
    )
    with pytest.raises(HyperguideError, match="begin anew with --force"):
        enhance(enhancer, source, output, smooth=0.8, resume=True)


def fill_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def fill_disk_for(ending: str) -> Any:
    """`Path.write_bytes` on a disk without room for files that end so."""
    write = Path.write_bytes

    def refuse(path: Path, content: bytes) -> int:
        if path.name.endswith(ending):
            fill_disk()
        return write(path, content)

    return refuse


@pytest.mark.parametrize("where", ["packets", "state", "output"])
def test_a_full_disk_says_so_and_the_run_goes_on_later(
    enhancer: hyperguide.Enhancer,
    source: Path,
    whole: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    output = tmp_path / "out.mkv"
    settings: dict[str, Any] = {"smooth": 0.8, "wishes": LOSSLESS}
    with monkeypatch.context() as patch:
        if where == "packets":
            add, calls = stored_packets.PacketWriter.add, iter(range(1000))

            def add_some(writer: Any, packet: Any, content: bytes) -> None:
                if next(calls) >= 30:
                    with stored_packets._writing(tmp_path / "segment"):
                        fill_disk()
                add(writer, packet, content)

            patch.setattr(stored_packets.PacketWriter, "add", add_some)
        elif where == "state":
            patch.setattr(Path, "write_bytes", fill_disk_for("npz"))
        else:
            patch.setattr(muxing, "_pictures", fill_disk)
        with pytest.raises(DiskFullError, match=r"[Nn]o space left.*--resume"):
            enhance(enhancer, source, output, **settings)
    assert not output.exists()
    summary = enhance(enhancer, source, output, resume=True, **settings)
    assert summary.before == {"packets": 24, "state": 0, "output": 96}[where]
    assert contents(frame_hashes(output)) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv"]


def test_an_engine_that_fails_on_the_way_leaves_what_is_done(
    enhancer: hyperguide.Enhancer, source: Path, whole: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"

    def change(number: int, result: hyperguide.Result) -> hyperguide.Result:
        if number == 40:
            raise HyperguideError("The device is gone.")
        return result

    failing = Tampered(enhancer, change)
    settings: dict[str, Any] = {"smooth": 0.8, "wishes": LOSSLESS}
    with pytest.raises(HyperguideError, match=r"At 1\.60 s: The device is gone"):
        enhance(failing, source, output, **settings)
    assert contents(frame_hashes(output)) == whole[:40]
    assert enhance(enhancer, source, output, resume=True, **settings).before == 36
    assert contents(frame_hashes(output)) == whole


def test_segments_hardly_make_files_larger(
    enhancer: hyperguide.Enhancer, source: Path, tmp_path: Path
) -> None:
    enhance(enhancer, source, tmp_path / "a.mp4", strength=0, segment=50)
    enhance(enhancer, source, tmp_path / "b.mp4", strength=0, segment=files.SEGMENT)
    sizes = [float(probe(tmp_path / name)["format"]["size"]) for name in ("a.mp4", "b.mp4")]
    assert sizes[0] < 1.2 * sizes[1]
