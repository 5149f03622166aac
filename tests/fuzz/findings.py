"""The findings of a target, counted by cause, with the smallest bytes of each in a folder."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from .rule import Finding, check

_LINE = "findings.json"
# The most executions and seconds spent on making the bytes of a finding smaller.
_TRIES, _SECONDS = 400, 10


@dataclass
class Cause:
    """A cause that several findings share.

    file: the smallest bytes that show it.
    """

    kind: str
    place: str
    detail: str
    file: str
    count: int = 1


class Findings:
    """The findings of a target in a folder, including those of earlier sessions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.causes: dict[str, Cause] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / _LINE).exists():
            told = json.loads((folder / _LINE).read_text("utf-8"))
            self.causes = {key: Cause(**cause) for key, cause in told.items()}

    def note(self, finding: Finding, data: bytes) -> None:
        """Count a finding, and keep its bytes if they are the smallest so far."""
        cause = self.causes.get(finding.key)
        if cause is None:
            name = re.sub(r"[^\w.]+", "-", finding.key) + ".bin"
            cause = Cause(finding.kind, finding.place, finding.detail, name, 0)
            self.causes[finding.key] = cause
        cause.count += 1
        path = self.folder / cause.file
        if not path.exists() or len(data) < path.stat().st_size:
            path.write_bytes(data)
            cause.detail = finding.detail
        if cause.count in (1, 10, 100) or cause.count % 1000 == 0:
            self.write()

    def write(self) -> None:
        """Write the table of causes."""
        told = {key: asdict(cause) for key, cause in self.causes.items()}
        (self.folder / _LINE).write_text(json.dumps(told, indent=1), "utf-8")

    def shrink(self, read: Callable[[bytes], object]) -> None:
        """Make the bytes of each finding smaller, unless it took too long or too much memory."""
        for key, cause in self.causes.items():
            path = self.folder / cause.file
            if cause.kind not in ("time", "memory", "ended") and path.exists():
                path.write_bytes(smallest(read, path.read_bytes(), key))
        self.write()


def smallest(read: Callable[[bytes], object], data: bytes, key: str, tries: int = _TRIES) -> bytes:
    """The same finding with pieces of its bytes removed, larger pieces first."""
    size, end = len(data) // 2, time.monotonic() + _SECONDS
    while size:
        at = 0
        while at < len(data):
            if tries == 0 or time.monotonic() > end:
                return data
            tries -= 1
            shorter = data[:at] + data[at + size :]
            if _shows(read, shorter, key):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _shows(read: Callable[[bytes], object], data: bytes, key: str) -> bool:
    try:
        check(read, data)
    except Finding as finding:
        return finding.key == key
    return False
