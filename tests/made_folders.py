"""Folders of small pictures, and what runs leave in others."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from hyperguide.batch.resume import NAME
from hyperguide.picture_files import write_picture

PATIENCE = 300  # seconds after which a missing event is an error


def make_pictures(folder: Path, photo: np.ndarray, count: int) -> None:
    """Write small parts of a photo, older than their results, every second in a subfolder."""
    for i in range(count):
        path = folder / ("sub" if i % 2 else "") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, photo[32 * i : 32 * i + 32, :48])
        os.utime(path, (1000, 1000))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, including hidden ones, except the record of the run."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def stamps(folder: Path, pattern: str = "*.png") -> dict[str, tuple[int, int]]:
    """Inodes and times, which change when a file is rewritten, even with the same bytes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob(pattern)
    }
