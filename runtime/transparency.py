"""Transparency of picture files as one straight alpha plane, where OpenCV's decoders differ."""

from __future__ import annotations

import numpy as np

from .containers import PNG, png_chunks
from .picture_header import is_cmyk_tiff
from .pixels import full_scale
from .tiff import EXTRA_SAMPLES, SAMPLES, Directory, read_directories

# Values of TIFF's field ExtraSamples: the colours are multiplied by alpha, or not.
_MULTIPLIED, _STRAIGHT = 1, 2


def decodable(content: bytes) -> np.ndarray:
    """The bytes of a picture file, uint8, that OpenCV decodes without touching the colours.

    Of TIFF files of 8 bits its library multiplies straight colours by alpha: told that they
    already are, it leaves them.
    """
    data = np.frombuffer(content, np.uint8)
    page = _page_with_alpha(content)
    if page is not None and page.number(EXTRA_SAMPLES, 0) == _STRAIGHT:
        data = data.copy()
        start = page.fields[EXTRA_SAMPLES].start
        data[start : start + 2] = (0, _MULTIPLIED) if page.order == ">" else (_MULTIPLIED, 0)
    return data


def with_straight_alpha(picture: np.ndarray, content: bytes) -> np.ndarray:
    """RGB or RGBA as a file holds it, the colours not multiplied by alpha.

    picture: shape (H, W, 3) or (H, W, 4), decoded from `content`.
    """
    page = _page_with_alpha(content)
    if page is None:
        return picture
    if is_cmyk_tiff(page):
        return picture[..., :3]
    if page.number(EXTRA_SAMPLES, 0) != _MULTIPLIED:
        return picture
    full = full_scale(picture.dtype)
    alpha = picture[..., 3:].astype(np.float32)
    color = picture[..., :3] * (np.float32(full) / np.where(alpha == 0, full, alpha))
    color = np.minimum(color if picture.dtype.kind == "f" else np.rint(color), full)
    return np.concatenate([color.astype(picture.dtype), picture[..., 3:]], -1)


def with_transparent_level(picture: np.ndarray, content: bytes) -> np.ndarray:
    """A gray picture as RGBA if its file, a PNG, says that one of its levels is transparent.

    picture: shape (H, W), decoded from `content`.
    """
    if not content.startswith(PNG):
        return picture
    spans = [span for name, span in png_chunks(content) if name == b"tRNS"]
    if not spans:
        return picture
    full, steps = int(full_scale(picture.dtype)), (1 << content[24]) - 1  # by IHDR's bit depth
    level = int.from_bytes(content[spans[0][0] : spans[0][0] + 2], "big") & steps
    alpha = np.where(picture == level * (full // steps), 0, full).astype(picture.dtype)
    return np.dstack([picture, picture, picture, alpha])


def _page_with_alpha(content: bytes) -> Directory | None:
    """The page of a TIFF file of four planes."""
    pages = read_directories(content)
    return pages[0] if pages and pages[0].number(SAMPLES, 1) == 4 else None
