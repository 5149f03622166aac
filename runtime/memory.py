"""How much memory there is, and how much of it this process uses.

When an engine runs out of memory, `inference/tiled.py` halves the tiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from .errors import OutOfMemoryError

_CGROUP = Path("/sys/fs/cgroup")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_bytes(text: str) -> int:
    """Parse an amount like 512M or 2G into bytes. Raises ValueError if it is not one."""
    match = re.fullmatch(r"(\d+)([KMG]?)B?", text.upper())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not an amount like 512M or 2G")
    return int(match[1]) * _UNITS[match[2]]


def free_bytes() -> int | None:
    """Memory available without swapping; None if the system does not say.

    In a container, at most what its limit leaves.
    """
    free = [_field(Path("/proc/meminfo"), "MemAvailable:"), _free_in_container(_CGROUP)]
    return min((amount for amount in free if amount is not None), default=None)


def used_bytes() -> int | None:
    """Memory that this process holds; None if the system does not say."""
    return _field(Path("/proc/self/status"), "VmRSS:")


def usable_bytes(max_memory: int | None) -> int | None:
    """Memory that a step may take on top of what this process holds; None if unknown.

    max_memory: bytes that the process may use; None for half of the free memory.
    """
    if max_memory is not None:
        return max_memory - (used_bytes() or 0)
    free = free_bytes()
    return None if free is None else free // 2


def _free_in_container(folder: Path) -> int | None:
    """What a container's limit leaves (Linux control groups, version 2); None without a limit."""
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return max(int(limit) - used, 0) if limit.isdecimal() else None


def _field(path: Path, name: str) -> int | None:
    """Read a kilobyte field of a `/proc` table, in bytes; None if it is missing."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), None)


def lacks_memory(error: Exception) -> bool:
    """Whether numpy or OpenCV raised an error because they ran out of memory."""
    return isinstance(error, MemoryError) or getattr(error, "code", None) == cv2.Error.StsNoMem


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Raise OutOfMemoryError, naming `what`, if numpy or OpenCV run out of memory."""
    try:
        yield
    except (MemoryError, cv2.error) as error:
        if not lacks_memory(error):
            raise
        raise OutOfMemoryError(
            f"There is not enough memory for {what}: close other programs or crop the picture."
        ) from error


class PeakMemory:
    """Peak memory of this process from now on, beyond what it holds now (Linux)."""

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5")  # reset the peak
            self._before = used_bytes()
        except OSError:
            self._before = None

    def taken(self) -> int | None:
        """Peak bytes so far; None if the system does not say."""
        peak = _field(Path("/proc/self/status"), "VmHWM:")
        return None if self._before is None or peak is None else max(peak - self._before, 0)
