"""`hyperguide enhance --kernel auto`: kernels of pictures, found, saved and used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_blur import blurred_bytes, boxes, shaken

import hyperguide
from conftest import Cli, fails
from hyperguide.kernel_estimation.kernel_shape import likeness
from hyperguide.picture_files import read_kernel, read_picture, write_picture
from hyperguide.psnr import psnr

SIDE = 15
KERNEL = shaken(11, 4)
SHARP = boxes(200, 240, 5)
BLURRED = blurred_bytes(SHARP, KERNEL)
AUTO = ("-t", "deblur", "--kernel", "auto", "--kernel-size", SIDE)


@pytest.fixture
def shaken_photo(tmp_path: Path) -> Path:
    """A blurred picture."""
    write_picture(tmp_path / "shaken.png", np.dstack([BLURRED] * 3))
    return tmp_path / "shaken.png"


@pytest.fixture
def sharp_photo(tmp_path: Path) -> Path:
    """The same, sharp."""
    sharp = np.round(255 * SHARP).astype(np.uint8)
    write_picture(tmp_path / "sharp.png", np.dstack([sharp] * 3))
    return tmp_path / "sharp.png"


def test_a_shaken_picture_becomes_sharper_and_its_kernel_is_saved(
    quick_cli: Cli, shaken_photo: Path, tmp_path: Path
) -> None:
    out, kernel = tmp_path / "out.png", tmp_path / "kernel.png"
    words = ("enhance", "-i", shaken_photo, "-o", out, *AUTO, "--save-kernel", kernel)
    assert quick_cli(*words).code == 0
    found = read_kernel(kernel)
    assert found.shape == (SIDE, SIDE)
    assert likeness(found, KERNEL) > 0.8
    restored = read_picture(out)[20:-20, 20:-20, 0] / 255
    before = psnr(BLURRED[20:-20, 20:-20] / 255, SHARP[20:-20, 20:-20], 1)
    moved = [np.roll(SHARP, (y, x), (0, 1)) for y in range(-2, 3) for x in range(-2, 3)]
    assert max(psnr(restored, one[20:-20, 20:-20], 1) for one in moved) > before + 3
    # The kernel as a file does what the estimated one did.
    again = tmp_path / "again.png"
    words = ("enhance", "-i", shaken_photo, "-o", again, "-t", "deblur", "--kernel", kernel)
    assert quick_cli(*words).code == 0
    assert np.abs(read_picture(again).astype(int) - read_picture(out)).max() <= 2
    result = quick_cli(
        *("enhance", "-i", shaken_photo, "-o", tmp_path / "b.png", *AUTO), "--save-kernel", kernel
    )
    fails(result, "exists")
    assert not (tmp_path / "b.png").exists()


def test_a_sharp_picture_comes_back_as_it_is(
    quick_cli: Cli, sharp_photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    result = quick_cli("enhance", "-i", sharp_photo, "-o", out, *AUTO)
    assert result.code == 0
    assert "looks sharp" in result.err
    assert np.array_equal(read_picture(out), read_picture(sharp_photo))


def test_each_picture_of_a_folder_has_its_own_kernel(
    quick_cli: Cli, shaken_photo: Path, sharp_photo: Path, tmp_path: Path
) -> None:
    out, kernels = tmp_path / "out", tmp_path / "kernels"
    words = ("enhance", "-i", shaken_photo, sharp_photo, "-o", out, *AUTO)
    result = quick_cli(*words, "--save-kernel", kernels)
    assert result.code == 0, result.err
    assert f"{sharp_photo} looks sharp" in result.err
    assert np.array_equal(read_picture(out / "sharp.png"), read_picture(sharp_photo))
    one, other = (read_kernel(kernels / f"{name}.png.kernel.png") for name in ("shaken", "sharp"))
    assert likeness(one, KERNEL) > 0.8
    assert likeness(other, KERNEL) < 0.6
    result = quick_cli(*words, "--save-kernel", kernels, "--resume")
    assert "2 skipped" in result.err
    (kernels / "shaken.png.kernel.png").unlink()
    result = quick_cli(*words, "--save-kernel", kernels, "--resume")
    assert "1 done, 1 skipped" in result.err
    assert (kernels / "shaken.png.kernel.png").exists()


def test_pictures_that_stay_as_they_are_have_maps(
    quick_cli: Cli, shaken_photo: Path, sharp_photo: Path, tmp_path: Path
) -> None:
    out, maps = tmp_path / "out", tmp_path / "maps"
    words = ("enhance", "-i", shaken_photo, sharp_photo, "-o", out, *AUTO, "--save-guidance", maps)
    result = quick_cli(*words)
    assert result.code == 0, result.err
    assert np.array_equal(read_picture(out / "sharp.png"), read_picture(sharp_photo))
    assert (maps / "sharp.png.guidance.png").exists()
    assert "2 skipped" in quick_cli(*words, "--resume").err


def test_the_kernel_of_an_array() -> None:
    estimate = hyperguide.estimate_kernel(BLURRED, SIDE)
    assert estimate.verdict == "blurred"
    assert likeness(estimate.kernel, KERNEL) > 0.85


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("-t", "derain", "--kernel", "auto"), 1, "takes no kernel"),
        (("-t", "deblur", "--kernel", "auto", "--kernel-size", "10"), 2, "even"),
        (("-t", "deblur", "--kernel", "auto", "--kernel-size", "99"), 1, "kernel size 99"),
        (("-t", "deblur", "--kernel-size", "9"), 2, "--kernel auto"),
        (("-t", "deblur", "--save-kernel", "k.png"), 2, "--kernel auto"),
        (("-t", "deblur", "--kernel", "auto", "--save-kernel", "k.jpg"), 1, ".png"),
        (("-t", "deblur", "--kernel", "auto", "--save-kernel", "out.png"), 1, "both write"),
        (("-t", "deblur", "--kernel", "auto", "--save-kernel", "no/k.png"), 1, "does not exist"),
        (("-t", "deblur", "--kernel", ""), 2, "empty"),
    ],
)
def test_wrong_words_about_kernels(
    quick_cli: Cli,
    shaken_photo: Path,
    words: tuple[str, ...],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(shaken_photo.parent)
    result = quick_cli("enhance", "-i", shaken_photo, "-o", "out.png", *words)
    assert result.code == code
    assert message in result.err
    assert not Path("out.png").exists()


def test_the_kernels_of_several_pictures_need_a_folder(
    quick_cli: Cli, shaken_photo: Path, sharp_photo: Path, tmp_path: Path
) -> None:
    words = ("enhance", "-i", shaken_photo, sharp_photo, "-o", tmp_path / "out", *AUTO)
    fails(quick_cli(*words, "--save-kernel", tmp_path / "k.png"), "folder")


def test_videos_take_no_estimated_kernel(quick_cli: Cli, tmp_path: Path) -> None:
    words = ("enhance", "-i", tmp_path / "film.mp4", "-o", tmp_path / "out.mp4", *AUTO)
    result = quick_cli(*words)
    assert result.code == 2
    assert "for pictures" in result.err
