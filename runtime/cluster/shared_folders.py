"""Output folders that the driver and all workers see, on one machine or by a network."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from hyperguide.batch.files import LocalFiles
from hyperguide.errors import FolderLostError
from hyperguide.storage import claim as claims


@dataclass(frozen=True)
class SharedFolders:
    """The folders that the driver has claimed.

    locks: each folder, and the inode of the lock in it, by which workers know it again.
    """

    locks: tuple[tuple[Path, int], ...]

    @staticmethod
    def of(claimed: tuple[claims.Claim, ...]) -> SharedFolders:
        """The folders of claims that this process holds."""
        return SharedFolders(
            tuple((one.folder, os.lstat(one.folder / claims.NAME).st_ino) for one in claimed)
        )

    def open(self) -> LocalFiles:
        """See `Place`. Raises FolderLostError if a folder is not that of the driver."""
        for folder, inode in self.locks:
            if not _has_lock(folder, inode):
                raise FolderLostError(
                    f"The machine {socket.gethostname()} does not see the output folder "
                    f"{folder.absolute()} of the run: share it among all machines, or give an "
                    "address such as s3://bucket/folder."
                )
        return LocalFiles(
            claims=tuple(
                claims.Claim(folder, lambda f=folder, i=inode: _has_lock(f, i))  # type: ignore[misc]
                for folder, inode in self.locks
            )
        )


def _has_lock(folder: Path, inode: int) -> bool:
    try:
        return os.lstat(folder / claims.NAME).st_ino == inode
    except OSError:
        return False
