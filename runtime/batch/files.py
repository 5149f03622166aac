"""Where the pictures of a run are read and its results are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hyperguide.picture_files import read_bytes, write_bytes
from hyperguide.storage.atomic import refuse_existing
from hyperguide.storage.claim import Claim, refuse_leading_away
from hyperguide.storage.paths import exists, make_folder, real

# Size of a file in bytes, and its modification time in nanoseconds.
Stamp = tuple[int, int]


class Files(Protocol):
    """The files of a run. Thread-safe; errors are HyperguideError."""

    def stamp(self, path: Path) -> Stamp | None:
        """The state of a file; None if it cannot be found, which reading it will report."""
        ...

    def same(self, one: Path, other: Path) -> bool:
        """Whether two names are those of one file."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether there is anything of this name."""
        ...

    def refresh(self) -> None:
        """Forget what was found earlier, if that is kept."""
        ...

    def read(self, path: Path) -> bytes:
        """The bytes of a picture file."""
        ...

    def refuse_existing(self, path: Path, replace: bool) -> None:
        """Raise HyperguideError if a file may not be written."""
        ...

    def prepare(self, path: Path) -> None:
        """Make the folder of a file to be written, if it may still be written there."""
        ...

    def write(self, path: Path, data: bytes) -> None:
        """Write a file completely or not at all."""
        ...


@dataclass(frozen=True)
class LocalFiles:
    """Files on this machine, or in folders that it shares with others.

    named: an output that the user named explicitly. If it is a link, its target is written; for
        other outputs the link itself is replaced and its target is left alone.
    claims: on the output folders, if the run holds any.
    """

    named: Path | None = None
    claims: tuple[Claim, ...] = ()

    def stamp(self, path: Path) -> Stamp | None:
        """See `Files`."""
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def same(self, one: Path, other: Path) -> bool:
        """See `Files`; links are followed."""
        return real(one) == real(other)

    def exists(self, path: Path) -> bool:
        """See `Files`."""
        return exists(path)

    def refresh(self) -> None:
        """See `Files`; nothing is kept."""

    def read(self, path: Path) -> bytes:
        """See `Files`."""
        return read_bytes(path)

    def refuse_existing(self, path: Path, replace: bool) -> None:
        """See `Files`."""
        refuse_existing(path, replace)

    def prepare(self, path: Path) -> None:
        """See `Files`; no link may lead out of a claimed folder, which must still be there."""
        for claim in self.claims:
            claim.check()
        around = [claim.folder for claim in self.claims if path.is_relative_to(claim.folder)]
        if around:
            refuse_leading_away(path, max(around, key=lambda folder: len(folder.parts)))
        make_folder(path.parent)

    def write(self, path: Path, data: bytes) -> None:
        """See `Files`."""
        write_bytes(path, data, through_links=path == self.named)


LOCAL = LocalFiles()
