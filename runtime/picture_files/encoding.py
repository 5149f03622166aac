"""Encodes pixels as the bytes of a picture file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.memory import lacks_memory

JPEG_QUALITY = 95
# Of JPEG: width and height of a colour sample in pixels -> sampling factors of the three planes.
_SAMPLINGS = {
    (1, 1): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    (2, 1): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    (1, 2): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    (2, 2): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    (4, 1): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}


def encode(
    path: Path,
    suffix: str,
    picture: np.ndarray,
    quality: int | None,
    sampling: tuple[int, int] | None,
) -> bytes:
    """The bytes of a picture file, without metadata.

    path: names the file in errors. suffix: of the format.
    picture: gray (H, W), RGB or RGBA, of a type that the format holds.
    quality: 1 to 100, of JPEG and WebP; None takes 95 for JPEG and lossless WebP.
    sampling: of a JPEG's colours, (2, 2) for 4:2:0; 4:4:4 if it is None or unusual.
    Raises HyperguideError if OpenCV cannot encode it.
    """
    if picture.ndim == 3:
        code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
        picture = cv2.cvtColor(picture, code)
    try:
        encoded, data = cv2.imencode(suffix, picture, _options(suffix, quality, sampling))
    except cv2.error as error:
        if lacks_memory(error):
            raise
        encoded = False
    if not encoded:
        raise HyperguideError(f"OpenCV cannot encode {path}: choose another format, .png say.")
    del picture  # every copy of a large picture counts
    return data.tobytes()


def _options(suffix: str, quality: int | None, sampling: tuple[int, int] | None) -> list[int]:
    if suffix in (".jpg", ".jpeg"):
        factors = _SAMPLINGS.get(sampling or (1, 1), _SAMPLINGS[1, 1])
        options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors]
        return [cv2.IMWRITE_JPEG_QUALITY, quality or JPEG_QUALITY, *options]
    if suffix != ".webp":
        return []
    if quality is not None:
        return [cv2.IMWRITE_WEBP_QUALITY, quality]
    # By default, libwebp changes the colours of fully transparent pixels.
    exact = getattr(cv2, "IMWRITE_WEBP_LOSSLESS_PRESERVE_COLOR", None)  # of OpenCV 5
    mode = getattr(cv2, "IMWRITE_WEBP_LOSSLESS_MODE", None)
    return [] if exact is None or mode is None else [mode, exact]
