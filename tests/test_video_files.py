"""What is kept when a video file is enhanced: streams, times, tags."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import (
    clip,
    contents,
    decoded,
    enhance,
    ffmpeg,
    frame_hashes,
    guided_model,
    packet_hashes,
    picture_source,
    probe,
    rich_clip,
    stream_of,
    times,
    tone_source,
)

import hyperguide
from hyperguide.errors import HyperguideError
from hyperguide.video.encoders import EncoderWishes

LOSSLESS = EncoderWishes("ffv1")
MILLISECOND = 0.001001


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory: pytest.TempPathFactory) -> hyperguide.Enhancer:
    return hyperguide.load(
        guided_model(tmp_path_factory.mktemp("model") / "guided.onnx"), device="cpu"
    )


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Clips with all kinds of streams, by their suffix."""
    folder = tmp_path_factory.mktemp("rich")
    made = {suffix: rich_clip(folder / f"rich{suffix}") for suffix in (".mp4", ".mkv")}
    return lambda suffix: made[suffix]


def same_times(source: Path, output: Path, stream: str = "v:0", slack: float = 1e-6) -> None:
    """Assert that frames have the same times, and the whole lasts as long within a frame."""
    before, after = frame_hashes(source, stream), frame_hashes(output, stream)
    assert len(before) == len(after)
    np.testing.assert_allclose(times(after), times(before), atol=slack, rtol=0)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("kind", [".mp4", ".mkv"])
def test_sound_and_times_are_those_of_the_source(
    enhancer: hyperguide.Enhancer,
    rich: Callable[[str], Path],
    tmp_path: Path,
    kind: str,
    suffix: str,
) -> None:
    source, output = rich(kind), tmp_path / f"out{suffix}"
    enhance(enhancer, source, output)
    for stream in ("a:0", "a:1"):
        before, after = packet_hashes(source, stream), packet_hashes(output, stream)
        assert contents(before) == contents(after)
        np.testing.assert_allclose(times(after), times(before), atol=MILLISECOND)
    same_times(source, output, slack=MILLISECOND if ".mkv" in (kind, suffix) else 1e-6)
    assert not (tmp_path / f"out{suffix}.parts").exists()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("kind", [".mp4", ".mkv"])
def test_chapters_languages_titles_and_shape_are_kept(
    enhancer: hyperguide.Enhancer,
    rich: Callable[[str], Path],
    tmp_path: Path,
    kind: str,
    suffix: str,
) -> None:
    source, output = rich(kind), tmp_path / f"out{suffix}"
    enhance(enhancer, source, output, strength=0)
    before, after = probe(source), probe(output)
    spans = [
        [(c["start_time"], c["end_time"], c["tags"]["title"]) for c in one["chapters"]]
        for one in (before, after)
    ]
    assert spans[0] == spans[1]
    assert after["format"]["tags"]["title"] == "My film"
    assert not [tag for tag in after["format"]["tags"] if tag == "MAJOR_BRAND"]
    assert abs(float(after["format"]["duration"]) - float(before["format"]["duration"])) < 0.04
    sounds = [one for one in after["streams"] if one["codec_type"] == "audio"]
    spoken = ["eng", "deu"] if suffix != ".mov" else ["eng"]  # QuickTime's list lacks "deu"
    assert [s["tags"]["language"] for s in sounds if "language" in s["tags"]] == spoken
    assert [one["disposition"]["default"] for one in sounds] == [0, 1]
    assert stream_of(output)["sample_aspect_ratio"] == "32:27"
    subtitle = stream_of(output, "subtitle")
    assert subtitle["codec_name"] == ("subrip" if suffix == ".mkv" else "mov_text")
    assert subtitle["tags"]["language"] == "fra"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("kind", [".mp4", ".mkv"])
def test_text_subtitles_stay_readable(
    enhancer: hyperguide.Enhancer,
    rich: Callable[[str], Path],
    tmp_path: Path,
    kind: str,
    suffix: str,
) -> None:
    output = tmp_path / f"out{suffix}"
    enhance(enhancer, rich(kind), output, strength=0)
    text = ffmpeg("-copyts", "-i", output, "-map", "0:s:0", "-f", "srt", "-")
    assert "00:00:00,100 --> 00:00:00,500\nHello\n" in text
    assert "00:00:00,600 --> 00:00:01,000\n" in text
    assert "World" in text


