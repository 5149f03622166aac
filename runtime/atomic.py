"""Files are complete or not there at all, and existing ones survive unless told otherwise."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from .errors import HyperguideError
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
    format by the suffix. Raises HyperguideError when the file system refuses.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".hyperguide-", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise HyperguideError(
            f"Cannot write in the folder {path.parent}: {error.strerror}; choose another output."
        ) from None
    temporary = Path(name)
    try:
        write(temporary)
        os.chmod(temporary, 0o666 & ~_UMASK)  # mkstemp makes files private
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise HyperguideError(
            f"Writing {path} failed: {error.strerror or error}; the old file, if any, is untouched."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
