"""Fits the dials of a video to its frames, and hashes what results depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.inference.dials import resized

from .video_info import VideoInfo


def fitted_dials(dials: Mapping[str, Any], info: VideoInfo) -> tuple[dict[str, Any], list[str]]:
    """Dials whose maps have the size of the frames, and notes on those that had another."""
    size = info.height, info.width
    fitted, notes = dict(dials), []
    for name in ("strength", "guidance"):
        value = fitted.get(name)
        if isinstance(value, np.ndarray) and value.ndim == 2 and value.shape != size:
            fitted[name], note = resized(f"{name} map", value, size)
            notes.append(note)
    return fitted, notes


def hash_of(value: Any) -> str:
    """A short hash of a file's content, an array or anything that prints."""
    found = hashlib.sha256()
    if isinstance(value, Path):
        found.update(value.read_bytes())
    elif isinstance(value, np.ndarray):
        found.update(f"{value.dtype}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    else:
        found.update(repr(value).encode())
    return found.hexdigest()[:32]
