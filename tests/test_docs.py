"""The documentation: its examples run, its links resolve, its commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest

from hyperguide.cli.main import program

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _blocks(language: str) -> list[tuple[str, str]]:
    return [
        (page.name, code)
        for page in PAGES
        for found, code in FENCED.findall(page.read_text("utf-8"))
        if found == language
    ]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 9000


@pytest.mark.parametrize(("page", "code"), _blocks("python"), ids=lambda text: text[:20])
def test_python_examples_run(page: str, code: str, tmp_path: Path) -> None:
    if "film.mp4" in code:
        _make_film(tmp_path / "film.mp4")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{page}: {done.stderr}"


def _make_film(path: Path) -> None:
    """Eight frames of FFmpeg's test picture."""
    exe = imageio_ffmpeg.get_ffmpeg_exe()
    source = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=8:duration=1"]
    subprocess.run([exe, "-v", "error", *source, "-pix_fmt", "yuv420p", str(path)], check=True)


def test_links_within_the_repository_lead_to_files() -> None:
    missing = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            if not target.startswith(("http", "#")) and not (page.parent / target).exists():
                missing.append((page.name, target))
    assert not missing


def test_shell_examples_use_commands_and_options_that_exist() -> None:
    """For `hyperguide VERB --option`, the verb and each long option must exist."""
    lines = [
        line
        for _, code in _blocks("sh")
        for line in code.splitlines()
        if line.startswith("hyperguide ")
    ]
    assert len(lines) > 20
    for line in lines:
        _, verb, *words = shlex.split(line, comments=True)
        command = program.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert used <= known, line
