"""Colours of video: planes to RGB and back, depths, tags."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
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
    picture_source,
    probe,
    stream_of,
)

import hyperguide
from hyperguide.video.coding import Coding, coding_of, planar_name, plane_format
from hyperguide.video.colors import from_rgb, to_rgb
from hyperguide.video.encoders import EncoderWishes
from hyperguide.video.planes import frame_like, in_format, planes_of

SIZE = 48, 32
# H.273, table 4: red and blue weights.
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
NAMES = {1: "bt709", 6: "smpte170m", 9: "bt2020nc"}


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory: pytest.TempPathFactory) -> hyperguide.Enhancer:
    return hyperguide.load(
        guided_model(tmp_path_factory.mktemp("model") / "guided.onnx"), device="cpu"
    )


def coding(name: str, matrix: int = 1, range: int = 1) -> Coding:
    format = plane_format(name)
    assert format is not None
    return coding_of(format, SIZE[1], matrix, range)[0]


def noise_planes(name: str, seed: int = 0, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Planes of any value, colours outside of RGB included."""
    format = plane_format(name)
    assert format is not None
    rng = np.random.default_rng(seed)
    kind = np.uint8 if format.depth == 8 else np.uint16
    columns, rows = format.sub
    small = -(-size[1] // rows), -(-size[0] // columns)
    shapes = [size[::-1]] if format.kind == "gray" else [size[::-1], small, small]
    if format.alpha:
        shapes.append(size[::-1])
    return [rng.integers(0, 1 << format.depth, shape).astype(kind) for shape in shapes]


def reference_rgb(planes: list[np.ndarray], matrix: int, full: bool, depth: int) -> np.ndarray:
    """H.273, equations 29 to 43 inverted, in floats; RGB of [0, 1], unclipped."""
    red, blue = WEIGHTS[matrix]
    y, u, v = (plane.astype(float) for plane in planes)
    unit = 1 << (depth - 8)
    if full:
        y, u, v = (y / (2**depth - 1), *((c - 128 * unit) / (2**depth - 1) for c in (u, v)))
    else:
        y, u, v = (
            (y - 16 * unit) / (219 * unit),
            *((c - 128 * unit) / (224 * unit) for c in (u, v)),
        )
    r = y + 2 * (1 - red) * v
    b = y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.stack([r, g, b], axis=-1)


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12, 16])
def test_rgb_is_that_of_the_closed_form(matrix: int, full: bool, depth: int) -> None:
    name = "yuv444p" if depth == 8 else f"yuv444p{depth}le"
    planes = noise_planes(name)
    found = to_rgb(planes, coding(name, matrix, 2 if full else 1))
    peak = 255 if depth == 8 else 65535
    wanted = reference_rgb(planes, matrix, full, depth).clip(0, 1) * peak
    assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("full", [False, True])
def test_what_the_network_adds_comes_back_as_the_closed_form_has_it(
    matrix: int, full: bool
) -> None:
    """Planes made of RGB by the closed form, changed in RGB, give the planes of the changed RGB."""
    rng = np.random.default_rng(1)
    kept = coding("yuv444p", matrix, 2 if full else 1)
    before = rng.integers(30, 220, (*SIZE[::-1], 3)).astype(np.uint8)
    planes = [plane.astype(np.uint8) for plane in reference_yuv(before, matrix, full)]
    seen = to_rgb(planes, kept)
    change = rng.integers(-20, 20, seen.shape)
    after = (seen + change).clip(0, 255).astype(np.uint8)
    found = from_rgb(planes, seen, after, kept)
    for plane, exact in zip(found, reference_yuv(after, matrix, full, rounded=False), strict=True):
        assert np.abs(plane - exact).max() <= 1.6  # roundings: there, of RGB, and back


