"""Reads how a page of a TIFF file stores its picture, and whether that is supported.

Fields and values are those of Adobe's TIFF 6.0 and its supplements.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from hyperguide.errors import HyperguideError

from .tiff import EXTRA_SAMPLES, ORIENTATION, SAMPLES, Directory, ends_well, read_directories

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _DESCRIPTION, _STRIP_OFFSETS, _STRIP_ROWS, _STRIP_BYTES = 266, 270, 273, 278, 279
_PLANAR, _PREDICTOR, _COLOR_MAP, _INK_SET, _SAMPLE_FORMAT = 284, 317, 320, 332, 339
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_JPEG_TABLES, _METAMORPH_PLANES, _DNG_VERSION = 347, 33629, 50706

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR = 0, 1, 2, 3, 5, 6
_COLOR_PLANES = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, INKS: 4, YCBCR: 3}
_SPACES = {
    -1: "unknown",
    YCBCR: "YCbCr",
    4: "mask",
    8: "CIE Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32844: "LogL",
    32845: "LogLuv",
}
_UNSIGNED, _FLOAT, _UNDEFINED = 1, 3, 4

NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACK_BITS, LZMA = 1, 5, 7, 8, 32946, 32773, 34925
_READ = (NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACK_BITS, LZMA)
PREDICTED = (LZW, DEFLATE, OLD_DEFLATE, LZMA)  # other methods have no predictor
_OTHER = {
    2: "the fax's code (CCITT)",
    3: "the fax's code (CCITT Group 3)",
    4: "the fax's code (CCITT Group 4)",
    6: "JPEG of the old kind",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT's code",
    32771: "the fax's code (CCITT)",
    32809: "ThunderScan",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "LogLuv",
    34677: "LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
WITHOUT, HORIZONTAL, FLOATING = 1, 2, 3


@dataclass(frozen=True)
class Page:
    """How the picture of a page is stored.

    samples: planes stored, alpha last. alpha: 0 none or unspecified, 1 premultiplied, 2 straight.
    block_width, block_height: of the strips or tiles that it is split into.
    spans: offset and bytes of each block, plane after plane if `planar`.
    predictor: 1 none, 2 differences to the previous pixel, 3 differences of the bytes of floats.
    color_map: of palettes, the reds, greens and blues, 16 bits each.
    tables: what JPEG blocks have in common.
    """

    order: str
    width: int
    height: int
    samples: int
    bits: int
    is_float: bool
    photometric: int
    alpha: int
    compression: int
    predictor: int
    tiled: bool
    planar: bool
    reversed_bits: bool
    block_width: int
    block_height: int
    spans: tuple[tuple[int, int], ...]
    color_map: tuple[int, ...]
    tables: bytes
    orientation: int

    @property
    def blocks_across(self) -> int:
        """Number of blocks across the width; strips are as wide as the picture."""
        return math.ceil(self.width / self.block_width)

    @property
    def block_samples(self) -> int:
        """Samples per pixel within a block."""
        return 1 if self.planar else self.samples

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a block, decompressed: rows start at whole bytes."""
        return (self.block_width * self.block_samples * self.bits + 7) // 8

    @property
    def planes(self) -> int:
        """Planes of the decoded picture: gray 1, RGB 3, RGBA 4."""
        color = _COLOR_PLANES[self.photometric]
        return 4 if self.samples > color else 1 if color == 1 and not self.color_map else 3

    @property
    def sample_bytes(self) -> int:
        """Bytes per sample of the decoded picture."""
        return 4 if self.is_float else 2 if self.bits > 8 and not self.color_map else 1


def read_page(content: bytes, path: Path) -> Page:
    """The only page of a TIFF file. Raises HyperguideError if it is damaged or not supported."""
    pages = read_directories(content)
    if not pages or not ends_well(pages):
        raise HyperguideError(f"The picture {path} is damaged: copy or download it again.")
    if pages[0].number(_SUBFILE, 0) & 1 or _DNG_VERSION in pages[0].fields:
        raise HyperguideError(f"{path} is a raw photo: develop it first, as a 16-bit TIFF, say.")
    # Reduced pictures and masks of the first one do not count as pages.
    count = sum(not page.number(_SUBFILE, 0) & 0b101 for page in pages)
    count = max(count, _stack(pages[0]))
    if count > 1:
        raise HyperguideError(
            f"{path} holds {count} pages, of which one would be left: save them as files of "
            "their own."
        )
    problem = _problem(pages[0])
    if problem:
        raise HyperguideError(f"{path} {problem}.")
    return _page(pages[0], path)


def _stack(page: Directory) -> int:
    """The number of pictures in a single directory, as microscope programs store stacks."""
    planes = page.fields.get(_METAMORPH_PLANES)
    if planes is not None:
        return planes.count
    text = page.data(_DESCRIPTION)[:4096]
    images = re.search(rb"^images=(\d{1,9})", text, re.MULTILINE)
    if text.startswith(b"ImageJ=") and images is not None:
        return int(images[1])
    shape = re.match(rb'\{"shape": \[(\d{1,9}(?:, \d{1,9}){0,9})\]', text)  # tifffile's
    pixels = page.number(_WIDTH, 0) * page.number(_HEIGHT, 0) * page.number(SAMPLES, 1)
    if shape is None or pixels == 0:
        return 1
    return math.prod(int(side) for side in shape[1].split(b", ")) // pixels


