"""Picture files: read whole ones only, keep bit depth, alpha and metadata, write atomically."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from .atomic import write_atomically
from .errors import HyperguideError
from .held_metadata import held
from .memory import lacks_memory, memory_for
from .metadata import NO_METADATA, Metadata
from .paths import find_files
from .picture_encoding import encode
from .picture_header import check_header, picture_size
from .picture_metadata import add_metadata, read_metadata
from .transparency import decodable, with_straight_alpha, with_transparent_level


@dataclass(frozen=True)
class _Format:
    """What a file format can hold.

    depths: dtypes of the samples.
    alpha: whether it holds transparency.
    longest: side in pixels that its library writes.
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
SUFFIXES = frozenset(_FORMATS)


# OpenCV counts the bytes of a file in 32 bits.
_MAX_BYTES = (1 << 31) - 1


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as gray (H, W), RGB (H, W, 3) or RGBA (H, W, 4), in the file's bit depth.

    The orientation that cameras note in EXIF is applied; palettes and inks (CMYK) become RGB, gray
    with transparency becomes RGBA. Raises HyperguideError if the file is missing, a folder, empty,
    truncated, not a picture, several pictures in one, too large, or not readable.
    """
    return read_with_metadata(path)[0]


def read_with_metadata(path: Path) -> tuple[np.ndarray, Metadata]:
    """Read a picture as `read_picture` does, and what else the file carries."""
    content = _read(path)
    check_header(content, path)
    with memory_for(f"reading {path}"):
        picture = _decode(content, path)
        if picture.ndim == 2:
            picture = with_transparent_level(picture, content)
        else:
            code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB
            picture = with_straight_alpha(cv2.cvtColor(picture, code), content)
        metadata = read_metadata(content)
        return np.ascontiguousarray(_upright(picture, metadata.orientation)), metadata


def write_picture(
    path: Path,
    picture: np.ndarray,
    metadata: Metadata = NO_METADATA,
    quality: int | None = None,
) -> list[str]:
    """Write a picture atomically in the format of the name's suffix.

    picture: gray (H, W), RGB or RGBA; what the format cannot hold is converted.
    metadata: written as far as the format holds it.
    quality: 1 to 100, of JPEG and WebP; None takes 95 for JPEG and writes WebP without loss.
    Returns a sentence for each thing that was lost on the way: bit depth, transparency, metadata.
    Raises HyperguideError if the format cannot hold the picture or the file cannot be written.
    """
    suffix = check_suffix(path)
    check_size(path, picture.shape)
    with memory_for(f"writing {path}"):
        picture, metadata, lost = _as_held(path, picture, metadata)
        encoded = encode(path, suffix, picture, quality, metadata.sampling)
        data = add_metadata(suffix, encoded, metadata, picture.shape)
    write_atomically(path, lambda temporary: _write(temporary, data))
    return lost


def check_suffix(path: Path) -> str:
    """The lower-case suffix of a picture's name. Raises HyperguideError if it is no picture's."""
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise HyperguideError(
            f"The output {path} has no picture's suffix: name it .png, .jpg, .tif, .webp or .bmp."
        )
    return suffix


def check_size(path: Path, shape: tuple[int, ...]) -> None:
    """Raise HyperguideError if the format of the name's suffix does not hold (H, W, ...) pixels.

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
    return find_files(folder, SUFFIXES, excluded)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise HyperguideError(f"There is no picture {path}: check the name.") from None
    except IsADirectoryError:
        raise HyperguideError(f"{path} is a folder, not a picture: give a file.") from None
    except PermissionError:
        raise HyperguideError(f"No permission to read {path}: change its rights.") from None
    except OSError as error:
        raise HyperguideError(f"Cannot read {path}: {error.strerror}.") from None
    if not content:
        raise HyperguideError(f"The picture {path} is empty (0 bytes): replace it.")
    if len(content) > _MAX_BYTES:
        raise HyperguideError(f"{path} is a file of more than 2 GiB: compress or cut the picture.")
    return content


def _decode(content: bytes, path: Path) -> np.ndarray:
    """The stored pixels, shape (H, W), (H, W, 3) BGR or (H, W, 4) BGRA; TIFF's turned upright."""
    picture: np.ndarray | None = None
    try:
        picture = cv2.imdecode(decodable(content), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        limit = re.search(r"CV_IO_MAX_IMAGE_(PIXELS|WIDTH|HEIGHT)", str(error))
        if limit is not None:
            raise HyperguideError(_too_large(content, path, limit[1])) from None
        if lacks_memory(error):
            raise
    if picture is None or picture.shape[2:] not in ((), (1,), (3,), (4,)):
        known = ", ".join(sorted(SUFFIXES))
        raise HyperguideError(
            f"{path} is not a picture that can be read, or is damaged: give a file of {known}."
        )
    if picture.dtype.name not in ("uint8", "uint16", "float32"):
        raise HyperguideError(
            f"{path} has samples of type {picture.dtype}: convert it to 8 or 16 bits, or float32."
        )
    return picture[..., 0] if picture.shape[2:] == (1,) else picture


def _too_large(content: bytes, path: Path, limit: str) -> str:
    width, height = picture_size(content) or (0, 0)
    needed = {"PIXELS": width * height, "WIDTH": width, "HEIGHT": height}[limit]
    size = f"{width}x{height}" if needed else "too many"
    return (
        f"{path} has {size} pixels, more than OpenCV reads unless told: cut the picture, or set "
        f"the variable OPENCV_IO_MAX_IMAGE_{limit}" + (f" to {needed}." if needed else " higher.")
    )


def _upright(picture: np.ndarray, orientation: int) -> np.ndarray:
    """A stored picture as it is to be seen, by EXIF's orientation of 1 to 8."""
    if orientation in (5, 6, 7, 8):
        picture = picture.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture


def _as_held(
    path: Path, picture: np.ndarray, metadata: Metadata
) -> tuple[np.ndarray, Metadata, list[str]]:
    """What the format of a name holds of a picture, and a sentence for each thing that is lost."""
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
