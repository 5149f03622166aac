"""Tests of the npm package: builds it, and runs its own tests in a headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hyperguide.model_format.bundled import FOLDER

WEB = Path(__file__).parents[1] / "bindings" / "web"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")

absent = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
if absent := [*absent, *([] if CHROMIUM else ["chromium"])]:
    pytest.skip(f"The npm package needs {', '.join(absent)}.", allow_module_level=True)


def run(*command: str, **environment: str) -> str:
    """Run a command in the package's folder; returns what it prints."""
    done = subprocess.run(
        command,
        cwd=WEB,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def built() -> Path:
    installed, wanted = WEB / "node_modules" / ".package-lock.json", WEB / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    run("npm", "run", "build")
    return WEB / "dist"


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
    assert CHROMIUM
    run(
        *("node", "--test", "tests/"),
        HYPERGUIDE_CASES=str(tmp_path),
        HYPERGUIDE_MODELS=str(FOLDER),
        CHROMIUM=CHROMIUM,
    )
