"""Existing files survive: without --force, on a full disk, and when the process is killed."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from conftest import Cli, Outcome, enhance, fails, nothing_left
from hyperguide.picture_files import read_picture


def _on_full_disk(room: int) -> Cli:
    """Run the command line with files limited to `room` bytes, so that writes fail half-way."""

    def call(*arguments: object) -> Outcome:
        result = subprocess.run(
            [sys.executable, "-m", "hyperguide", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return Outcome(result.returncode, result.stdout, result.stderr)

    return call


def test_maps_never_replace_pictures(quick_cli: Cli, tmp_path: Path, photo: Path) -> None:
    map_name = photo.with_name("photo.png.guidance.png")
    map_name.write_bytes(photo.read_bytes())
    before = map_name.read_bytes()
    result = quick_cli(
        *("enhance", "-i", photo, map_name, "-o", tmp_path / "out", "-t", "denoise"),
        *("--save-guidance", tmp_path, "--force"),
    )
    fails(result, "would replace a picture")
    assert map_name.read_bytes() == before


def test_maps_need_a_folder_before_anything_is_computed(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "out.png"
    result = quick_cli(
        *("enhance", "-i", photo, "-o", out, "-t", "denoise", "--save-guidance", tmp_path / "file")
    )
    fails(result, "file is a file")
    assert not out.exists()


def test_a_link_is_written_through_and_counts_as_a_file(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    target, link = tmp_path / "target.png", tmp_path / "link.png"
    link.symlink_to(target)  # which does not exist yet
    words = ("enhance", "-i", photo, "-o", link, "-t", "denoise")
    fails(quick_cli(*words), "link.png exists")
    assert quick_cli(*words, "--force").code == 0
    assert link.is_symlink()
    assert read_picture(target).shape == read_picture(photo).shape


def test_existing_output_needs_force(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"precious")
    fails(enhance(quick_cli, photo, out), "exists", "--force")
    assert out.read_bytes() == b"precious"
    assert enhance(quick_cli, photo, out, "--force").code == 0
    assert read_picture(out).shape == (64, 96, 3)


def test_existing_model_needs_force(quick_cli: Cli, run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    out.write_bytes(b"precious")
    fails(quick_cli("export", run_folder, "-o", out), "exists", "--force")
    assert out.read_bytes() == b"precious"


def test_disk_full_keeps_the_old_file(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"precious")
    result = enhance(_on_full_disk(4096), photo, out, "--force")
    fails(result, "Writing", "untouched")
    assert out.read_bytes() == b"precious"
    nothing_left(tmp_path, "photo.png", "out.png")


def test_disk_full_while_training(photos: Path, run_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run_folder, tmp_path / "run"))
    before = (copy / "best.safetensors").read_bytes()
    words = ("train", "denoise", "--data", photos, "--out", copy, "--force")
    result = _on_full_disk(65536)(*words, "--steps", 1, "--warmup", 0)
    fails(result, "Writing", "untouched")
    assert (copy / "best.safetensors").read_bytes() == before


def test_kill_in_the_middle_of_a_write_keeps_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    out.write_bytes(b"precious")
    script = """
import os, signal, sys
from pathlib import Path
from hyperguide.storage.atomic import write_atomically

def write(temporary):
    with temporary.open("wb") as file:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

write_atomically(Path(sys.argv[1]), write)
"""
    result = subprocess.run([sys.executable, "-c", script, str(out)], check=False)
    assert result.returncode == -signal.SIGKILL
    assert out.read_bytes() == b"precious"