def reference_yuv(rgb: np.ndarray, matrix: int, full: bool, rounded: bool = True) -> list:
    red, blue = WEIGHTS[matrix]
    r, g, b = (rgb[..., i] / 255 for i in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    scales = (255, 255, 0) if full else (219, 224, 16)
    exact = [scales[2] + scales[0] * y, 128 + scales[1] * u, 128 + scales[1] * v]
    return [np.rint(plane).clip(0, 255) for plane in exact] if rounded else exact


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("sub", ["444", "422", "420"])
def test_rgb_is_that_of_ffmpeg(tmp_path: Path, matrix: int, full: bool, sub: str) -> None:
    """Smooth pictures, because filters of chroma differ at edges."""
    name, span = f"yuv{sub}p", "pc" if full else "tv"
    path = tmp_path / "in.nut"
    smooth = "color=size=48x32:rate=25,format=gbrp,trim=end_frame=1,"
    smooth += "geq=r='40+3*X':g='200-4*Y':b='60+2*X+2*Y'"
    ways = f"scale=out_color_matrix={NAMES[matrix]}:out_range={span}"
    tags = ["-colorspace", NAMES[matrix], "-color_range", span]
    words = ["-f", "lavfi", "-i", smooth, "-vf", ways, "-pix_fmt", name, "-c:v", "ffv1", *tags]
    ffmpeg(*words, path)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    kept = coding(name, matrix, 2 if full else 1)
    found = to_rgb(planes_of(frame, kept.format), kept).astype(int)
    back = f"scale=in_color_matrix={NAMES[matrix]}:in_range={span}"
    flags = ":flags=accurate_rnd+full_chroma_int+full_chroma_inp+bitexact+bicubic"
    words = ["-i", path, "-vf", back + flags, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    run = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *map(str, words)],
        capture_output=True,
        check=True,
    )
    wanted = np.frombuffer(run.stdout, np.uint8).reshape(found.shape).astype(int)
    apart = np.abs(found - wanted)
    assert apart.max() <= (2 if sub == "444" else 3)
    assert apart.mean() <= 0.8


@pytest.mark.parametrize("range", [1, 2])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize(
    "name",
    [
        *("yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuvj420p"),
        *("yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv444p16le"),
        *("yuva420p", "yuva444p10le", "gbrp", "gbrap", "gbrp10le", "gray", "gray10le"),
    ],
)
def test_unchanged_pictures_give_every_plane_bit_for_bit(
    name: str, matrix: int, range: int
) -> None:
    kept = coding(name, matrix, range)
    for size in (SIZE, (47, 31)):
        planes = noise_planes(name, size=size)
        picture = to_rgb(planes, kept)
        for before, after in zip(planes, from_rgb(planes, picture, picture, kept), strict=True):
            np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_only_what_the_network_changes_is_changed(name: str) -> None:
    kept = coding(name)
    planes = noise_planes(name)
    picture = to_rgb(planes, kept)
    after = picture.copy()
    after[8:12, 8:12] //= 2
    columns, rows = kept.format.sub
    for place, (before, now) in enumerate(
        zip(planes, from_rgb(planes, picture, after, kept), strict=True)
    ):
        left = before != now
        step = (1, 1) if place == 0 else (rows, columns)
        left[8 // step[0] : 12 // step[0], 8 // step[1] : 12 // step[1]] = False
        assert not left.any()


def test_chroma_is_the_mean_over_its_block() -> None:
    kept = coding("yuv420p", 6, 2)
    planes = [np.full(shape, 128, np.uint8) for shape in ((4, 4), (2, 2), (2, 2))]
    before = to_rgb(planes, kept).astype(np.float32)
    after = before.copy()
    after[0, 0, 0] += 40  # red in one of the four pixels of a block
    found = from_rgb(planes, before.astype(np.uint8), after.astype(np.uint8), kept)
    assert found[2][0, 0] == 128 + round(40 * 0.5 / 4)  # V = (R - Y) / (2 (1 - red)) = R / 2
    assert (found[2].ravel()[1:] == 128).all()


REPACKED = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "y210le": "yuv422p10le",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "bgr0": "gbrp",
    "rgba": "gbrap",
    "rgb48le": "gbrp16le",
    "yuv422p10be": "yuv422p10le",
}