def test_attachments_and_cover_pictures_are_kept(
    enhancer: hyperguide.Enhancer, rich: Callable[[str], Path], tmp_path: Path
) -> None:
    notes: list[str] = []
    enhance(enhancer, rich(".mkv"), tmp_path / "out.mkv", strength=0, say=notes.append)
    enhance(enhancer, rich(".mp4"), tmp_path / "out.mp4", strength=0, say=notes.append)
    assert not [note for note in notes if "cannot hold" in note]
    ffmpeg("-dump_attachment:t:0", tmp_path / "font.ttf", "-i", tmp_path / "out.mkv", ok=False)
    assert (tmp_path / "font.ttf").read_text() == "not a font" * 20
    before, after = packet_hashes(rich(".mp4"), "v:1"), packet_hashes(tmp_path / "out.mp4", "v:1")
    assert contents(before) == contents(after)


def test_what_a_container_cannot_hold_is_said_before_decoding(
    enhancer: hyperguide.Enhancer, rich: Callable[[str], Path], tmp_path: Path
) -> None:
    notes: list[str] = []
    output = tmp_path / "out.webm"

    def first_report(done: int, count: int | None, slowest: str) -> None:
        assert notes

    enhance(enhancer, rich(".mkv"), output, say=notes.append, report=first_report)
    lost = [note for note in notes if note.startswith("webm cannot hold")]
    assert len(lost) == 3
    for words in ("audio track 1 in eng (aac)", "audio track 2 in deu", "attachment font.ttf"):
        assert any(words in note for note in lost), lost


@pytest.mark.parametrize("suffix", [".webm", ".avi", ".ts", ".mpg"])
def test_strict_refuses_losses_before_anything_is_written(
    enhancer: hyperguide.Enhancer, rich: Callable[[str], Path], tmp_path: Path, suffix: str
) -> None:
    with pytest.raises(HyperguideError, match="cannot hold"):
        enhance(enhancer, rich(".mkv"), tmp_path / f"out{suffix}", strict=True)
    assert not list(tmp_path.iterdir())


def test_bitmap_subtitles_are_named_and_dropped_where_they_do_not_fit(
    enhancer: hyperguide.Enhancer, rich: Callable[[str], Path], tmp_path: Path
) -> None:
    source = tmp_path / "bitmaps.mkv"
    clip(tmp_path / "plain.mkv", "-c:v", "ffv1")
    write_with_bitmaps(tmp_path / "plain.mkv", source)
    notes: list[str] = []
    enhance(enhancer, source, tmp_path / "out.webm", strength=0, say=notes.append)
    assert any("subtitle track 1 (dvd_subtitle)" in note for note in notes), notes
    enhance(enhancer, source, tmp_path / "out.mkv", strength=0)
    assert contents(packet_hashes(source, "s:0")) == contents(
        packet_hashes(tmp_path / "out.mkv", "s:0")
    )


def write_with_bitmaps(source: Path, output: Path) -> None:
    """Copy a clip and add a track of DVD subtitles with one made-up packet."""
    with av.open(str(source)) as clip, av.open(str(output), "w") as made:
        pictures = made.add_stream_from_template(clip.streams.video[0], opaque=True)
        bitmaps = made.add_stream("dvdsub")
        bitmaps.time_base = Fraction(1, 1000)
        made.start_encoding()
        for packet in clip.demux(clip.streams.video[0]):
            if packet.dts is not None:
                packet.stream = pictures
                made.mux(packet)
        drawn = av.Packet(bytes(range(64)))
        drawn.stream, drawn.pts, drawn.dts, drawn.duration = bitmaps, 100, 100, 500
        drawn.time_base = bitmaps.time_base
        made.mux(drawn)


