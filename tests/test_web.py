"""Tests of the npm package: builds it, and runs its own tests in a headless Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hyperguide
from hyperguide.model_format.bundled import FOLDER
from hyperguide.picture_files import read_map, read_picture

WEB = Path(__file__).parents[1] / "bindings" / "web"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")

absent = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
if absent := [*absent, *([] if CHROMIUM else ["chromium"])]:
    pytest.skip(f"The npm package needs {', '.join(absent)}.", allow_module_level=True)


# A busy machine takes long; seconds.
PATIENCE = 1200


def run(*command: str, **environment: str) -> str:
    """Run a command in the package's folder; returns what it prints.

    If it hangs, it is ended with all that it started.
    """
    with subprocess.Popen(
        command,
        cwd=WEB,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            pytest.fail(f"{' '.join(command)} did not end:\n{printed[-6000:]}")
    assert process.returncode == 0, printed[-6000:]
    return printed


@pytest.fixture(scope="module")
def built() -> Path:
    """The folder of the page, with the package built beside it."""
    installed, wanted = WEB / "node_modules" / ".package-lock.json", WEB / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    run("npm", "run", "build")
    return WEB / "build" / "page"


@pytest.fixture
def demo(built: Path) -> Iterator[str]:
    """The address at which `hyperguide demo` serves the page."""
    command = [sys.executable, "-m", "hyperguide", "demo", "--port", "0", "--page", str(built)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            server.terminate()


def run_browser(test: str, *options: str, **environment: str) -> str:
    assert CHROMIUM
    return run(
        *("node", "--test", *options, f"tests/{test}.test.mjs"),
        HYPERGUIDE_MODELS=str(FOLDER),
        CHROMIUM=CHROMIUM,
        **environment,
    )


def test_it_is_typed_strictly_and_linted(built: Path) -> None:
    run("npm", "run", "lint")


def test_the_package_holds_the_library_and_its_types(built: Path) -> None:
    (listing,) = json.loads(run("npm", "pack", "--dry-run", "--json", "--ignore-scripts"))
    files = {file["path"] for file in listing["files"]}
    modules = {path.name.removesuffix(".ts") for path in (WEB / "src").glob("*.ts")}
    expected = {f"dist/{name}.{kind}" for name in modules for kind in ("js", "d.ts")}
    assert files == expected | {"package.json", "README.md", "LICENSE"}
    assert listing["unpackedSize"] < 200_000


def test_its_version_is_that_of_the_python_package() -> None:
    text = (WEB.parents[1] / "pyproject.toml").read_text()
    version = json.loads((WEB / "package.json").read_text())["version"]
    assert f'\nversion = "{version}"\n' in text


def test_the_library_in_a_browser_gives_what_python_does(built: Path, tmp_path: Path) -> None:
    run(sys.executable, "tests/cases.py", str(tmp_path))
    run_browser("library", HYPERGUIDE_CASES=str(tmp_path))


def test_the_page_works_and_saves_what_python_computes(demo: str, tmp_path: Path) -> None:
    run_browser("page", HYPERGUIDE_PAGE=demo, HYPERGUIDE_SAVED=str(tmp_path))
    example = WEB / "page" / "public" / "examples" / "denoise.jpg"
    with hyperguide.load("denoise", device="cpu", threads=1) as enhancer:
        result = enhancer(read_picture(example))
        saved = read_map(str(tmp_path / "example-denoise-map.png"), enhancer.info.guidance)
    picture = read_picture(tmp_path / "example-denoise-denoise.png")[..., :3]
    # Browsers decode JPEG a little differently.
    assert np.abs(picture.astype(int) - result.image).max() <= 4
    assert result.guidance is not None
    assert np.abs(saved - result.guidance).max() < 2e-3
    shown = np.fromfile(tmp_path / "after.rgba", np.uint8).reshape(*picture.shape[:2], 4)
    assert np.array_equal(shown[..., :3], picture)


@pytest.mark.long
def test_a_camera_of_a_minute_takes_no_more_memory(demo: str) -> None:
    only = "--test-name-pattern=takes no more memory"
    printed = run_browser("page", only, HYPERGUIDE_PAGE=demo, HYPERGUIDE_LONG="1")
    assert "frames/s" in printed  # it was not skipped


def test_an_app_is_built_with_the_packed_package(built: Path, tmp_path: Path) -> None:
    run("npm", "pack", "--ignore-scripts", "--pack-destination", str(tmp_path))
    (packed,) = tmp_path.glob("hyperguide-*.tgz")
    run_browser("app", HYPERGUIDE_PACKED=str(packed), HYPERGUIDE_APP=str(tmp_path / "app"))
