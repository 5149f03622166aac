"""A fuzzing target: a reader of bytes and valid inputs to start from."""

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

# Changes bytes while keeping their structure; the last argument changes a piece freely.
# Raises ValueError if the bytes do not have that structure.
Mutator = Callable[[bytes, Random, Callable[[bytes], bytes]], bytes]


@dataclass(frozen=True)
class Target:
    """A reader of untrusted bytes.

    about: a description.
    seeds: small valid inputs by name, made here.
    read: reads bytes, and raises AssertionError if the result is wrong; see `rule.check`.
    mutate: changes inputs but keeps what random changes would break, such as checksums.
    longest: the largest input in bytes.
    """

    about: str
    seeds: Callable[[], dict[str, bytes]]
    read: Callable[[bytes], object]
    mutate: Mutator | None = None
    longest: int = 8192


def in_memory() -> Path | None:
    """The folder for files in memory, or None if the system has none."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else None


@cache
def scratch() -> Path:
    """A folder for this process, inside the one that FUZZ_SCRATCH names, if set."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=os.environ.get(SCRATCH) or in_memory()))
    atexit.register(clear)
    return folder


def clear() -> None:
    """Remove the folder of `scratch`."""
    shutil.rmtree(scratch(), ignore_errors=True)


def as_file(data: bytes, name: str) -> Path:
    """The bytes as a file in the folder of `scratch`, for readers of files."""
    path = scratch() / name
    path.write_bytes(data)
    return path