@pytest.mark.parametrize("name", REPACKED)
def test_packed_formats_are_repacked_without_changing_a_value(tmp_path: Path, name: str) -> None:
    """Against FFmpeg's raw frames: what goes in and out again is the same."""
    made, exact = planar_name(name, 10, name.startswith(("rgb", "bgr")))
    assert exact
    assert made == REPACKED[name]
    raw = tmp_path / "raw"
    words = ["-vf", "noise=alls=60:allf=t", "-pix_fmt", name, "-f", "rawvideo", raw]
    ffmpeg(*picture_source(SIZE, 1), *words)
    there, back = tmp_path / "there", tmp_path / "back"
    size = f"{SIZE[0]}x{SIZE[1]}"
    container = av.open(
        str(raw), format="rawvideo", options={"pixel_format": name, "video_size": size}
    )
    frame = next(container.decode(video=0))
    container.close()
    way = av.video.reformatter.VideoReformatter()
    planar = in_format(way, frame, made)
    format = plane_format(made)
    assert format is not None
    planes = planes_of(planar, format)
    there.write_bytes(b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes))
    from_planar = ["-f", "rawvideo", "-pix_fmt", made, "-video_size", size, "-i", there]
    ffmpeg(*from_planar, "-pix_fmt", name, "-f", "rawvideo", back)
    assert back.read_bytes() == raw.read_bytes()


def test_repacking_keeps_rows_apart() -> None:
    """Rows of 427 values of chroma: threads of libswscale overwrite each other's."""
    size = 854, 36
    frame = av.VideoFrame(*size, "p210le")
    values = [np.frombuffer(plane, np.uint16) for plane in frame.planes]
    random = np.random.default_rng(0)
    for plane in values:
        plane[:] = random.integers(0, 1024, plane.size) << 6
    luma, chroma = (plane.reshape(size[1], -1)[:, : size[0]] >> 6 for plane in values)
    format = plane_format("yuv422p10le")
    assert format is not None
    for _ in range(10):
        way = av.video.reformatter.VideoReformatter()
        planes = planes_of(in_format(way, frame, format.name), format)
        for found, wanted in zip(planes, (luma, chroma[:, ::2], chroma[:, 1::2]), strict=True):
            np.testing.assert_array_equal(found, wanted)


LOSSLESS = [
    # pixel format, codec, suffix, range
    *((name, "ffv1", ".mkv", "tv") for name in ("yuv420p", "yuv422p", "yuv444p", "yuv440p")),
    *((name, "ffv1", ".mkv", "pc") for name in ("yuv420p", "yuv444p", "yuv411p", "yuv410p")),
    *((f"yuv{sub}p10le", "ffv1", ".mkv", "tv") for sub in ("420", "422", "444")),
    ("yuv420p10le", "ffv1", ".mkv", "pc"),
    ("yuv420p12le", "ffv1", ".mkv", "tv"),
    ("yuv444p16le", "ffv1", ".mkv", "tv"),
    ("gray", "ffv1", ".mkv", "pc"),
    ("gray", "ffv1", ".mkv", "tv"),
    ("gray10le", "ffv1", ".mkv", "tv"),
    ("gbrp10le", "ffv1", ".mkv", "pc"),
    ("gbrp16le", "ffv1", ".mkv", "pc"),
    ("bgr0", "ffv1", ".mkv", "pc"),
    ("bgra", "ffv1", ".mkv", "pc"),
    ("yuva420p", "ffv1", ".mkv", "tv"),
    ("yuva444p10le", "ffv1", ".mkv", "tv"),
    ("rgb24", "huffyuv", ".avi", "pc"),
    ("gbrp", "utvideo", ".mkv", "pc"),
    ("yuyv422", "rawvideo", ".avi", "tv"),
    ("rgb24", "rawvideo", ".nut", "pc"),
    ("nv12", "rawvideo", ".nut", "tv"),
    ("p010le", "rawvideo", ".nut", "tv"),
]


