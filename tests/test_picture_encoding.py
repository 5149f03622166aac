"""How pixels are encoded: chroma subsampling, and the quality of JPEG and WebP."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from conftest import Cli, enhance, fails
from hyperguide.batch.resume import NAME
from hyperguide.picture_files import read_picture, read_with_metadata, write_picture
from hyperguide.picture_files.containers import jpeg_segments

SAMPLINGS = {"4:4:4": 0x111111, "4:2:2": 0x211111, "4:4:0": 0x121111, "4:2:0": 0x221111}
SAMPLINGS["4:1:1"] = 0x411111


@pytest.fixture(scope="module")
def stripes() -> np.ndarray:
    """Red and blue columns, which chroma of half the width turns violet."""
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:, ::2, 0] = picture[:, 1::2, 2] = 255
    return picture


def save(path: Path, picture: np.ndarray, factors: int) -> None:
    options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors, cv2.IMWRITE_JPEG_QUALITY, 98]
    assert cv2.imwrite(str(path), picture[..., ::-1], options)


def factors(path: Path) -> int:
    """The sampling factors of a JPEG's planes as in OpenCV: two digits per plane."""
    content = path.read_bytes()
    frame = next(start for marker, (start, _) in jpeg_segments(content) if marker == 0xC0)
    return int.from_bytes(content[frame + 7 : frame + 15 : 3], "big")


@pytest.mark.parametrize("name", SAMPLINGS)
def test_jpeg_keeps_its_sampling(name: str, stripes: np.ndarray, tmp_path: Path) -> None:
    save(tmp_path / "in.jpg", stripes, SAMPLINGS[name])
    picture, metadata = read_with_metadata(tmp_path / "in.jpg")
    write_picture(tmp_path / "out.jpeg", picture, metadata)
    assert factors(tmp_path / "out.jpeg") == SAMPLINGS[name]
    again = read_picture(tmp_path / "out.jpeg").astype(int)
    assert np.abs(again - picture).max() <= 16  # for quality 95; violet is off by 120


@pytest.mark.parametrize(
    ("orientation", "before", "after"),
    [(3, "4:2:2", "4:2:2"), (6, "4:2:2", "4:4:0"), (8, "4:4:0", "4:2:2"), (5, "4:2:0", "4:2:0")],
)
def test_jpeg_chroma_sampling_follows_the_turn(
    orientation: int, before: str, after: str, stripes: np.ndarray, tmp_path: Path
) -> None:
    save(tmp_path / "flat.jpg", stripes, SAMPLINGS[before])
    exif = Image.Exif()
    exif[274] = orientation
    content = (tmp_path / "flat.jpg").read_bytes()
    segment = b"\xff\xe1" + (len(exif.tobytes()) + 2).to_bytes(2, "big") + exif.tobytes()
    (tmp_path / "in.jpg").write_bytes(content[:2] + segment + content[2:])
    write_picture(tmp_path / "out.jpg", *read_with_metadata(tmp_path / "in.jpg"))
    assert factors(tmp_path / "out.jpg") == SAMPLINGS[after]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".bmp"])
def test_other_sources_become_jpeg_with_a_colour_for_each_pixel(
    suffix: str, stripes: np.ndarray, tmp_path: Path
) -> None:
    write_picture(tmp_path / f"in{suffix}", stripes)
    write_picture(tmp_path / "out.jpg", *read_with_metadata(tmp_path / f"in{suffix}"))
    with Image.open(tmp_path / "out.jpg") as result:
        assert JpegImagePlugin.get_sampling(result) == 0  # Pillow's 4:4:4
        assert np.abs(np.asarray(result).astype(int) - stripes).max() <= 16


