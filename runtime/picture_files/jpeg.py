"""Reads the headers of JPEG pictures, and their pixels if they are not damaged.

Uses libjpeg-turbo, as OpenCV does, but stops where it would otherwise warn and fill the rest with
gray. A flipped bit that still decodes to something cannot be noticed: JPEG has no checksums.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg

from hyperguide.errors import HyperguideError

from .containers import JPEG, START_OF_SCAN, jpeg_segments
from .inks import rgb_of_inks

_APP0, _APP14 = 0xE0, 0xEE
_WHOLE_SCAN = bytes([0, 63, 0])  # all coefficients of a block, at full precision
# Start-of-frame markers, ITU-T T.81, table B.1: those that are decoded, and those that are not.
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_NOT_DECODED = {
    0xC3: "a lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA), "a JPEG of arithmetic coding"),
    0xCB: "a lossless JPEG",
    0xF7: "a JPEG-LS picture",
}
_COLORS = {1: "GRAY", 3: "RGB", 4: "CMYK"}
# Each scan of a progressive picture covers all of it, however few bytes it has. Encoders write
# about 10; a large picture with more than these is refused.
_MANY_SCANS, _MANY_STEPS = 20, 10**9
# Each block of 8x8 pixels takes at least one bit, for luma alone.
_PIXELS_A_BYTE = 8 * 64
# Bytes that some cameras add after the last scan. After a flipped bit more are left over.
_PADDING = 16


@dataclass(frozen=True)
class JpegHeader:
    """The header of a JPEG.

    sampling: horizontal and vertical sampling factors of each component.
    parts: start and stop of each segment, including its marker.
    """

    width: int
    height: int
    sampling: tuple[tuple[int, int], ...]
    progressive: bool
    parts: tuple[tuple[int, int], ...]

    @property
    def planes(self) -> int:
        """Planes that libjpeg decodes: gray 1, RGB 3, inks 4."""
        return len(self.sampling)


def read_jpeg_header(content: bytes, path: Path) -> JpegHeader:
    """Read the header of a JPEG. Raises HyperguideError if it is damaged or not supported."""
    frame, parts = None, []
    for marker, (start, stop) in jpeg_segments(content):
        data = content[start : min(stop, start + 64)]
        parts.append((start - 4, stop) if marker != START_OF_SCAN else (start, stop))
        if marker in _NOT_DECODED:
            raise HyperguideError(
                f"{path} is {_NOT_DECODED[marker]}, which is not supported: save it as PNG."
            )
        if marker in (_BASELINE, _EXTENDED, _PROGRESSIVE) and frame is None:
            frame = marker, data
        if marker == START_OF_SCAN:
            break
    else:
        raise HyperguideError(f"The picture {path} is truncated: copy or download it again.")
    marker, data = frame or (0, b"")
    if len(data) < 6 or len(data) < 6 + 3 * data[5]:
        raise _damaged(path, "it has no frame before its first scan")
    if data[0] != 8:
        raise HyperguideError(
            f"{path} is a JPEG of {data[0]} bits, which is not supported: save it as a PNG of "
            "16 bits."
        )
    components = [data[6 + 3 * i : 9 + 3 * i] for i in range(data[5])]
    sampling = tuple((sample[1] >> 4, sample[1] & 15) for sample in components)
    if len(sampling) not in _COLORS:
        raise HyperguideError(f"{path} is a JPEG of {len(sampling)} planes: save it as PNG.")
    height, width = int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big")
    if width * height > _PIXELS_A_BYTE * len(content):
        raise HyperguideError(f"The picture {path} is truncated: copy or download it again.")
    return JpegHeader(width, height, sampling, marker == _PROGRESSIVE, tuple(parts))


def decode_jpeg(content: bytes, header: JpegHeader, path: Path) -> np.ndarray:
    """The pixels of a JPEG as stored: gray (H, W) or RGB (H, W, 3), uint8.

    Raises HyperguideError if a decoder would have to fill in missing data.
    """
    pixels = decode_components(content, header, path)
    if len(header.sampling) == 4:
        return rgb_of_inks(255 - pixels)  # all programs store inks as Adobe does, 255 for none
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def decode_components(content: bytes, header: JpegHeader, path: Path) -> np.ndarray:
    """The pixels of a JPEG as (H, W, 1) gray, (H, W, 3) RGB or (H, W, 4) inks as stored, uint8."""
    if header.progressive:
        _check_scans(content, header, path)
    content = _decodable(content, header)
    color = _COLORS[len(header.sampling)]
    try:
        try:
            return simplejpeg.decode_jpeg(content, color)
        except ValueError as error:
            left = re.search(r"(\d+) extraneous bytes before marker 0xd9", str(error))
            if left is None or int(left[1]) > _PADDING:
                raise
            return simplejpeg.decode_jpeg(content, color, strict=False)
    except ValueError as error:
        reason = str(error)
        if "Premature end of JPEG file" in reason:
            raise HyperguideError(
                f"The picture {path} is truncated: copy or download it again."
            ) from None
        if "subsampling level" in reason:
            raise _unusual(header, path) from None
        raise _damaged(path, reason) from None
    except KeyError:  # simplejpeg has no name for 4:4:1
        raise _unusual(header, path) from None


def _check_scans(content: bytes, header: JpegHeader, path: Path) -> None:
    scans = content.count(b"\xff\xda", header.parts[-1][0])
    if scans > _MANY_SCANS and scans * header.width * header.height > _MANY_STEPS:
        raise _damaged(path, f"{scans} scans of {header.width}x{header.height} pixels")


def _decodable(content: bytes, header: JpegHeader) -> bytes:
    """The JPEG without what libjpeg warns about although the picture is complete.

    That is junk between the segments of the header, JFIF and Adobe markers of unknown versions, and
    wrong parameters in the scan of a baseline picture, for which only one set is valid.
    """
    pieces = [JPEG]
    for start, stop in header.parts:
        marker, data = content[start + 1], start + 4
        if marker == _APP0 and content.startswith(b"JFIF\0", data) and content[data + 5] != 1:
            continue
        piece = content[start:stop]
        if marker == _APP14 and content.startswith(b"Adobe", data) and stop - data >= 12:
            transforms = (0, 2) if len(header.sampling) == 4 else (0, 1)
            if piece[15] not in transforms:  # libjpeg assumes the second one
                piece = piece[:15] + bytes([transforms[1]]) + piece[16:]
        if marker == START_OF_SCAN and not header.progressive:
            end = 2 + int.from_bytes(piece[2:4], "big")
            if piece[end - 3 : end] != _WHOLE_SCAN:
                piece = piece[: end - 3] + _WHOLE_SCAN + piece[end:]
        pieces.append(piece)
    return b"".join(pieces)


def _unusual(header: JpegHeader, path: Path) -> HyperguideError:
    sampling = ", ".join(f"{x}x{y}" for x, y in header.sampling)
    return HyperguideError(
        f"{path} is a JPEG of an unusual chroma sampling ({sampling}), which is not supported: "
        "save it as PNG."
    )


def _damaged(path: Path, reason: str) -> HyperguideError:
    return HyperguideError(f"The picture {path} is damaged ({reason}): copy or download it again.")
