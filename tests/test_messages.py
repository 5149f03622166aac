"""File names cannot control the terminal, and a full or closed log does not stop a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PICTURES, Cli, enhance, fails
from hyperguide.cli.messages import printable
from hyperguide.picture_files import read_picture

ODD = os.fsdecode(b"\x1b[31m\nforged\r\x07\xff\xe2\x80\xae.png")
SHOWN = r"\x1b[31m\nforged\r\x07\xff\u202e.png"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.png", "a.png"),
        ("übermäßig 写真\u3000\u00a0नम\u200dस्ते \U0001f600", None),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("a\nb\r\tc\x00\x7f\x85", r"a\nb\r\tc\x00\x7f\x85"),
        ("\u202egnp.exe\u2066\u200f\u061c", r"\u202egnp.exe\u2066\u200f\u061c"),
        ("\u2028\u2029\ufeff", r"\u2028\u2029\ufeff"),
        ("\udcff\udc80\ud800", r"\xff\x80\ud800"),
    ],
)
def test_whatever_a_terminal_obeys_is_shown_as_an_escape(text: str, shown: str | None) -> None:
    assert printable(text) == (text if shown is None else shown)


def test_line_breaks_stay_where_they_are_wanted() -> None:
    assert printable("a\n\tb\x1b\r", kept="\n\t") == "a\n\tb\\x1b\\r"


def test_names_are_printed_as_escapes_wherever_they_occur(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    bad = source / ODD
    bad.write_text("no picture")
    fails(enhance(quick_cli, tmp_path / ODD, tmp_path / "a.png"), f"no picture {tmp_path}/{SHOWN}")
    folder = enhance(quick_cli, source, tmp_path / f"out{ODD[:-4]}")
    fails(folder, "1 of 4 pictures failed", SHOWN[:-4])
    assert f"{source}/{SHOWN} is not a picture" in folder.err
    usage = quick_cli("enhance", "-i", "a.png", "-o", "b.png", "-t", "denoise", f"--{ODD}")
    assert usage.code == 2
    for result in (folder, usage):
        assert result.err.replace("\n", "").isprintable()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
@pytest.mark.parametrize("encoding", ["", "ascii", "latin-1:strict"])
def test_names_can_be_printed_whatever_the_locale(
    locale: str, encoding: str, tmp_path: Path
) -> None:
    names = [tmp_path / name for name in (ODD, "写真.onnx")]
    environment = {**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": encoding}
    for name in names:
        words = [sys.executable, "-m", "hyperguide", "info", str(name)]
        result = subprocess.run(words, capture_output=True, check=False, env=environment)
        assert result.returncode == 1
        assert b"There is no model file" in result.stderr
        assert b"\x1b" not in result.stderr
        assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_standard_output_shows_escapes_too(unbuffered: str, encoding: str) -> None:
    script = (
        "from hyperguide.cli.streams import prepare\n"
        "prepare()\n"
        "import click\n"
        r"print('a\x1b[31m\tb'); click.echo('c\x07\u202e\udcff\u5199')"
    )
    settings = {"PYTHONIOENCODING": encoding, "PYTHONUNBUFFERED": unbuffered}
    words = [sys.executable, "-c", script]
    result = subprocess.run(words, capture_output=True, check=True, env=os.environ | settings)
    expected = r"a\x1b[31m" + "\tb\n" + r"c\x07\u202e\xff" + "\u5199\n"
    assert result.stdout.decode() == expected


def _run(words: tuple[object, ...], unbuffered: str = "", **options: object) -> int:
    options["env"] = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "hyperguide", *map(str, words)]
    return subprocess.run(command, check=False, **options).returncode  # type: ignore[call-overload]


def _words(source: Path, out: Path) -> tuple[object, ...]:
    return ("enhance", "-i", source, "-o", out, "-t", "denoise")


@pytest.mark.parametrize(("bad", "unbuffered"), [(False, ""), (True, ""), (False, "1")])
def test_a_log_on_a_full_disk_does_not_end_a_run(
    bad: bool, unbuffered: str, source: Path, tmp_path: Path
) -> None:
    if bad:
        (source / "0.png").write_text("no picture")
    with open("/dev/full", "w") as full:
        code = _run(_words(source, tmp_path / "out"), unbuffered, stderr=full)
    assert code == (1 if bad else 0)
    assert len(list((tmp_path / "out").glob("*.png"))) == PICTURES - bad


def test_a_log_that_nobody_reads_any_more_does_not_end_a_run(source: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code = _run(_words(source, tmp_path / "out"), stderr=writer, stdout=writer)
    finally:
        os.close(writer)
    assert code == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == PICTURES


def test_streams_that_are_closed_are_not_mixed_up_with_pictures(
    source: Path, tmp_path: Path
) -> None:
    words = " ".join(f"'{word}'" for word in _words(source, tmp_path / "out"))
    shell = f"exec '{sys.executable}' -m hyperguide {words} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", shell], check=False).returncode == 0
    for path in (tmp_path / "out").glob("*.png"):
        assert read_picture(path).shape == (16, 16, 3)
    assert len(list((tmp_path / "out").glob("*.png"))) == PICTURES
