"""File locks that let one process work at a time."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Following a link in the place of a lock would create a file elsewhere.
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextmanager
def file_lock(path: Path, waits: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold a lock that other processes and threads respect; it is released if the process dies.

    path: an empty file, which is created and stays.
    waits: called once if another holds the lock.
    Raises OSError if the file cannot be created, or is a link.
    """
    handle = os.open(path, _OPEN, 0o666)
    try:
        if not try_lock(handle):
            waits()
            _lock(handle)
        yield
    finally:
        os.close(handle)  # releases the lock


@contextmanager
def passing_lock(path: Path) -> Iterator[Callable[[], bool]]:
    """Hold a lock as `file_lock` does, but without waiting; its file is removed with it.

    On file systems without locks, such as some network ones, the file is created but not locked.

    Yields a function that returns whether the file is still in its place.
    Raises BlockingIOError if another holds the lock, OSError if the file cannot be created, or is
    a link.
    """
    handle = os.open(path, _OPEN, 0o666)
    while not _holds(handle, path):  # its last holder removed the file meanwhile
        handle = os.open(path, _OPEN, 0o666)
    try:
        yield lambda: _is_at(handle, path)
    finally:
        if sys.platform != "win32" and _is_at(handle, path):  # before the next process takes it
            os.unlink(path)
        os.close(handle)


def _holds(handle: int, path: Path) -> bool:
    """Whether a handle got the lock and its file is still at `path`; if not, it is closed."""
    try:
        locked = try_lock(handle)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            os.close(handle)
            raise
        locked = True
    if locked and _is_at(handle, path):
        return True
    os.close(handle)
    if not locked:
        raise BlockingIOError(errno.EAGAIN, "another process holds the lock", str(path))
    return False


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt
    import time

    def try_lock(handle: int) -> bool:
        """Lock an open file. Returns False if another holds the lock."""
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _lock(handle: int) -> None:
        while not try_lock(handle):
            time.sleep(0.1)
else:
    import fcntl

    def try_lock(handle: int) -> bool:
        """Lock an open file; False if another holds the lock. Raises OSError without locks."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)
