"""What a target is: a reader of bytes, and valid bytes to begin with."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

SCRATCH = "FUZZ_SCRATCH"

# Changes bytes so that they keep their structure; the last one changes a piece freely.
# Raises ValueError where the bytes have not that structure.
Mutator = Callable[[bytes, Random, Callable[[bytes], bytes]], bytes]


@dataclass(frozen=True)
class Target:
    """A reader of bytes from outside.

    about: in words.
    seeds: small valid inputs by name, made here.
    read: reads bytes, and raises AssertionError where the result is wrong; see `rule.check`.
    mutate: changes inputs so that they keep what plain bytes would lose, checksums say.
    longest: bytes of an input.
    """

    about: str
    seeds: Callable[[], dict[str, bytes]]
    read: Callable[[bytes], object]
    mutate: Mutator | None = None
    longest: int = 8192


def in_memory() -> Path | None:
    """Where files are kept in memory; None where the system has no such place."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else None


@cache
def scratch() -> Path:
    """A folder of this process, within that of the variable FUZZ_SCRATCH if it is set."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=os.environ.get(SCRATCH) or in_memory()))
    atexit.register(clear)
    return folder


def clear() -> None:
    """Remove that folder."""
    shutil.rmtree(scratch(), ignore_errors=True)


def as_file(data: bytes, name: str) -> Path:
    """The bytes as a file in that folder, for readers of files."""
    path = scratch() / name
    path.write_bytes(data)
    return path
