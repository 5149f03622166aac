"""`--resume` relies on the record of each source, not on clocks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from conftest import Cli, enhance, fails
from hyperguide.batch.resume import NAME
from hyperguide.picture_files import write_picture


@pytest.fixture
def out(quick_cli: Cli, source: Path, tmp_path: Path) -> Path:
    """The folder with the results of `source`."""
    assert enhance(quick_cli, source, tmp_path / "out").code == 0
    return tmp_path / "out"


def _inodes(folder: Path) -> dict[str, int]:
    """The inodes, which change when a file is rewritten."""
    return {path.name: path.stat().st_ino for path in folder.glob("*.png")}


def _age(folder: Path, seconds: int) -> None:
    for path in folder.glob("*.png"):
        os.utime(path, (seconds, seconds))


@pytest.mark.parametrize("seconds", [1000, 1 << 32])
def test_results_whose_times_are_off_are_skipped(
    seconds: int, quick_cli: Cli, source: Path, out: Path
) -> None:
    before = _inodes(out)
    _age(out, seconds)  # as if the clock had been changed during the run
    result = enhance(quick_cli, source, out, "--resume")
    assert "0 done, 3 skipped, 0 failed" in result.err
    assert _inodes(out) == before


def test_a_source_that_was_replaced_by_an_older_one_is_done_again(
    quick_cli: Cli, source: Path, out: Path, astronaut: np.ndarray
) -> None:
    before, content = _inodes(out), (out / "1.png").read_bytes()
    write_picture(source / "1.png", astronaut[100:116, :16])
    os.utime(source / "1.png", (1000, 1000))  # as `cp -p` leaves it
    result = enhance(quick_cli, source, out, "--resume")
    assert "1 done, 2 skipped, 0 failed" in result.err
    assert {name for name, inode in _inodes(out).items() if inode != before[name]} == {"1.png"}
    assert (out / "1.png").read_bytes() != content
    assert "0 done, 3 skipped" in enhance(quick_cli, source, out, "--resume").err


def test_sources_of_another_folder_are_done_again(
    quick_cli: Cli, source: Path, out: Path, tmp_path: Path, astronaut: np.ndarray
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_picture(other / "1.png", astronaut[100:116, :16])
    os.utime(other / "1.png", (1000, 1000))
    assert "1 done, 0 skipped" in enhance(quick_cli, other, out, "--resume").err


def test_without_a_record_the_newer_files_are_complete(
    quick_cli: Cli, source: Path, out: Path
) -> None:
    (out / NAME).unlink()
    _age(source, 1000)
    assert "0 done, 3 skipped" in enhance(quick_cli, source, out, "--resume").err
    (out / NAME).unlink()
    _age(source, 1 << 32)
    assert "3 done, 0 skipped" in enhance(quick_cli, source, out, "--resume").err


def test_a_run_that_fails_on_existing_files_forgets_nothing(
    quick_cli: Cli, source: Path, out: Path
) -> None:
    fails(enhance(quick_cli, source, out), "3 of 3 pictures failed")
    _age(out, 1000)
    assert "0 done, 3 skipped" in enhance(quick_cli, source, out, "--resume").err


def test_a_folder_that_replaced_itself_is_not_enhanced_again(quick_cli: Cli, source: Path) -> None:
    assert enhance(quick_cli, source, source, "--force").code == 0
    before = _inodes(source)
    result = enhance(quick_cli, source, source, "--resume")
    assert (result.code, _inodes(source)) == (0, before)
    assert "0 done, 3 skipped" in result.err


def test_other_settings_than_those_of_what_is_there_are_said(
    quick_cli: Cli, source: Path, out: Path
) -> None:
    before = _inodes(out)
    result = enhance(quick_cli, source, out, "--resume", "-s", 0.5)
    assert result.code == 0
    assert "were made with another strength; they stay." in result.err
    assert _inodes(out) == before
    assert "were made with" not in enhance(quick_cli, source, out, "--resume", "-s", 0.5).err


def test_a_line_that_a_killed_run_left_half_does_not_count(
    quick_cli: Cli, source: Path, out: Path
) -> None:
    lines = (out / NAME).read_bytes().splitlines(keepends=True)
    assert [sorted(json.loads(line)) for line in lines] == [
        ["replaces", "settings"],
        ["began"],
        *[["done", "source"]] * 3,
        ["over"],
    ]
    for end in (b"".join(lines[:4]) + lines[4][:9], b"".join(lines[:4]) + bytes(20)):
        (out / NAME).write_bytes(end)
        assert "0 done, 3 skipped" in enhance(quick_cli, source, out, "--resume").err


_FIRST = b'{"settings": {}, "replaces": false}\n'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"settings": 0, "replaces": 1}\n',
        b'{"settings": {"a": 1}, "replaces": true}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"a":' * 100_000 + b"\n",
        b"0\n",
        b"[]\n",
        b"9" * 5000 + b"\n",
        b'{"began": 1}\n',
        _FIRST + b"null\n",
        _FIRST + b"{}\n",
        _FIRST + b'{"began": "x"}\n',
        _FIRST + b'{"done": "0.png"}\n',
        _FIRST + b'{"done": "0.png", "source": 5}\n',
        _FIRST + b'{"done": "0.png", "source": [1, 2, 3]}\n',
        _FIRST + b'{"done": "0.png", "source": [1.5, NaN]}\n',
        _FIRST + b'{"done": [], "source": [true, 1e999]}\n',
        _FIRST + b"\n",
    ],
    ids=range(19),
)
def test_damaged_records_are_refused_with_a_sentence(
    content: bytes, quick_cli: Cli, source: Path, out: Path
) -> None:
    before = _inodes(out)
    (out / NAME).write_bytes(content)
    result = enhance(quick_cli, source, out, "--resume")
    fails(result, "The record of the last run", NAME, "delete it")
    assert _inodes(out) == before
    (out / NAME).unlink()
    assert enhance(quick_cli, source, out, "--resume").code == 0


def test_a_record_that_is_no_file_is_refused(quick_cli: Cli, source: Path, out: Path) -> None:
    (out / NAME).unlink()
    os.mkfifo(out / NAME)
    fails(enhance(quick_cli, source, out, "--resume"), "a named pipe")
    fails(enhance(quick_cli, source, out, "--force"), "a named pipe")


def test_names_that_are_no_utf_8_are_kept_in_the_record(
    quick_cli: Cli, tmp_path: Path, source: Path
) -> None:
    odd = os.fsdecode(b"\xff\n\x1b[31m.png")
    (source / "0.png").rename(source / odd)
    assert enhance(quick_cli, source, tmp_path / "out").code == 0
    result = enhance(quick_cli, source, tmp_path / "out", "--resume")
    assert "0 done, 3 skipped" in result.err