def _problem(page: Directory) -> str:
    """Why a page is not supported, and what to do about it; empty if it is supported."""
    photometric, samples = page.number(_PHOTOMETRIC, -1), page.number(SAMPLES, 1)
    bits, form = page.number(_BITS, 1), page.number(_SAMPLE_FORMAT, _UNSIGNED)
    compression, predictor = page.number(_COMPRESSION, NONE), page.number(_PREDICTOR, WITHOUT)
    if compression not in _READ:
        name = _OTHER.get(compression, f"method {compression}")
        return (
            f"is a TIFF compressed by {name}, which is not supported: save it with LZW or Deflate"
        )
    if photometric not in _COLOR_PLANES or (photometric == YCBCR and compression != JPEG):
        space = _SPACES.get(photometric, str(photometric))
        return f"is a TIFF of colour space {space}, neither gray nor RGB: convert it to RGB"
    if photometric == INKS and page.number(_INK_SET, 1) != 1:
        return "is a TIFF of inks other than CMYK: convert it to RGB"
    color = _COLOR_PLANES[photometric]
    if samples not in ((color, color + 1) if photometric in (0, 1, RGB) else (color,)):
        return f"is a TIFF of {samples} planes: save it as gray, RGB or RGBA"
    if len(set(page.numbers(_BITS))) > 1:
        return "is a TIFF of planes that differ in depth: convert it to 8 or 16 bits"
    if form not in (_UNSIGNED, _FLOAT, _UNDEFINED) or not (
        bits == 32 if form == _FLOAT else 1 <= bits <= 16
    ):
        kind = {2: "int", _FLOAT: "float"}.get(form, "uint")
        return f"has samples of type {kind}{bits}: convert it to 8 or 16 bits, or float32"
    if form == _FLOAT and photometric not in (BLACK_IS_ZERO, RGB):
        return "is a TIFF of floats that are neither gray nor RGB: convert it to RGB"
    if photometric == PALETTE and bits > 8:
        return f"is a TIFF with a palette of {bits} bits: convert it to RGB"
    if photometric == INKS and bits not in (8, 16):
        return f"is a TIFF of inks of {bits} bits: convert it to RGB"
    if compression == JPEG and bits != 8:
        return f"is a TIFF compressed by JPEG of {bits} bits: save it with LZW or Deflate"
    fitting = {WITHOUT: True, HORIZONTAL: bits in (8, 16, 32), FLOATING: form == _FLOAT}
    if compression in PREDICTED and not fitting.get(predictor, False):
        return f"is a TIFF of {bits} bits with predictor {predictor}: save it without compression"
    return ""


def _page(page: Directory, path: Path) -> Page:
    tiled = _TILE_OFFSETS in page.fields
    width, height = page.number(_WIDTH, 0), page.number(_HEIGHT, 0)
    rows = page.number(_STRIP_ROWS, height) or height
    block_width, block_height = (
        (page.number(_TILE_WIDTH, 0), page.number(_TILE_HEIGHT, 0))
        if tiled
        else (width, min(rows, height))
    )
    if min(width, height, block_width, block_height) < 1:
        raise HyperguideError(f"The picture {path} is damaged: its header gives no size.")
    samples = page.number(SAMPLES, 1)
    planar = samples > 1 and page.number(_PLANAR, 1) == 2
    count = math.ceil(width / block_width) * math.ceil(height / block_height)
    count *= samples if planar else 1
    offsets = page.numbers(_TILE_OFFSETS if tiled else _STRIP_OFFSETS)
    lengths = page.numbers(_TILE_BYTES if tiled else _STRIP_BYTES)
    bits = page.number(_BITS, 1)
    compression, predictor = page.number(_COMPRESSION, NONE), page.number(_PREDICTOR, WITHOUT)
    if not lengths and compression == NONE and not tiled:  # may be left out
        row = (width * (1 if planar else samples) * bits + 7) // 8
        lengths = (row * block_height,) * len(offsets)
    if min(len(offsets), len(lengths)) < count:
        raise HyperguideError(f"The picture {path} is damaged: parts of it are missing.")
    photometric = page.number(_PHOTOMETRIC, -1)
    color_map: tuple[int, ...] = ()
    if photometric == PALETTE:
        color_map = page.numbers(_COLOR_MAP)
        if len(color_map) != 3 << bits or max(color_map) > 65535:
            raise HyperguideError(f"The picture {path} is damaged: its palette is not one.")
    return Page(
        order=page.order,
        width=width,
        height=height,
        samples=samples,
        bits=bits,
        is_float=page.number(_SAMPLE_FORMAT, _UNSIGNED) == _FLOAT,
        photometric=photometric,
        alpha=page.number(EXTRA_SAMPLES, 0) if samples > _COLOR_PLANES[photometric] else 0,
        compression=compression,
        predictor=predictor if compression in PREDICTED else WITHOUT,
        tiled=tiled,
        planar=planar,
        reversed_bits=page.number(_FILL_ORDER, 1) == 2,
        block_width=block_width,
        block_height=block_height,
        spans=tuple(zip(offsets[:count], lengths[:count], strict=True)),
        color_map=color_map,
        tables=page.data(_JPEG_TABLES),
        orientation=page.number(ORIENTATION, 1),
    )
