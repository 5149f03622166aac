"""Reads only complete picture files, keeps bit depth, alpha and metadata, writes atomically."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.memory import memory_for
from hyperguide.picture_files.metadata.formats import add_metadata, read_metadata
from hyperguide.picture_files.metadata.held import held
from hyperguide.picture_files.metadata.metadata import NO_METADATA, Metadata
from hyperguide.storage.atomic import write_atomically
from hyperguide.storage.file_content import read_content
from hyperguide.storage.paths import find_files

from .decoding import decode
from .encoding import encode
from .header import check_memory, read_header
from .orientation import upright


@dataclass(frozen=True)
class _Format:
    """What a file format can hold.

    depths: dtypes of the samples.
    alpha: whether it holds transparency.
    longest: maximum side in pixels that its library writes.
    """

    depths: tuple[str, ...]
    alpha: bool
    longest: int = (1 << 31) - 1


_FORMATS = {
    ".png": _Format(("uint8", "uint16"), True),
    ".tif": _Format(("uint8", "uint16", "float32"), True),
    ".tiff": _Format(("uint8", "uint16", "float32"), True),
    ".webp": _Format(("uint8",), True, longest=16383),
    ".bmp": _Format(("uint8",), False),
    ".jpg": _Format(("uint8",), False, longest=65500),
    ".jpeg": _Format(("uint8",), False, longest=65500),
}
# Other suffixes of the same formats: Windows and browsers save JPEG files as .jfif.
_ALIASES = dict.fromkeys((".jfif", ".jfi", ".jif", ".jpe"), ".jpg")
PICTURE_SUFFIXES = frozenset([*_FORMATS, *_ALIASES])


# OpenCV counts the bytes of a file in 32 bits.
_MAX_BYTES = (1 << 31) - 1


def read_picture(path: Path, max_memory: int | None = None) -> np.ndarray:
    """Read a picture as gray (H, W), RGB (H, W, 3) or RGBA (H, W, 4), in the file's bit depth.

    EXIF's orientation is applied; palettes and inks (CMYK) become RGB, gray with transparency
    becomes RGBA, samples of less than 8 or 16 bits are scaled to these.
    max_memory: bytes that the process may use; None means half of what is free.
    Raises HyperguideError if the file is missing, a folder, empty, detectably truncated or damaged,
    not a PNG, JPEG, WebP, TIFF or BMP, holds several pictures, is of an unsupported kind, or is too
    large for the memory.
    """
    return read_with_metadata(path, max_memory)[0]


def read_with_metadata(path: Path, max_memory: int | None = None) -> tuple[np.ndarray, Metadata]:
    """Read a picture as `read_picture` does, and its metadata."""
    return decode_picture(read_bytes(path), path, max_memory)


def read_bytes(path: Path) -> bytes:
    """The bytes of a picture file. Raises HyperguideError as `read_content` does."""
    return read_content(path, "picture", _MAX_BYTES)


def decode_picture(
    content: bytes, path: Path, max_memory: int | None = None
) -> tuple[np.ndarray, Metadata]:
    """Decode the bytes of a picture file as `read_picture` does, and its metadata.

    path: names the file in errors.
    """
    if not content:
        raise HyperguideError(f"The picture {path} is empty (0 bytes): replace it.")
    header = read_header(content, path)
    check_memory(header, path, max_memory)
    with memory_for(f"reading {path}"):
        picture = decode(content, header, path)
        metadata = read_metadata(content)
        return np.ascontiguousarray(upright(picture, metadata.orientation)), metadata


def write_picture(
    path: Path,
    picture: np.ndarray,
    metadata: Metadata = NO_METADATA,
    quality: int | None = None,
    through_links: bool = True,
) -> list[str]:
    """Write a picture atomically in the format of the name's suffix.

    picture: gray (H, W), RGB or RGBA; what the format cannot hold is converted.
    metadata: written as far as the format holds it.
    quality: 1 to 100, of JPEG and WebP; None takes 95 for JPEG and lossless WebP.
    through_links: see `write_atomically`.
    Returns a sentence for each thing that was lost: bit depth, transparency, metadata.
    Raises HyperguideError if the format cannot hold the picture or the file cannot be written.
    """
    data, lost = encode_picture(path, picture, metadata, quality)
    write_bytes(path, data, through_links)
    return lost


def encode_picture(
    path: Path,
    picture: np.ndarray,
    metadata: Metadata = NO_METADATA,
    quality: int | None = None,
) -> tuple[bytes, list[str]]:
    """The bytes of the file that `write_picture` writes, and a sentence for each thing lost."""
    suffix = check_suffix(path)
    check_size(path, picture.shape)
    with memory_for(f"writing {path}"):
        picture, metadata, lost = _as_held(path, picture, metadata)
        encoded = encode(path, suffix, picture, quality, metadata.sampling)
        return add_metadata(suffix, encoded, metadata, picture.shape), lost


def write_bytes(path: Path, data: bytes, through_links: bool = True) -> None:
    """Write the bytes of a picture file; see `write_atomically`, also for errors."""
    write_atomically(path, lambda temporary: _write(temporary, data), through_links)


def check_suffix(path: Path) -> str:
    """The normalised suffix of a picture's name: `.jpg` for `a.JFIF`.

    Raises HyperguideError if it is not a picture's.
    """
    suffix = path.suffix.lower()
    suffix = _ALIASES.get(suffix, suffix)
    if suffix not in _FORMATS:
        raise HyperguideError(
            f"The output {path} has no picture's suffix: name it .png, .jpg, .tif, .webp or .bmp."
        )
    return suffix


def check_size(path: Path, shape: tuple[int, ...]) -> None:
    """Raise HyperguideError if the format of the name's suffix cannot hold (H, W, ...) pixels.

    Called before long work, so that nobody waits for a result that cannot be kept.
    """
    suffix = check_suffix(path)
    longest = _FORMATS[suffix].longest
    if max(shape[:2]) > longest:
        raise HyperguideError(
            f"{path} would have {shape[1]}x{shape[0]} pixels, but {suffix} holds {longest} a side: "
            "choose another format, .png say."
        )


def find_pictures(folder: Path, excluded: Collection[Path] = ()) -> list[Path]:
    """The picture files of a folder and its subfolders, sorted; see `paths.find_files`."""
    return find_files(folder, PICTURE_SUFFIXES, excluded)


def _as_held(
    path: Path, picture: np.ndarray, metadata: Metadata
) -> tuple[np.ndarray, Metadata, list[str]]:
    """The picture and metadata as the format can hold them, and a sentence for each loss."""
    suffix, lost = check_suffix(path), []
    format_ = _FORMATS[suffix]
    if picture.dtype.name not in format_.depths:
        if picture.dtype.kind == "f":
            picture = np.rint(picture.clip(0, 1) * 65535).astype(np.uint16)
        if picture.dtype.name not in format_.depths:
            lost.append(f"{suffix} holds 8 bits: finer steps of {path.name} were rounded")
            picture = np.rint(picture / 257).astype(np.uint8)
    if picture.ndim == 3 and picture.shape[2] == 4 and not format_.alpha:
        lost.append(f"{suffix} holds no transparency: it was dropped from {path.name}")
        picture = picture[..., :3]
    if metadata.profile is not None and not metadata.fits(picture.shape):
        space = metadata.profile[16:20].decode("ascii", "replace").strip()
        space = space if space.isprintable() else "an unknown space"
        lost.append(f"the source's colour profile is for {space}: it was dropped from {path.name}")
        metadata = replace(metadata, profile=None)
    metadata, words = held(suffix, metadata, picture.shape)
    if words:
        dropped = "it was" if len(words) == 1 else "they were"
        lost.append(f"{suffix} holds no {_listed(words)}: {dropped} dropped from {path.name}")
    if metadata.lost:
        lost.append(f"the source's {_listed(metadata.lost)} cannot be kept in {path.name}")
    return picture, metadata, lost


def _listed(words: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
