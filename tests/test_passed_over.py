"""Pictures in a folder that are skipped are reported, once; other files are not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from conftest import Cli, enhance, fails
from hyperguide.picture_files import read_picture, write_picture


@pytest.fixture
def source(tmp_path: Path, photo: Path) -> Path:
    """A folder with one picture."""
    folder = tmp_path / "in"
    folder.mkdir()
    photo.rename(folder / "photo.png")
    return folder


def _told(err: str) -> list[str]:
    return [line for line in err.splitlines() if "passed over" in line or "not followed" in line]


def test_files_that_are_not_supported_are_counted_by_kind(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    (source / "sub").mkdir()
    for name in ("a.heic", "sub/b.HEIC", "c.gif", "notes.txt", "photo.xmp", "x.json", "Thumbs.db"):
        (source / name).write_bytes(b"x")
    (source / ".hidden.gif").touch()
    result = enhance(quick_cli, source, tmp_path / "out")
    assert result.code == 0
    assert _told(result.err) == [
        "3 files were passed over: 2 .heic, 1 .gif, which are not supported."
    ]
    assert result.err.index("passed over") < result.err.index("1 done")


def test_one_file_that_is_passed_over_is_told_in_the_singular(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    (source / "a.CR2").touch()
    result = enhance(quick_cli, source, tmp_path / "out")
    assert _told(result.err) == ["1 file was passed over: 1 .cr2, which is not supported."]


def test_sidecar_files_are_passed_over_in_silence(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    for name in ("a.txt", "photo.png.xmp", "list", "a.pdf", "a.mp4", "photo.png~", "b.png.bak"):
        (source / name).write_bytes(b"\x89PNG" if "." in name else b"x")
    assert _told(enhance(quick_cli, source, tmp_path / "out").err) == []


def test_results_within_the_source_folder_are_passed_over_in_silence(
    quick_cli: Cli, source: Path
) -> None:
    (source / "clean").mkdir()
    (source / "clean" / "a.gif").touch()
    assert _told(enhance(quick_cli, source, source / "clean").err) == []


def test_pictures_without_a_suffix_are_reported_as_passed_over(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    picture = read_picture(source / "photo.png")
    suffixes = (".png", ".jpg", ".webp", ".tif", ".bmp")
    for number, suffix in enumerate(suffixes, 1):
        write_picture(tmp_path / f"a{suffix}", picture)
        (tmp_path / f"a{suffix}").rename(source / f"IMG_{number}")
    (source / "LICENSE").write_bytes(b"BM is how this text starts.")
    os.mkfifo(source / "pipe")
    result = enhance(quick_cli, source, tmp_path / "out")
    (line,) = _told(result.err)
    assert line.startswith("5 files were passed over: pictures without a suffix")
    assert str(source / "IMG_1") in line


def test_links_to_folders_are_reported_as_passed_over(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    (source / "loop").symlink_to(source)
    (source / "away.png").symlink_to(tmp_path)
    result = enhance(quick_cli, source, tmp_path / "out")
    assert result.code == 0
    (line,) = _told(result.err)
    assert line.startswith("2 links to folders were not followed")
    assert "1 done, 0 skipped, 0 failed" in result.err


def test_a_folder_without_supported_pictures_says_what_it_holds(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    (source / "photo.png").rename(source / "photo.heic")
    (source / "a.nef").touch()
    fails(enhance(quick_cli, source, tmp_path / "out"), "holds no pictures", "1 .heic, 1 .nef")


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JIF"])
def test_other_names_of_jpeg_are_read_and_written(
    suffix: str, quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    write_picture(tmp_path / "a.jpg", astronaut[:16, :16])
    (tmp_path / "a.jpg").rename(source / f"a{suffix}")
    result = enhance(quick_cli, source, tmp_path / "out", "-s", 0)
    assert result.code == 0, result.err
    written = tmp_path / "out" / f"a{suffix}"
    assert written.read_bytes().startswith(b"\xff\xd8\xff")
    difference = read_picture(written).astype(int) - read_picture(source / f"a{suffix}")
    assert np.abs(difference).mean() < 4