@pytest.mark.parametrize(("name", "codec", "suffix", "span"), LOSSLESS)
@pytest.mark.parametrize("size", [(96, 64), (97, 65)])
def test_at_strength_0_every_plane_is_bit_identical(
    enhancer: hyperguide.Enhancer,
    tmp_path: Path,
    name: str,
    codec: str,
    suffix: str,
    span: str,
    size: tuple[int, int],
) -> None:
    if size[0] % 2 and name == "yuyv422":
        pytest.skip("It has no odd widths.")
    source, output = tmp_path / f"in{suffix}", tmp_path / "out.mkv"
    ways = ["-vf", f"noise=alls=40:allf=t,scale=out_range={span}", "-color_range", span]
    clip(source, *ways, "-pix_fmt", name, "-c:v", codec, frames=3, size=size)
    enhance(enhancer, source, output, strength=0, wishes=EncoderWishes("ffv1"))
    same = ["-pix_fmt", name]  # repacking loses nothing
    assert contents(frame_hashes(source, "v:0", *same)) == contents(
        frame_hashes(output, "v:0", *same)
    )


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv444p", "gray"])
def test_lossless_h264_is_bit_identical_at_strength_0(
    enhancer: hyperguide.Enhancer, tmp_path: Path, name: str
) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    clip(source, "-c:v", "libx264", "-pix_fmt", name, frames=30)
    enhance(enhancer, source, output, strength=0, wishes=EncoderWishes(crf=0, preset="ultrafast"))
    assert contents(frame_hashes(source)) == contents(frame_hashes(output))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("name", ["yuv420p10le", "yuv422p10le", "yuv444p10le"])
def test_10_bits_stay_10_bits(
    enhancer: hyperguide.Enhancer, tmp_path: Path, codec: str, name: str
) -> None:
    source = clip(tmp_path / "in.mp4", "-c:v", codec, "-pix_fmt", name, frames=14)
    enhance(enhancer, source, tmp_path / "same.mkv", strength=0, wishes=EncoderWishes("ffv1"))
    assert contents(frame_hashes(source)) == contents(frame_hashes(tmp_path / "same.mkv"))
    enhance(enhancer, source, tmp_path / "out.mp4", strength=0)
    before, after = stream_of(source), stream_of(tmp_path / "out.mp4")
    assert (before["codec_name"], before["pix_fmt"]) == (after["codec_name"], after["pix_fmt"])


TAGS = [
    ("bt709", "bt709", "bt709", "tv"),
    ("bt2020nc", "bt2020", "smpte2084", "tv"),
    ("bt2020nc", "bt2020", "arib-std-b67", "tv"),
    ("smpte170m", "smpte170m", "smpte170m", "tv"),
    ("bt470bg", "bt470bg", "bt470bg", "pc"),
    ("bt709", "bt709", "iec61966-2-1", "pc"),
]


@pytest.mark.parametrize(("matrix", "primaries", "transfer", "span"), TAGS)
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("h264", ".mp4"), ("hevc", ".mp4"), ("hevc", ".mkv"), ("ffv1", ".mkv"), ("av1", ".mkv")],
)
def test_colour_tags_are_kept(
    enhancer: hyperguide.Enhancer,
    tmp_path: Path,
    matrix: str,
    primaries: str,
    transfer: str,
    span: str,
    codec: str,
    suffix: str,
) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / f"out{suffix}"
    tags = ["-colorspace", matrix, "-color_primaries", primaries, "-color_trc", transfer]
    said = f"setparams=colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}"
    ways = ["-vf", f"{said}:range={span}", *tags, "-color_range", span]
    clip(source, *ways, "-c:v", "libx264", "-pix_fmt", "yuv420p10le", frames=2)
    enhance(enhancer, source, output, wishes=EncoderWishes(codec))
    names = ("color_space", "color_primaries", "color_transfer", "color_range", "pix_fmt")
    before, after = stream_of(source), stream_of(output)
    assert [after.get(one) for one in names] == [before.get(one) for one in names]


