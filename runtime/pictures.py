"""Picture files: read whole ones only, keep bit depth and alpha, write atomically."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .atomic import write_atomically
from .errors import HyperguideError
from .paths import find_files


@dataclass(frozen=True)
class _Format:
    """What a file format can hold.

    depths: dtypes of the samples.
    alpha: whether it holds transparency.
    """

    depths: tuple[str, ...]
    alpha: bool


_FORMATS = {
    ".png": _Format(("uint8", "uint16"), True),
    ".tif": _Format(("uint8", "uint16", "float32"), True),
    ".tiff": _Format(("uint8", "uint16", "float32"), True),
    ".webp": _Format(("uint8",), True),
    ".bmp": _Format(("uint8",), False),
    ".jpg": _Format(("uint8",), False),
    ".jpeg": _Format(("uint8",), False),
}
SUFFIXES = frozenset(_FORMATS)


_JPEG = b"\xff\xd8"
_ORIENTED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as gray (H, W), RGB (H, W, 3) or RGBA (H, W, 4), in the file's bit depth.

    The orientation that cameras note in EXIF is applied. Raises HyperguideError if the file is
    missing, a folder, empty, truncated, not a picture, or not readable.
    """
    content = _read(path)
    if not content:
        raise HyperguideError(f"The picture {path} is empty (0 bytes): replace it.")
    if _is_truncated(content):
        raise HyperguideError(f"The picture {path} is truncated: copy or download it again.")
    data = np.frombuffer(content, np.uint8)
    # UNCHANGED alone keeps alpha, but does not turn the picture as EXIF says.
    has_alpha = not content.startswith(_JPEG)
    picture = _decode(data, cv2.IMREAD_UNCHANGED if has_alpha else _ORIENTED)
    if picture is not None and has_alpha and b"exif" in content[:65536].lower():
        picture = picture if _planes(picture) == 4 else _decode(data, _ORIENTED)
    if picture is None or _planes(picture) not in (1, 3, 4):
        known = ", ".join(sorted(SUFFIXES))
        raise HyperguideError(
            f"{path} is not a picture that can be read, or is damaged: give a file of {known}."
        )
    if picture.dtype.name not in ("uint8", "uint16", "float32"):
        raise HyperguideError(
            f"{path} has samples of type {picture.dtype}: convert it to 8 or 16 bits, or float32."
        )
    if _planes(picture) == 1:
        return picture.reshape(picture.shape[:2])
    order = [2, 1, 0, 3][: picture.shape[2]]
    return np.ascontiguousarray(picture[..., order])


def write_picture(path: Path, picture: np.ndarray) -> list[str]:
    """Write a picture atomically in the format of the name's suffix.

    picture: gray (H, W), RGB or RGBA; what the format cannot hold is converted.
    Returns a sentence for each thing that was lost on the way: bit depth, transparency.
    """
    suffix = check_suffix(path)
    format_, lost = _FORMATS[suffix], []
    if picture.dtype.name not in format_.depths:
        if picture.dtype.kind == "f":
            picture = np.rint(picture.clip(0, 1) * 65535).astype(np.uint16)
        if picture.dtype.name not in format_.depths:
            lost.append(f"{suffix} holds 8 bits: finer steps of {path.name} were rounded")
            picture = np.rint(picture / 257).astype(np.uint8)
    if picture.ndim == 3 and picture.shape[2] == 4 and not format_.alpha:
        lost.append(f"{suffix} holds no transparency: it was dropped from {path.name}")
        picture = picture[..., :3]
    if picture.ndim == 3:
        code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
        picture = cv2.cvtColor(picture, code)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix in (".jpg", ".jpeg") else []
    encoded, data = cv2.imencode(suffix, picture, quality)
    if not encoded:
        raise HyperguideError(f"OpenCV cannot encode {path}: choose another format, .png say.")
    write_atomically(path, lambda temporary: _write(temporary, data.tobytes()))
    return lost


def check_suffix(path: Path) -> str:
    """The lower-case suffix of a picture's name. Raises HyperguideError if it is no picture's."""
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise HyperguideError(
            f"The output {path} has no picture's suffix: name it .png, .jpg, .tif, .webp or .bmp."
        )
    return suffix


def find_pictures(folder: Path, excluded: Collection[Path] = ()) -> list[Path]:
    """The picture files of a folder and its subfolders, sorted; see `paths.find_files`."""
    return find_files(folder, SUFFIXES, excluded)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise HyperguideError(f"There is no picture {path}: check the name.") from None
    except IsADirectoryError:
        raise HyperguideError(f"{path} is a folder, not a picture: give a file.") from None
    except PermissionError:
        raise HyperguideError(f"No permission to read {path}: change its rights.") from None
    except OSError as error:
        raise HyperguideError(f"Cannot read {path}: {error.strerror}.") from None


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _planes(picture: np.ndarray) -> int:
    return 1 if picture.ndim == 2 else picture.shape[2]


def _decode(data: np.ndarray, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(data, flags)
    except cv2.error:  # sizes beyond OpenCV's limits, among others
        return None


def _is_truncated(content: bytes) -> bool:
    """Whether a JPEG, PNG, WebP or BMP ends early; decoders fill the rest with gray."""
    if content.startswith(_JPEG):
        return not _jpeg_ends(content)
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND\xaeB`\x82" not in content
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    if content.startswith(b"BM"):
        return len(content) < int.from_bytes(content[2:6], "little")
    return False


def _jpeg_ends(content: bytes) -> bool:
    """Whether an end marker follows the first scan; thumbnails in the header have their own."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xDA:  # start of scan
            return b"\xff\xd9" in content[position:]
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return False
