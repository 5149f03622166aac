"""What is distributed: wheel, editable install, imports, and their direction."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _python(*words: str, executable: str = sys.executable) -> str:
    result = subprocess.run([executable, *words], capture_output=True, text=True, check=True)
    return result.stdout + result.stderr


def test_the_package_imports_without_torch_onnx_or_an_engine() -> None:
    script = (
        "import sys; import hyperguide; "
        "print([m for m in ('torch', 'onnx', 'onnxruntime', 'openvino', 'hyperguide.training') "
        "if m in sys.modules])"
    )
    assert _python("-c", script).split() == ["[]"]


def test_a_command_of_the_runtime_starts_without_torch_or_onnx() -> None:
    script = (
        "import sys; from hyperguide.cli.main import program; "
        "program(['enhance', '--help'], standalone_mode=False); "
        "print([m for m in ('torch', 'onnx', 'hyperguide.training', 'hyperguide.export') "
        "if m in sys.modules])"
    )
    assert _python("-c", script).splitlines()[-1] == "[]"


def _imports(path: Path, package: str) -> set[str]:
    """Absolute names of everything that a file of `package` imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], base]).rstrip(".")
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def test_the_look_at_imports_sees_every_form(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import torch.nn\nfrom ..export.graph import x\nfrom hyperguide import training\n"
        "from . import sibling\n"
    )
    assert _imports(tmp_path / "a.py", "hyperguide.cli") >= {
        "torch.nn",
        "hyperguide.export.graph",
        "hyperguide.training",
        "hyperguide.cli.sibling",
    }


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("runtime", ("torch", "onnx", "hyperguide.training", "hyperguide.export")),
        ("training", ("onnx", "hyperguide.export")),
    ],
)
def test_imports_point_one_way(folder: str, forbidden: tuple[str, ...]) -> None:
    top = "hyperguide" if folder == "runtime" else f"hyperguide.{folder}"
    files = list((ROOT / folder).rglob("*.py"))
    assert len(files) > 5
    wrong = [
        (path.name, name)
        for path in files
        for name in _imports(path, ".".join([top, *path.relative_to(ROOT / folder).parent.parts]))
        if any(name == banned or name.startswith(banned + ".") for banned in forbidden)
    ]
    assert not wrong


# In place of the page that `make wheel` builds.
WEB_PAGE = ("index.html", "manifest.webmanifest", "assets/a-B1.js", "assets/deep/c-D2.wasm.xz")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__", "*.tmp", "web_page")
    for name in ("runtime", "training", "export", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in WEB_PAGE:
        path = source / "runtime" / "web_page" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    _python("-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(source))
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_part(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"hyperguide/{prefix}{path.relative_to(ROOT / folder)}"
        for folder, prefix in (("runtime", ""), ("training", "training/"), ("export", "export/"))
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yaml", ".onnx", ".typed"}
        if path.parent.name != "next"  # models that are not finished
    }
    assert len(expected) > 40
    assert expected <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
    assert not [name for name in names if name.endswith(".safetensors")]


def test_the_wheel_holds_the_page_of_the_demo_where_it_is_looked_for(
    wheel: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from hyperguide.web_demo.page import page_folder; print(page_folder())"
    )
    page = Path(_python("-c", script).strip())
    assert page.is_relative_to(tmp_path.resolve())
    names = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    assert names == set(WEB_PAGE)


def test_the_installed_wheel_enhances_without_torch(wheel: Path, tmp_path: Path) -> None:
    """The wheel alone, on the path of an interpreter that cannot import torch or onnx."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
for name in ("torch", "onnx"):
    sys.modules[name] = None  # importing it raises
import numpy as np
import hyperguide
assert hyperguide.__file__.startswith({str(tmp_path)!r}), hyperguide.__file__
for task in ("denoise", "derain", "dehaze"):
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    assert hyperguide.load(task)(image).image.shape == (40, 60, 3)
print("enhanced")
from hyperguide.cli.main import run
run(["train", "denoise", "--data", "x", "--out", "y"])
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "enhanced" in result.stdout, result.stderr
    assert result.returncode == 1
    assert "pip install 'hyperguide[train]'" in result.stderr


def test_the_editable_install_is_this_repository() -> None:
    script = "import hyperguide, hyperguide.training, hyperguide.export as e; print(e.__file__)"
    path = Path(_python("-c", script).strip()).resolve()
    assert path == (ROOT / "export" / "__init__.py").resolve()


def test_the_least_versions_that_are_tested_are_those_that_are_declared() -> None:
    """`make test-lowest` installs constraints-lowest.txt; torch's wheels are too large for it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    names = ("cpu", "openvino", "train", "export", "video")
    declared = [*project["dependencies"], *(line for name in names for line in extras[name])]
    tested = (ROOT / "constraints-lowest.txt").read_text("utf-8")
    for line in declared:
        name, _, least = line.partition(",")[0].partition(">=")
        if name != "torch" and least:
            assert re.search(rf"^{re.escape(name)}=={re.escape(least)}(\.|$)", tested, re.M), line
