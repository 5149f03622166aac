"""Names such as s3://bucket/folder, and the file systems that they belong to."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any, cast

from hyperguide.errors import HyperguideError
from hyperguide.printable import shown

# A name that went through `Path` has one slash left. A single letter is a drive of Windows.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE | re.DOTALL)
_KNOWN = "s3, gs, abfs, hdfs or file"


class Address(PurePosixPath):
    """A name in a file system that the machine reaches by pyarrow, such as s3://bucket/a.png.

    Its first part is the scheme, `s3:`. It takes the place of a `Path` in jobs, which only name
    files; whoever opens one as a local file gets an AttributeError.
    """

    def __str__(self) -> str:
        scheme, colon, rest = super().__str__().partition(":/")
        if not colon:  # relative to another
            return scheme
        return f"{scheme}://{'/' if scheme == 'file' else ''}{rest}"

    @property
    def scheme(self) -> str:
        """Which file system, such as `s3`."""
        return self.parts[0].rstrip(":")

    @property
    def inside(self) -> str:
        """The name in the file system, such as `bucket/a.png`."""
        rest = "/".join(self.parts[1:])
        return f"/{rest}" if self.scheme == "file" else rest


def is_address(name: str) -> bool:
    """Whether a name is an address rather than a local file or folder."""
    return _ADDRESS.match(name) is not None


class FileSystems:
    """The file systems of a run by their schemes, opened as names are parsed."""

    def __init__(self) -> None:
        self.opened: dict[str, Any] = {}
        self._options: dict[str, str] = {}

    def parse(self, name: str) -> Path:
        """The address of a name; a local name becomes one with `file:`.

        The options of a file system stand behind a question mark, as in
        s3://bucket/folder?region=eu-west-1&endpoint_override=localhost:9000.
        Raises HyperguideError if pyarrow has no such file system, or cannot open it.
        """
        found = _ADDRESS.match(name)
        if found is None:
            path = Path(name).absolute()
            self._open("file", "file:///", "", name)
            return cast(Path, Address(f"file:/{path.as_posix().lstrip('/')}"))
        scheme, rest = found[1].lower(), found[2]
        inside, _, options = rest.partition("?")
        root = "/" if scheme == "file" else inside.partition("/")[0]
        self._open(scheme, f"{scheme}://{root}{options and f'?{options}'}", options, name)
        return cast(Path, Address(f"{scheme}:/{inside}"))

    def _open(self, scheme: str, uri: str, options: str, name: str) -> None:
        from pyarrow import fs

        if scheme in self.opened:
            if options != self._options[scheme]:
                raise HyperguideError(
                    f"{name} has other options than the address before it: give all addresses "
                    f"that begin with {scheme}: the same."
                )
            return
        try:
            self.opened[scheme], _ = fs.FileSystem.from_uri(uri)
        except Exception as error:  # pyarrow's kinds differ by file system
            reason = " ".join(str(error).split()).rstrip(".")
            raise HyperguideError(
                f"{shown(name)} cannot be opened ({reason}): give a folder, or an address that "
                f"begins with {_KNOWN}."
            ) from None
        self._options[scheme] = options