def test_missing_tags_stay_missing_and_what_is_assumed_is_said(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    clip(source, "-c:v", "libx264", "-pix_fmt", "yuv420p", frames=2)
    notes: list[str] = []
    enhance(enhancer, source, output, say=notes.append)
    assert any("smpte170m is assumed" in note for note in notes)
    names = ("color_space", "color_primaries", "color_transfer")
    assert not [name for name in names if name in stream_of(output)]


def test_untagged_pictures_of_high_definition_are_taken_for_bt709() -> None:
    format = plane_format("yuv420p")
    assert format is not None
    assert coding_of(format, 720, 2, 0)[0].matrix == 1
    assert coding_of(format, 576, 2, 0)[0].matrix == 6
    assert "bt709 is assumed" in coding_of(format, 1080, 2, 0)[1]
    assert coding_of(format, 576, 99, 1)[0].matrix == 6  # a number that means nothing


@pytest.mark.parametrize("name", ["rgb24", "bgr0", "gbrp"])
def test_rgb_that_is_encoded_as_yuv_keeps_its_colours(
    enhancer: hyperguide.Enhancer, tmp_path: Path, name: str
) -> None:
    source, output = tmp_path / "in.nut", tmp_path / "out.mp4"
    clip(source, "-c:v", "rawvideo", "-pix_fmt", name, frames=2)
    enhance(enhancer, source, output, strength=0, wishes=EncoderWishes("h264", crf=1))
    assert np.abs(decoded(output).astype(int) - decoded(source)).mean() < 2
    assert stream_of(output)["color_space"] == "smpte170m"
    assert stream_of(output)["color_range"] == "tv"


def test_yuv_that_is_encoded_as_rgb_keeps_its_colours(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    clip(source, "-c:v", "ffv1", "-pix_fmt", "yuv444p", frames=2)
    enhance(enhancer, source, output, strength=0, wishes=EncoderWishes("ffv1", pix_fmt="bgr0"))
    assert stream_of(output)["pix_fmt"] == "bgr0"
    assert np.abs(decoded(output).astype(int) - decoded(source)).max() <= 2


@pytest.mark.parametrize("span", ["tv", "pc"])
def test_jpeg_frames_are_full_range(
    enhancer: hyperguide.Enhancer, tmp_path: Path, span: str
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mov"
    ways = ["-vf", f"scale=out_range={span}", "-color_range", span]
    clip(source, *ways, "-c:v", "ffv1", "-pix_fmt", "yuv420p", frames=2)
    enhance(enhancer, source, output, strength=0, wishes=EncoderWishes("mjpeg"))
    assert stream_of(output)["pix_fmt"] == "yuvj420p"
    assert np.abs(decoded(output).astype(int) - decoded(source)).mean() < 3


def test_motion_jpeg_becomes_full_range_h264(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    source, output = tmp_path / "in.avi", tmp_path / "out.mp4"
    clip(source, "-c:v", "mjpeg", "-q:v", 2, "-pix_fmt", "yuvj420p", frames=2)
    enhance(enhancer, source, output, strength=0, wishes=EncoderWishes("h264", crf=0))
    assert stream_of(output)["color_range"] == "pc"
    same = ["-pix_fmt", "yuvj420p"]
    assert contents(frame_hashes(source, "v:0", *same)) == contents(
        frame_hashes(output, "v:0", *same)
    )


def test_hdr10_data_are_kept_by_x265(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    given = f"master-display={display}:max-cll=1000,400:hdr10=1:log-level=none"
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    said = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084"
    words = ["-vf", said, "-c:v", "libx265", "-x265-params", given, "-pix_fmt", "yuv420p10le"]
    clip(source, *words, frames=3)
    enhance(enhancer, source, output)
    found = [hdr_of_frame(one) for one in (source, output)]
    assert found[0] == found[1]
    assert found[0]["max_content"] == 1000
    assert found[0]["red_x"] == "34000/50000"


def test_hdr10_data_are_kept_by_svt_av1(enhancer: hyperguide.Enhancer, tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    given = f"master-display={display}:max-cll=1000,400:hdr10=1:log-level=none"
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    words = ["-c:v", "libx265", "-x265-params", given, "-pix_fmt", "yuv420p10le"]
    clip(source, *words, frames=3)
    enhance(enhancer, source, output, wishes=EncoderWishes("av1"))
    before, after = (hdr_of_frame(one) for one in (source, output))
    assert after["max_content"] == 1000
    for name, value in before.items():
        if "/" in str(value):
            assert float(Fraction(after[name])) == pytest.approx(
                float(Fraction(value)), rel=0.01, abs=1e-3
            )


def test_that_an_encoder_takes_no_hdr10_data_is_said(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    given = "max-cll=1000,400:hdr10=1:log-level=none"
    words = ["-c:v", "libx265", "-x265-params", given, "-pix_fmt", "yuv420p10le"]
    source = clip(tmp_path / "in.mp4", *words, frames=2)
    notes: list[str] = []
    wishes = EncoderWishes("ffv1")
    enhance(enhancer, source, tmp_path / "out.mkv", wishes=wishes, say=notes.append)
    assert any("HDR10" in note for note in notes)


def hdr_of_frame(path: Path) -> dict:
    """The mastering data of the first frame, as ffprobe prints them."""
    words = ("-show_frames", "-read_intervals", "%+#1", "-select_streams", "v:0")
    found: dict = {}
    for data in probe(path, *words)["frames"][0].get("side_data_list", []):
        if re.search("Mastering|Content light", data["side_data_type"]):
            found |= data
    assert found
    return found


def test_interlaced_pictures_are_deinterlaced_and_said_to_be(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    tags = ["-colorspace", "bt709", "-color_range", "tv", "-color_primaries", "bt709"]
    fields = "setparams=colorspace=bt709:range=tv:color_primaries=bt709,interlace"
    words = ["-vf", fields, "-flags", "+ildct+ilme", "-c:v", "libx264", "-x264-params", "tff=1"]
    ffmpeg(*picture_source(frames=60, rate=50), *words, *tags, "-pix_fmt", "yuv420p", source)
    notes: list[str] = []
    enhance(enhancer, source, output, strength=0, wishes=EncoderWishes("ffv1"), say=notes.append)
    assert any("bwdif" in note for note in notes)
    ours = frame_hashes(output)
    words = ["-vf", "bwdif=mode=send_frame:parity=auto:deint=interlaced"]
    theirs = frame_hashes(source, "v:0", *words)
    assert contents(ours)[1:] == contents(theirs)[1:]  # versions differ in a line of the first
    assert [one.seconds for one in ours] == pytest.approx(
        [one.seconds for one in frame_hashes(source)], abs=0.0011
    )
    assert stream_of(output)["color_space"] == "bt709"
    assert stream_of(output).get("field_order", "progressive") == "progressive"


def test_a_frame_keeps_its_tags_and_time() -> None:
    frame = av.VideoFrame(48, 32, "yuv420p")
    frame.pts, frame.time_base, frame.duration = 7, Fraction(1, 90), 3
    frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = 9, 1, 9, 16
    format = plane_format("yuv420p")
    assert format is not None
    made = frame_like(frame, planes_of(frame, format), format)
    assert (made.pts, made.time_base, made.duration) == (7, Fraction(1, 90), 3)
    assert (made.colorspace, made.color_range, made.color_primaries, made.color_trc) == (
        9,
        1,
        9,
        16,
    )
