"""Files are complete or not there at all, and existing ones survive unless told otherwise."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from .errors import HyperguideError


def refuse_existing(path: Path, force: bool) -> None:
    """Raise HyperguideError if `path` may not be written: it exists, or its folder does not.

    Called before long work, so that nobody waits for a result that cannot be kept.
    """
    if path.is_dir():
        raise HyperguideError(f"The output {path} is a folder: give the name of a file.")
    if path.exists() and not force:
        raise HyperguideError(f"The output {path} exists: choose another name or add --force.")
    if not path.parent.is_dir():
        raise HyperguideError(f"The folder {path.parent} for the output does not exist: create it.")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    If anything fails, the disk is full or the process is killed, whatever was at `path` before
    is still there, whole. The temporary name ends as `path` does, because libraries choose the
    format by the suffix. Raises HyperguideError when the file system refuses.
    """
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
        os.close(handle)
    except OSError as error:
        raise HyperguideError(
            f"Cannot write in the folder {path.parent}: {error.strerror}; choose another output."
        ) from None
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes files private; give this one the rights of any new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise HyperguideError(
            f"Writing {path} failed: {error.strerror or error}; the old file, if any, is untouched."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
