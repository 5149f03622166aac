"""Reads and writes picture files of every format, and the maps and kernels stored in them.

Other packages import from here; the modules are internal. `pictures` reads and writes: `header`
refuses files that are truncated, too large or structurally damaged, `decoding` other damage.
JPEG, BMP and TIFF have their own modules; PNG and WebP are checked in `header` and decoded by
OpenCV, which notices wrong checksums.
"""

from .format import looks_like_picture
from .kernels import KERNEL_SUFFIXES, encode_kernel, read_kernel
from .maps import decode_map, draw_text, encode_map, false_color, gray_plane, read_map
from .metadata.metadata import NO_METADATA, Metadata
from .pictures import (
    PICTURE_SUFFIXES,
    check_size,
    check_suffix,
    decode_picture,
    encode_picture,
    find_pictures,
    read_bytes,
    read_picture,
    read_with_metadata,
    write_bytes,
    write_picture,
)

__all__ = [
    "KERNEL_SUFFIXES",
    "NO_METADATA",
    "PICTURE_SUFFIXES",
    "Metadata",
    "check_size",
    "check_suffix",
    "decode_map",
    "decode_picture",
    "draw_text",
    "encode_kernel",
    "encode_map",
    "encode_picture",
    "false_color",
    "find_pictures",
    "gray_plane",
    "looks_like_picture",
    "read_bytes",
    "read_kernel",
    "read_map",
    "read_picture",
    "read_with_metadata",
    "write_bytes",
    "write_picture",
]