def test_jpeg_of_inks_becomes_jpeg_with_a_colour_for_each_pixel(
    stripes: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(stripes).convert("CMYK").save(tmp_path / "in.jpg")
    write_picture(tmp_path / "out.jpg", *read_with_metadata(tmp_path / "in.jpg"))
    assert factors(tmp_path / "out.jpg") == SAMPLINGS["4:4:4"]


def test_gray_jpeg_stays_gray(stripes: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(stripes).convert("L").save(tmp_path / "in.jpg")
    write_picture(tmp_path / "out.jpg", *read_with_metadata(tmp_path / "in.jpg"))
    with Image.open(tmp_path / "out.jpg") as result:
        assert result.mode == "L"


@pytest.mark.parametrize("quality", [None, 1, 30, 95, 100])
def test_quality_of_jpeg_is_that_of_libjpeg(
    quality: int | None, stripes: np.ndarray, tmp_path: Path
) -> None:
    write_picture(tmp_path / "out.jpg", stripes, quality=quality)
    Image.fromarray(stripes).save(tmp_path / "same.jpg", quality=quality or 95)
    with Image.open(tmp_path / "out.jpg") as out, Image.open(tmp_path / "same.jpg") as same:
        assert out.quantization == same.quantization


def test_webp_is_without_loss_unless_a_quality_is_given(
    stripes: np.ndarray, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 4), np.uint8)
    noise[:16, :, 3] = 0  # transparent pixels have colours too
    write_picture(tmp_path / "exact.webp", noise)
    exact = read_picture(tmp_path / "exact.webp")
    if hasattr(cv2, "IMWRITE_WEBP_LOSSLESS_PRESERVE_COLOR"):
        np.testing.assert_array_equal(exact, noise)
    np.testing.assert_array_equal(exact[16:], noise[16:])
    sizes = []
    for quality in (20, 90):
        write_picture(tmp_path / "lossy.webp", noise, quality=quality)
        content = (tmp_path / "lossy.webp").read_bytes()
        assert b"VP8L" not in content
        assert b"VP8 " in content
        sizes.append(len(content))
    assert sizes[0] < sizes[1] < (tmp_path / "exact.webp").stat().st_size


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".webp"])
def test_formats_without_loss_return_the_pixels_at_strength_0(
    suffix: str, stripes: np.ndarray, quick_cli: Cli, tmp_path: Path
) -> None:
    write_picture(tmp_path / f"in{suffix}", stripes)
    result = enhance(quick_cli, tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", "-s", 0)
    assert result.code == 0, result.err
    np.testing.assert_array_equal(read_picture(tmp_path / f"out{suffix}"), stripes)


def test_the_option_quality_holds_for_one_picture_and_folders(
    stripes: np.ndarray, quick_cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.webp", "c.png"):
        write_picture(tmp_path / "in" / name, stripes)
    more = ("-s", 0, "--quality", 30)
    assert enhance(quick_cli, tmp_path / "in", tmp_path / "out", *more).code == 0
    assert enhance(quick_cli, tmp_path / "in" / "a.jpg", tmp_path / "one.jpg", *more).code == 0
    Image.fromarray(stripes).save(tmp_path / "same.jpg", quality=30)
    with Image.open(tmp_path / "same.jpg") as same:
        for path in (tmp_path / "out" / "a.jpg", tmp_path / "one.jpg"):
            with Image.open(path) as result:
                assert result.quantization == same.quantization
    assert b"VP8 " in (tmp_path / "out" / "b.webp").read_bytes()
    np.testing.assert_array_equal(read_picture(tmp_path / "out" / "c.png"), stripes)


@pytest.mark.parametrize("quality", ["0", "101", "best"])
def test_the_option_quality_takes_1_to_100(
    quality: str, quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    result = enhance(quick_cli, photo, tmp_path / "out.jpg", "--quality", quality)
    assert result.code == 2
    assert "--quality" in result.err


def test_a_run_is_not_resumed_with_another_quality(
    stripes: np.ndarray, quick_cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    write_picture(tmp_path / "in" / "a.jpg", stripes)
    (tmp_path / "in" / "b.jpg").write_bytes(b"no picture")
    more = (tmp_path / "in", tmp_path / "out", "-s", 0, "--quality")
    with pytest.MonkeyPatch.context() as patch:  # a run that is interrupted
        patch.setattr("hyperguide.batch.resume.Journal.end", lambda journal: None)
        enhance(quick_cli, *more, 40)
    record = (tmp_path / "out" / NAME).read_bytes()
    fails(enhance(quick_cli, *more, 50, "--resume"), "had another quality")
    assert (tmp_path / "out" / NAME).read_bytes() == record
    (tmp_path / "in" / "b.jpg").unlink()
    assert enhance(quick_cli, *more, 40, "--resume").code == 0
