"""Claims a folder for one run: no other writes into it, and a replaced folder is noticed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

from hyperguide.errors import FolderLostError, HyperguideError
from hyperguide.storage.atomic import kind_of
from hyperguide.storage.file_lock import passing_lock
from hyperguide.storage.paths import exists, make_folder, real

NAME = ".hyperguide.lock"


@dataclass(frozen=True)
class Claim:
    """A folder that only this run uses, as long as `claim` holds it.

    is_there: returns whether the folder is still the one that was claimed.
    """

    folder: Path
    is_there: Callable[[], bool]

    def check(self) -> None:
        """Raise FolderLostError if the folder was removed or replaced."""
        if not self.is_there():
            raise FolderLostError(
                f"The output folder {self.folder} was removed or replaced during the run."
            )


@contextmanager
def claim(folder: Path) -> Iterator[Claim]:
    """Make a folder if needed, and keep other runs out of it.

    A killed run keeps no other out. On network file systems without locks none is kept out.
    Raises HyperguideError if another run uses the folder.
    """
    make_folder(folder)
    lock = passing_lock(folder / NAME)
    try:
        is_there = lock.__enter__()
    except BlockingIOError:
        raise HyperguideError(
            f"Another run is writing into the folder {folder}: wait for its end, or give another "
            "folder."
        ) from None
    except OSError as error:
        raise kind_of(error)(
            f"Cannot write in the folder {folder}: {error.strerror}; choose another output."
        ) from None
    try:
        yield Claim(folder, is_there)
    finally:
        lock.__exit__(None, None, None)


def refuse_leading_away(path: Path, folder: Path) -> None:
    """Raise HyperguideError if a link between `folder` and a file in it leads out of it."""
    if not real(path.parent).is_relative_to(real(folder)):
        raise HyperguideError(
            f"{path} would be written outside of {folder}, for {path.parent} is a link or lies "
            "behind one: remove the link, or give another folder."
        )


def refuse_coinciding(paths: Iterable[Path], folder: Path) -> None:
    """Raise HyperguideError if two names are the same file on the file system of `folder`.

    Some ignore case, or the difference between the encodings of an accent.
    """
    alike: dict[str, list[Path]] = {}
    for path in paths:
        folded = unicodedata.normalize("NFKC", str(path.relative_to(folder)).casefold())
        alike.setdefault(folded, []).append(path)
    for group in alike.values():
        for one, other in combinations(group, 2):
            parts = zip(one.parts, other.parts, strict=False)
            if all(_coincide(a, b, folder) for a, b in parts if a != b):
                raise HyperguideError(
                    f"{one} and {other} would be the same file on this file system: rename one of "
                    "the pictures."
                )


def _coincide(name: str, other: str, folder: Path) -> bool:
    with TemporaryDirectory(prefix=".hyperguide-", dir=folder) as place:
        (Path(place) / name).touch()
        return exists(Path(place) / other)
