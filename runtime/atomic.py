"""Files are complete or not there at all, and existing ones survive unless told otherwise."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import DiskFullError, HyperguideError
from .paths import exists, is_folder

# The only way to read the mask is to set it, which is not safe once threads run.
_UMASK = os.umask(0)
os.umask(_UMASK)


def refuse_existing(path: Path, force: bool) -> None:
    """Raise HyperguideError if `path` may not be written: it exists, or is a folder.

    Called before long work, so that nobody waits for a result that cannot be kept.
    """
    if is_folder(path):
        raise HyperguideError(f"The output {path} is a folder: give the name of a file.")
    if not force and exists(path):
        raise HyperguideError(f"The output {path} exists: choose another name or add --force.")


def refuse_missing_folder(path: Path) -> None:
    """Raise HyperguideError if the folder that `path` is to be written in does not exist."""
    if not is_folder(path.parent):
        raise HyperguideError(f"The folder {path.parent} for the output does not exist: create it.")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    If anything fails, the disk is full or the process is killed, whatever was at `path` before
    is still there, whole. The temporary name ends as `path` does, because libraries choose the
    format by the suffix. Raises HyperguideError when the file system refuses, DiskFullError when it
    is full.
    """
    write_together({path: write})


def write_together(files: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write several files that belong together as `write_atomically` writes one.

    They get their names, in the order given, when all of them are complete.
    """
    temporaries: dict[Path, Path] = {}
    at = next(iter(files))
    try:
        for at, write in ((_target(path), write) for path, write in files.items()):
            temporaries[at] = _temporary(at)
            write(temporaries[at])
            os.chmod(temporaries[at], 0o666 & ~_UMASK)  # mkstemp makes files private
            with temporaries[at].open("rb+") as file:
                os.fsync(file.fileno())
        for at, temporary in temporaries.items():
            os.replace(temporary, at)
    except OSError as error:
        raise _kind(error)(
            f"Writing {at} failed: {error.strerror or error}; the old file, if any, is untouched."
        ) from error
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def _target(path: Path) -> Path:
    """What a link leads to, which is what is written, as if it were opened."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _temporary(path: Path) -> Path:
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".hyperguide-", suffix=path.suffix)
    except OSError as error:
        raise _kind(error)(
            f"Cannot write in the folder {path.parent}: {error.strerror}; choose another output."
        ) from None
    os.close(handle)
    return Path(name)


def _kind(error: OSError) -> type[HyperguideError]:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return DiskFullError if full else HyperguideError
