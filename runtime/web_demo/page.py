"""The files of the demo: a built web page, and the bundled models beside it."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import bundled_models

# The page that the wheel brings. Resolved, because an editable install links modules one by one.
PACKAGED = Path(__file__).resolve().parents[1] / "web_page"

_INDEX = "index.html"
_PACKED = ".xz"

# Bytes of a file after unpacking, and of memory for it; ONNX Runtime's largest has 27 MB.
_LIMIT = 128_000_000

# A name in an address. Neither hidden files nor anything that a file system treats specially.
_NAME = re.compile(r"[\w-][\w.-]*", re.ASCII)

# Not from the machine's registry of types, which may say anything.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
}
_OTHER_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class PageFile:
    """A file that the demo shows.

    path: of the file, or of the .xz file that holds it.
    content_type: its media type.
    is_fixed: whether another content would have another name.
    """

    path: Path
    content_type: str
    is_fixed: bool = False

    def open(self) -> io.BufferedIOBase:
        """Open it, unpacked.

        Raises OSError if it cannot be read, HyperguideError if it cannot be unpacked.
        """
        if self.path.suffix == _PACKED:
            return io.BytesIO(_unpacked(self.path))
        return self.path.open("rb")


def page_folder(given: Path | None = None) -> Path:
    """The folder of the page, without links: the given one, or that of the package.

    Raises HyperguideError if there is no page in it.
    """
    folder = PACKAGED if given is None else given
    if os.path.isfile(folder / _INDEX):
        return Path(os.path.realpath(folder))
    if given is None:
        raise HyperguideError(
            "This installation has no web page: in a checkout, 'make web' builds one, to be shown "
            "with --page bindings/web/build/page."
        )
    wrong = f"has no {_INDEX}" if os.path.isdir(given) else "is not a folder"
    raise HyperguideError(
        f"{given} {wrong}: give --page the folder of a built page, as bindings/web/build/page."
    )


def find(folder: Path, address: str) -> PageFile | None:
    """The file at an address, such as `/assets/a.js?b`; None if there is none.

    folder: as `page_folder` returns it. Nothing else is found but the bundled models in `/models`,
    also through links.
    """
    path = unquote(address.partition("?")[0])
    root, *names = (f"/{_INDEX}" if path == "/" else path).split("/")
    if root or not names or not all(_NAME.fullmatch(name) for name in names):
        return None
    if names[0] == "models":
        models = {model.name: model for model in bundled_models()}
        model = models.get("/".join(names[1:]))
        return None if model is None else PageFile(model, _OTHER_TYPE)
    suffix = Path(names[-1]).suffix
    found = _within(folder, names)
    if found is None and suffix == ".wasm":
        found = _within(folder, [*names[:-1], names[-1] + _PACKED])
    if found is None:
        return None
    # Vite puts a hash of the content into these names.
    is_fixed = names[0] == "assets" and suffix != ".html"
    return PageFile(found, _TYPES.get(suffix, _OTHER_TYPE), is_fixed)


def _within(folder: Path, names: list[str]) -> Path | None:
    """The file of these names in a folder; None if there is none, or a link leads out."""
    path = Path(os.path.realpath(folder.joinpath(*names)))
    return path if path.is_relative_to(folder) and os.path.isfile(path) else None


def _unpacked(path: Path) -> bytes:
    """The content of an .xz file. Raises OSError, or HyperguideError if it is damaged."""
    try:
        import lzma
    except ModuleNotFoundError:
        raise HyperguideError(
            f"{path.name} cannot be unpacked, because this Python was built without lzma: use one "
            "that has it."
        ) from None
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LIMIT)
    try:
        content = unpacker.decompress(path.read_bytes(), _LIMIT)
    except lzma.LZMAError:
        content = b""
    if not unpacker.eof:
        raise HyperguideError(
            f"{path} is damaged, or larger than {_LIMIT // 1_000_000} MB: install the package or "
            "build the page again."
        )
    return content
