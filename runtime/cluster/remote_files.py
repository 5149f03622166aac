"""Reads and writes files of object stores and other remote file systems, by pyarrow."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hyperguide.batch.files import Stamp
from hyperguide.errors import HyperguideError
from hyperguide.storage.file_content import MOST_BYTES

from .addresses import Address

_TEMPORARY = re.compile(r"\.hyperguide-[0-9a-f]{8}(\.\w*)?")
# File systems without folders; names only look as if there were some.
_WITHOUT_FOLDERS = ("s3", "gcs", "abfs")


@dataclass(frozen=True)
class RemoteFiles:
    """Files by their addresses; see `Files`. The driver sends it to workers as it is.

    systems: pyarrow's file systems by scheme.
    """

    systems: dict[str, Any]

    def open(self) -> RemoteFiles:
        """See `Place`."""
        return self

    def stamp(self, path: Path) -> Stamp | None:
        """See `Files`."""
        with suppress(HyperguideError):
            info = self._info(path)
            return _stamp(info) if info.is_file else None
        return None

    def same(self, one: Path, other: Path) -> bool:
        """See `Files`."""
        return one == other

    def exists(self, path: Path) -> bool:
        """See `Files`."""
        return self._info(path).type.name != "NotFound"

    def refresh(self) -> None:
        """See `Files`; nothing is kept."""

    def is_folder(self, path: Path) -> bool:
        """Whether there is a folder of this name. Raises HyperguideError if that is unknown."""
        return self._info(path).type.name == "Directory"

    def read(self, path: Path) -> bytes:
        """See `Files`."""
        info = self._info(path)
        if not info.is_file:
            what = "is a folder, not a picture" if info.type.name == "Directory" else "is not there"
            raise HyperguideError(f"{path} {what}: check the name.")
        if info.size > MOST_BYTES:
            raise HyperguideError(
                f"{path} is larger than {MOST_BYTES >> 20} MiB, which is too much for a picture: "
                "give a smaller file."
            )
        system, name = self._at(path)
        with _errors(f"Cannot read {path}"), system.open_input_stream(name) as file:
            return bytes(file.read())

    def refuse_existing(self, path: Path, replace: bool) -> None:
        """See `Files`."""
        kind = self._info(path).type.name
        if kind == "Directory":
            raise HyperguideError(f"The output {path} is a folder: give the name of a file.")
        if kind != "NotFound" and not replace:
            raise HyperguideError(f"The output {path} exists: choose another name or add --force.")

    def prepare(self, path: Path) -> None:
        """See `Files`."""
        system, name = self._at(path.parent)
        if _base(system).type_name not in _WITHOUT_FOLDERS:
            with _errors(f"Cannot create the folder {path.parent}"):
                system.create_dir(name, recursive=True)

    def write(self, path: Path, data: bytes) -> None:
        """See `Files`; under a temporary name beside it, which is then moved."""
        temporary = path.with_name(f".hyperguide-{uuid.uuid4().hex[:8]}{path.suffix[:16]}")
        system, name = self._at(path)
        with _errors(f"Writing {path} failed"):
            try:
                with system.open_output_stream(self._at(temporary)[1]) as file:
                    file.write(data)
                system.move(self._at(temporary)[1], name)
            except BaseException:
                with suppress(Exception):  # it may not be there
                    system.delete_file(self._at(temporary)[1])
                raise

    def listed(self, folder: Path) -> dict[Path, Stamp]:
        """All files below a folder, hidden ones included; empty if there is no such folder."""
        from pyarrow import fs

        system, name = self._at(folder)
        with _errors(f"Cannot read the folder {folder}"):
            found = system.get_file_info(
                fs.FileSelector(name, allow_not_found=True, recursive=True)
            )
        scheme = cast(Address, folder).scheme
        return {
            cast(Path, Address(f"{scheme}:/{one.path.lstrip('/')}")): _stamp(one)
            for one in found
            if one.is_file
        }

    def _remove(self, path: Path) -> None:
        system, name = self._at(path)
        with suppress(Exception):  # another run removed it
            system.delete_file(name)

    def _at(self, path: Path) -> tuple[Any, str]:
        address = cast(Address, path)
        return self.systems[address.scheme], address.inside

    def _info(self, path: Path) -> Any:
        system, name = self._at(path)
        with _errors(f"Cannot look at {path}"):
            return system.get_file_info(name)


@dataclass(frozen=True)
class ListedFiles(RemoteFiles):
    """Remote files for the driver, which lists folders instead of asking for each file.

    folders: those of the outputs.
    known: the files that were there when it last listed the folders, and the sources.
    """

    folders: tuple[Path, ...] = ()
    known: dict[Path, Stamp] = field(default_factory=dict)

    def open(self) -> RemoteFiles:
        """See `Place`."""
        return RemoteFiles(self.systems)

    def refresh(self) -> None:
        """List the output folders again."""
        for path in [p for p in self.known if any(map(p.is_relative_to, self.folders))]:
            del self.known[path]
        for folder in self.folders:
            self.known.update(self.listed(folder))

    def remove_leftovers(self) -> None:
        """Remove temporary files that killed workers left in the output folders."""
        for folder in self.folders:
            with suppress(HyperguideError):
                for path in self.listed(folder):
                    if _TEMPORARY.fullmatch(path.name):
                        self._remove(path)

    def look(self, path: Path) -> bool:
        """Look for a file, and know its state from then on. Returns whether it is there."""
        info = self._info(path)
        if info.is_file:
            self.known[path] = _stamp(info)
        return bool(info.is_file)

    def stamp(self, path: Path) -> Stamp | None:
        """See `Files`."""
        return self.known.get(path)

    def exists(self, path: Path) -> bool:
        """See `Files`."""
        return path in self.known

    def refuse_existing(self, path: Path, replace: bool) -> None:
        """See `Files`; workers look for folders of that name."""
        if path in self.known and not replace:
            raise HyperguideError(f"The output {path} exists: choose another name or add --force.")


def _stamp(info: Any) -> Stamp:
    return info.size or 0, info.mtime_ns or 0


def _base(system: Any) -> Any:
    """The file system behind views of a part of it."""
    while hasattr(system, "base_fs"):
        system = system.base_fs
    return system


@contextmanager
def _errors(sentence: str) -> Iterator[None]:
    """Raise errors of file systems as a sentence for the user."""
    try:
        yield
    except HyperguideError:
        raise
    except Exception as error:  # pyarrow's kinds differ by file system
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise HyperguideError(f"{sentence}: {reason}.") from error
