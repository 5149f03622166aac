"""How a frame's planes code colour: matrix, range, bit depth, subsampling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

# Luma weights of red and blue by the number that a stream gives its matrix (ITU-T H.273, table 4).
_WEIGHTS: dict[int, tuple[str, float, float]] = {
    1: ("bt709", 0.2126, 0.0722),
    4: ("fcc", 0.30, 0.11),
    5: ("bt470bg", 0.299, 0.114),
    6: ("smpte170m", 0.299, 0.114),
    7: ("smpte240m", 0.212, 0.087),
    9: ("bt2020nc", 0.2627, 0.0593),
}
_RGB, _BT709, _BT601 = 0, 1, 6
_UNSPECIFIED = 2
# Matrices without constant weights are replaced by the one with the same primaries; the way back
# by the difference keeps what the network leaves alone.
_REPLACED = {10: 9, 14: 9}  # BT.2020 constant luminance, ICtCp
_LIMITED, _FULL = 1, 2  # FFmpeg's numbers of the ranges

# Pictures of this height and more are taken for BT.709 where nothing is said, as players do.
_HIGH_DEFINITION = 720

_PLANAR = re.compile(
    r"(?:yuv(?P<jpeg>j)?(?P<alpha>a)?(?P<sub>410|411|420|422|444|440)p|gbr(?P<rgba>a)?p|(?P<gray>gray))"
    r"(?P<depth>9|10|12|14|16)?(?:le)?"
)

# Columns and rows of luma per chroma value.
_SUBSAMPLING = {
    "410": (4, 4),
    "411": (4, 1),
    "420": (2, 2),
    "422": (2, 1),
    "440": (1, 2),
    "444": (1, 1),
}

# Formats that FFmpeg repacks to a planar one without changing a value.
_REPACKED = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p016le": "yuv420p16le",
    "p210le": "yuv422p10le",
    "p410le": "yuv444p10le",
    "y210le": "yuv422p10le",
    "pal8": "gbrp",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "rgb0": "gbrp",
    "bgr0": "gbrp",
    "0rgb": "gbrp",
    "0bgr": "gbrp",
    "rgba": "gbrap",
    "bgra": "gbrap",
    "argb": "gbrap",
    "abgr": "gbrap",
    "rgb48le": "gbrp16le",
    "rgba64le": "gbrap16le",
}


@dataclass(frozen=True)
class PlaneFormat:
    """A planar pixel format.

    name: as FFmpeg calls it. kind: `yuv`, `rgb` (planes G, B, R) or `gray`.
    depth: bits of a value. sub: columns and rows of luma per chroma value.
    alpha: whether the last plane is alpha. jpeg: whether the name itself says full range.
    """

    name: str
    kind: Literal["yuv", "rgb", "gray"]
    depth: int
    sub: tuple[int, int] = (1, 1)
    alpha: bool = False
    jpeg: bool = False

    @property
    def planes(self) -> int:
        """Number of planes."""
        return (1 if self.kind == "gray" else 3) + self.alpha


@dataclass(frozen=True)
class Coding:
    """How numbers in planes mean colours.

    matrix: its number in H.273. red, blue: its luma weights. full_range: whether black is 0 and
        white the highest value, rather than 16/255 and 235/255.
    """

    format: PlaneFormat
    matrix: int
    red: float
    blue: float
    full_range: bool


def plane_format(name: str) -> PlaneFormat | None:
    """The planar format called `name`; None if it is not one that can be enhanced in place."""
    match = _PLANAR.fullmatch(name)
    if match is None or (name.endswith("le") and match["depth"] is None):
        return None
    depth = int(match["depth"] or 8)
    if match["gray"]:
        return PlaneFormat(name, "gray", depth)
    if match["sub"] is None:
        return PlaneFormat(name, "rgb", depth, alpha=bool(match["rgba"]))
    sub = _SUBSAMPLING[match["sub"]]
    return PlaneFormat(name, "yuv", depth, sub, bool(match["alpha"]), bool(match["jpeg"]))


def planar_name(name: str, bits: int, is_rgb: bool) -> tuple[str, bool]:
    """The planar format in which frames of the format `name` are enhanced.

    bits: of a component. Returns its name, and whether going there changes no value.
    """
    if plane_format(name) is not None:
        return name, True
    if name in _REPACKED:
        return _REPACKED[name], True
    if name.endswith("be") and plane_format(name[:-2] + "le") is not None:
        return name[:-2] + "le", True
    deep = "" if bits <= 8 else "10le" if bits <= 10 else "12le" if bits <= 12 else "16le"
    return (f"gbrp{deep}" if is_rgb else f"yuv444p{deep}"), False


def coding_of(format: PlaneFormat, height: int, matrix: int, range: int) -> tuple[Coding, str]:
    """The coding of frames, and what had to be assumed as a sentence, "" if nothing.

    matrix, range: the stream's numbers, as in H.273 and FFmpeg.
    """
    if format.kind == "rgb":
        return Coding(format, _RGB, 1 / 3, 1 / 3, True), ""
    if format.kind == "gray":  # which FFmpeg takes for full range unless told otherwise
        return Coding(format, _RGB, 1 / 3, 1 / 3, range != _LIMITED), ""
    assumed = []
    known = _REPLACED.get(matrix, matrix)
    if known not in _WEIGHTS:
        known = usual_matrix(height)
        said = "unspecified" if matrix == _UNSPECIFIED else f"number {matrix}"
        assumed.append(f"The colour matrix is {said}: {_WEIGHTS[known][0]} is assumed.")
    elif known != matrix:
        assumed.append(f"Colour matrix number {matrix} is treated as {_WEIGHTS[known][0]}.")
    if range not in (_LIMITED, _FULL) and not format.jpeg:
        assumed.append("The range is unspecified: limited is assumed.")
    _, red, blue = _WEIGHTS[known]
    full = range == _FULL or format.jpeg
    return Coding(format, known, red, blue, full), " ".join(assumed)


def usual_matrix(height: int) -> int:
    """The matrix that players take for pictures which do not name theirs."""
    return _BT709 if height >= _HIGH_DEFINITION else _BT601


def output_tags(source: Coding, matrix: int, range: int, name: str, height: int) -> tuple[int, int]:
    """Numbers of the matrix and range of frames in the pixel format `name`.

    source: of the frames before. matrix, range: their tags. Tags stay, also those that say nothing,
    unless the format itself or its kind says otherwise.
    """
    bare = name.removesuffix("le")
    target = plane_format(_REPACKED.get(name, name))
    if target is not None and target.kind == "rgb":
        return _RGB, _FULL
    full = bare.startswith("yuvj") or source.format.jpeg
    if source.format.kind == "rgb":
        return usual_matrix(height), _FULL if full else _LIMITED
    return matrix, _FULL if full else range
