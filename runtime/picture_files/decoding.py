"""Decodes the bytes of a picture file to pixels, with the decoder of its format."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.memory import lacks_memory

from .bmp import BmpHeader, decode_bmp
from .containers import png_chunks
from .header import Header
from .jpeg import JpegHeader, decode_jpeg
from .tiff_page import Page
from .tiff_pixels import decode_tiff
from .transparency import with_transparent_level


def decode(content: bytes, header: Header, path: Path) -> np.ndarray:
    """The pixels of a picture file: gray (H, W), RGB (H, W, 3) or RGBA (H, W, 4), uint8 or uint16.

    As stored, except that TIFFs, which may also be float32, are turned upright. Raises
    HyperguideError if the file is damaged.
    """
    stored = header.stored
    if isinstance(stored, JpegHeader):
        return decode_jpeg(content, stored, path)
    if isinstance(stored, BmpHeader):
        return decode_bmp(content, stored, path)
    if isinstance(stored, Page):
        return decode_tiff(content, stored, path)
    picture = _by_opencv(content, header, path)
    if picture.ndim == 3:
        code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB
        return cv2.cvtColor(picture, code)
    return with_transparent_level(picture, content) if header.format == "PNG" else picture


def _by_opencv(content: bytes, header: Header, path: Path) -> np.ndarray:
    """Decode a PNG or WebP to (H, W), (H, W, 3) BGR or (H, W, 4) BGRA."""
    picture: np.ndarray | None = None
    content = _without_profile(content) if header.format == "PNG" else content
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        limit = re.search(r"CV_IO_MAX_IMAGE_(PIXELS|WIDTH|HEIGHT)", str(error))
        if limit is not None:
            raise HyperguideError(_too_large(header, path, limit[1])) from None
        if lacks_memory(error):
            raise
    if picture is None or picture.shape[:2] != (header.height, header.width):
        raise HyperguideError(f"The picture {path} is damaged: copy or download it again.")
    return picture[..., 0] if picture.shape[2:] == (1,) else picture


def _without_profile(content: bytes) -> bytes:
    """A PNG without its colour profile.

    It does not affect the pixels, and libpng prints a warning about unusual profiles.
    """
    for name, (start, stop) in png_chunks(content):
        if name == b"iCCP":
            return content[: start - 8] + content[stop + 4 :]
        if name == b"IDAT":
            break
    return content


def _too_large(header: Header, path: Path, limit: str) -> str:
    width, height = header.width, header.height
    needed = {"PIXELS": width * height, "WIDTH": width, "HEIGHT": height}[limit]
    return (
        f"{path} has {width}x{height} pixels, more than OpenCV reads unless told: crop it, "
        f"or set the variable OPENCV_IO_MAX_IMAGE_{limit} to {needed}."
    )
