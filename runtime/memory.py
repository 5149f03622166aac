"""How much memory there is, and how much of it this process uses."""

from __future__ import annotations

import re
from pathlib import Path

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_bytes(text: str) -> int:
    """Bytes of an amount like 512M or 2G. Raises ValueError if it is none."""
    match = re.fullmatch(r"(\d+)([KMG]?)B?", text.upper())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not an amount like 512M or 2G")
    return int(match[1]) * _UNITS[match[2]]


def free_bytes() -> int | None:
    """What the system could still give without swapping; None where it does not say."""
    return _field(Path("/proc/meminfo"), "MemAvailable:")


def used_bytes() -> int | None:
    """What this process holds; None where the system does not say."""
    return _field(Path("/proc/self/status"), "VmRSS:")


def _field(path: Path, name: str) -> int | None:
    """A number of kilobytes in a table of the system, in bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), None)