def test_audio_none_leaves_out_the_sound(
    enhancer: hyperguide.Enhancer, rich: Callable[[str], Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    enhance(enhancer, rich(".mkv"), output, strength=0, audio="none", strict=True)
    kinds = [one["codec_type"] for one in probe(output)["streams"]]
    assert kinds == ["video", "subtitle", "attachment"]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose frames come at uneven times, with sound that begins before and ends after."""
    path = tmp_path_factory.mktemp("uneven") / "uneven.mp4"
    late = "settb=1/600,setpts='(N+0.5*mod(N,3)+8*gte(N,12))/25/TB+0.5/TB'"
    coded = ["-c:v", "libx264", "-bf", 2, "-pix_fmt", "yuv420p", "-c:a", "aac"]
    rate = ["-vf", late, "-fps_mode", "vfr", "-enc_time_base", "filter"]
    ffmpeg(*picture_source(), *tone_source(2.5), *coded, *rate, path)
    return path


@pytest.mark.parametrize(("suffix", "slack"), [(".mp4", 1e-6), (".mov", 1e-6), (".mkv", 0.001)])
@pytest.mark.parametrize("codec", [None, "hevc", "ffv1"])
def test_uneven_times_are_kept(
    enhancer: hyperguide.Enhancer,
    uneven: Path,
    tmp_path: Path,
    suffix: str,
    slack: float,
    codec: str | None,
) -> None:
    if codec == "ffv1" and suffix == ".mp4":
        codec = "mjpeg"
    if codec == "ffv1" and suffix == ".mov":
        codec = "prores"
    output = tmp_path / f"out{suffix}"
    enhance(enhancer, uneven, output, wishes=EncoderWishes(codec))
    same_times(uneven, output, slack=slack)
    sound = [times(packet_hashes(one, "a:0")) for one in (uneven, output)]
    np.testing.assert_allclose(sound[1], sound[0], atol=MILLISECOND)
    assert times(frame_hashes(output))[0] == pytest.approx(0.5, abs=slack)


def test_a_source_that_starts_late_begins_at_zero_with_sound_in_place(
    enhancer: hyperguide.Enhancer, uneven: Path, tmp_path: Path
) -> None:
    source = tmp_path / "late.ts"
    ffmpeg("-i", uneven, "-c", "copy", source)
    pictures, sound = times(frame_hashes(source)), times(packet_hashes(source, "a:0"))
    assert min(pictures[0], sound[0]) > 1
    for suffix in (".mp4", ".mkv", ".ts"):
        output = tmp_path / f"out{suffix}"
        enhance(enhancer, source, output)
        after = times(frame_hashes(output))
        np.testing.assert_allclose(np.diff(after), np.diff(pictures), atol=MILLISECOND)
        apart = after[0] - times(packet_hashes(output, "a:0"))[0]
        assert apart == pytest.approx(pictures[0] - sound[0], abs=MILLISECOND)
        assert after[0] < 1


def test_transport_streams_carry_the_same_sound(
    enhancer: hyperguide.Enhancer, rich: Callable[[str], Path], tmp_path: Path
) -> None:
    """Their packets begin with headers of their own, which FFmpeg takes off again."""
    output = tmp_path / "out.ts"
    enhance(enhancer, rich(".mkv"), output)
    bare = tmp_path / "bare.mp4"
    ffmpeg("-i", output, "-map", "0:a:1", "-c", "copy", "-bsf:a", "aac_adtstoasc", bare)
    before, after = packet_hashes(rich(".mkv"), "a:1"), packet_hashes(output, "a:1")
    assert contents(packet_hashes(bare, "a:0")) == contents(before)
    apart = [times(frame_hashes(one))[0] for one in (rich(".mkv"), output)]
    assert apart[1] - times(after)[0] == pytest.approx(apart[0] - times(before)[0], abs=MILLISECOND)


def test_in_avi_pictures_and_sound_stay_together(
    enhancer: hyperguide.Enhancer, rich: Callable[[str], Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.avi"
    enhance(enhancer, rich(".mp4"), output, strength=0)
    assert len(frame_hashes(output)) == 30
    assert times(frame_hashes(output))[0] == pytest.approx(0, abs=0.03)
    assert contents(packet_hashes(output, "a:0")) == contents(packet_hashes(rich(".mp4"), "a:0"))


def test_uneven_times_in_avi_are_kept_by_frames_that_repeat(
    enhancer: hyperguide.Enhancer, uneven: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.avi"
    summary = enhance(enhancer, uneven, output, strength=0)
    assert not summary.notes
    late = np.subtract(times(frame_hashes(output)), times(frame_hashes(uneven)))[1:]
    assert np.ptp(late) <= 0.021  # a frame lasts 0.02 s; the first one is shown early, too
    assert late.max() <= 0.061  # sound that begins before 0 moves all by up to a frame


def test_times_that_a_constant_rate_cannot_hold_are_said_to_be_moved(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    source = tmp_path / "bursts.mkv"
    late = "settb=1/1000,setpts='floor(N/10)*1000+mod(N,10)*7'"
    rate = ["-fps_mode", "vfr", "-enc_time_base", "filter"]
    clip(source, "-vf", late, *rate, "-c:v", "ffv1", frames=30)
    notes = enhance(enhancer, source, tmp_path / "out.avi", strength=0).notes
    assert any("constant rate" in note for note in notes), notes


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotation_is_kept_and_pixels_are_not_turned(
    enhancer: hyperguide.Enhancer, tmp_path: Path, suffix: str, angle: int
) -> None:
    plain = clip(tmp_path / "plain.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", frames=3)
    source, output = tmp_path / "turned.mp4", tmp_path / f"out{suffix}"
    ffmpeg("-display_rotation", angle, "-i", plain, "-c", "copy", source)
    enhance(enhancer, source, output, strength=0)
    turned = [stream_of(one)["side_data_list"][0]["rotation"] for one in (source, output)]
    assert turned[0] == turned[1]
    assert (stream_of(output)["width"], stream_of(output)["height"]) == (96, 64)


@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1", "vp9", "av1", "mjpeg", "prores"])
@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_the_shape_of_pixels_is_kept(
    enhancer: hyperguide.Enhancer, tmp_path: Path, codec: str, suffix: str
) -> None:
    if suffix == ".mov" and codec in ("vp9", "av1", "ffv1"):
        suffix = ".mp4" if codec != "ffv1" else ".nut"
    source, output = tmp_path / "wide.mp4", tmp_path / f"out{suffix}"
    clip(source, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-vf", "setsar=32/27", frames=2)
    notes: list[str] = []
    wishes = EncoderWishes(codec)
    enhance(enhancer, source, output, strength=0, wishes=wishes, say=notes.append)
    said = any("shape of pixels" in note for note in notes)
    assert said or stream_of(output)["sample_aspect_ratio"] == "32:27"


def test_time_codes_are_kept(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    source, output = tmp_path / "coded.mov", tmp_path / "out.mov"
    clip(source, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-timecode", "01:02:03:04")
    notes: list[str] = []
    enhance(enhancer, source, output, strength=0, say=notes.append, strict=True)
    assert stream_of(output)["tags"]["timecode"] == "01:02:03:04"


def test_the_last_frame_is_shown_as_long_as_before(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    source = tmp_path / "long.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25,trim=end_frame=5"),
        *("-vf", "setpts='N/25/TB+gte(N,4)*1/TB'", "-fps_mode", "vfr"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", source),
    )
    enhance(enhancer, source, tmp_path / "out.mp4")
    lengths = [float(stream_of(one)["duration"]) for one in (source, tmp_path / "out.mp4")]
    assert lengths[0] == pytest.approx(lengths[1], abs=0.001)


def test_the_first_stream_or_the_default_one_is_enhanced(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    source = tmp_path / "two.mkv"
    small = picture_source((32, 32), 5)
    ffmpeg(*small, *picture_source(frames=5), "-map", "0:v", "-map", "1:v", "-c:v", "ffv1", source)
    notes: list[str] = []
    enhance(enhancer, source, tmp_path / "out.mkv", strength=0, say=notes.append)
    assert any("2 video streams: number 0" in note for note in notes), notes
    words = ["-c", "copy", "-disposition:v:0", "0", "-disposition:v:1", "default"]
    ffmpeg("-i", source, "-map", "0", *words, tmp_path / "other.mkv")
    enhance(enhancer, tmp_path / "other.mkv", tmp_path / "out2.mkv", strength=0)
    assert stream_of(tmp_path / "out.mkv")["width"] == 32
    assert stream_of(tmp_path / "out2.mkv")["width"] == 96


def test_enhanced_frames_are_those_of_the_enhancer(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    """RGB in, RGB out, without loss: no conversion stands between."""
    source, output = tmp_path / "rgb.mkv", tmp_path / "out.mkv"
    clip(source, "-c:v", "ffv1", "-pix_fmt", "bgr0", frames=4)
    enhance(enhancer, source, output)
    for before, after in zip(decoded(source), decoded(output), strict=True):
        wanted = enhancer(before).image.astype(int)
        assert np.abs(after.astype(int) - wanted).max() <= 1


def test_enhanced_yuv_frames_are_those_of_the_enhancer(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    """Without subsampling each colour comes back within one level."""
    source, output = tmp_path / "yuv.mkv", tmp_path / "out.mkv"
    tags = ["-colorspace", "bt709", "-color_range", "pc"]
    scale = ["-vf", "scale=out_color_matrix=bt709:out_range=pc"]
    clip(source, *scale, "-c:v", "ffv1", "-pix_fmt", "yuv444p", *tags, frames=4)
    enhance(enhancer, source, output, wishes=LOSSLESS)
    for before, after in zip(decoded(source), decoded(output), strict=True):
        wanted = enhancer(before).image.astype(int)
        assert np.abs(after.astype(int) - wanted).max() <= 2  # one of ours, one of FFmpeg's way


def test_the_python_call_enhances_a_file(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    from hyperguide import video

    source = clip(tmp_path / "in.mkv", "-c:v", "ffv1", frames=5)
    summary = video.enhance(source, tmp_path / "out.mkv", enhancer, strength=0)
    assert summary.frames == 5
    assert contents(frame_hashes(source)) == contents(frame_hashes(tmp_path / "out.mkv"))
    found = list(video.frames(tmp_path / "out.mkv"))
    assert [frame.seconds for frame in found] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
