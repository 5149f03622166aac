"""Writes files completely or not at all, and keeps existing ones unless told otherwise."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hyperguide.errors import DiskFullError, HyperguideError

from .file_lock import try_lock
from .paths import exists, is_folder, real, special_kind

# The only way to read the umask is to set it, which is not safe once threads run.
_UMASK = os.umask(0)
os.umask(_UMASK)

_PREFIX = ".hyperguide-"
# `tempfile` appends 8 of these characters to the prefix.
_TEMPORARY = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}(\.\w*)?")
# No library uses longer suffixes, and they would make names too long.
_LONGEST_SUFFIX = 16


def refuse_existing(path: Path, force: bool) -> None:
    """Raise HyperguideError if `path` may not be written: it exists, or is not a file.

    Called before long work, so that nobody waits for a result that cannot be kept.
    """
    if is_folder(path):
        raise HyperguideError(f"The output {path} is a folder: give the name of a file.")
    if not force and exists(path):
        raise HyperguideError(f"The output {path} exists: choose another name or add --force.")
    _refuse_special(path)


def refuse_missing_folder(path: Path) -> None:
    """Raise HyperguideError if the folder of `path` does not exist."""
    if not is_folder(path.parent):
        raise HyperguideError(f"The folder {path.parent} for the output does not exist: create it.")


def write_atomically(
    path: Path, write: Callable[[Path], object], through_links: bool = True
) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    If anything fails, the disk is full or the process is killed, whatever was at `path` before
    stays intact. The temporary name has the suffix of `path`, because libraries choose the format
    by it.

    through_links: if `path` is a link, write its target, as opening it would; otherwise replace
        the link itself, and touch nothing outside of the folder.
    Raises HyperguideError if the file system refuses or `path` is not a file, DiskFullError if the
    disk is full.
    """
    write_together({path: write}, through_links)


def write_together(
    files: Mapping[Path, Callable[[Path], object]], through_links: bool = True
) -> None:
    """Write several files that belong together as `write_atomically` writes one.

    They are renamed, in the order given, when all of them are complete.
    """
    temporaries: dict[Path, Path] = {}
    at = next(iter(files))
    with ExitStack() as stack:
        try:
            for path, write in files.items():
                at = real(path) if through_links and path.is_symlink() else path
                if through_links or not path.is_symlink():
                    _refuse_special(at)
                temporary = temporaries[at] = stack.enter_context(_temporary(at))
                write(temporary)
                os.chmod(temporary, 0o666 & ~_UMASK)  # mkstemp makes files private
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
            for at, temporary in temporaries.items():
                os.replace(temporary, at)
        except OSError as error:
            raise kind_of(error)(
                f"Writing {at} failed: {error.strerror or error}; the old file, if any, is "
                "untouched."
            ) from error


def remove_leftovers(folder: Path) -> bool:
    """Remove temporary files that killed processes left in a folder. Returns whether some stay.

    Those of live processes are locked. Where locks cannot be checked, files stay.
    """
    stay = False
    if sys.platform == "win32":  # where locks would keep libraries from writing
        return stay
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    stay |= not _remove_unless_locked(entry.path)
    return stay


def _remove_unless_locked(name: str) -> bool:
    """Remove a file. Returns False if a process holds it."""
    handle = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        locked = try_lock(handle)
        if locked:
            os.unlink(name)
        return locked
    finally:
        os.close(handle)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, locked while in use and removed unless renamed."""
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX, suffix=suffix)
        while not _lives(handle):  # another process removed it as a leftover
            os.close(handle)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX, suffix=suffix)
    except OSError as error:
        raise kind_of(error)(
            f"Cannot write in the folder {path.parent}: {error.strerror}; choose another output."
        ) from None
    try:
        if sys.platform == "win32":  # which cannot rename an open file
            os.close(handle)
        yield Path(name)
    finally:
        with suppress(OSError):  # renamed, or its folder is gone
            os.unlink(name)
        if sys.platform != "win32":
            os.close(handle)


def _lives(handle: int) -> bool:
    """Lock a temporary file. Returns False if another process locked or removed it."""
    if sys.platform == "win32":
        return True
    try:
        return try_lock(handle) and os.fstat(handle).st_nlink > 0
    except OSError:  # without locks nobody removes it
        return True


def _refuse_special(path: Path) -> None:
    """Raise HyperguideError if `path` is a pipe, socket or device, which would be replaced."""
    try:
        kind = special_kind(os.stat(path).st_mode)
    except OSError:  # nothing there, or an error that writing will report
        return
    if kind is not None:
        raise HyperguideError(f"The output {path} is {kind}, not a file: choose another name.")


def kind_of(error: OSError) -> type[HyperguideError]:
    """The error to raise for a failed write: DiskFullError if there is no room."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return DiskFullError if full else HyperguideError
