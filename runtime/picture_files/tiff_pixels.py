"""Turns the blocks of a TIFF into pixels: gray, RGB or RGBA, upright, black as 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .inks import rgb_of_inks
from .orientation import upright
from .tiff_blocks import read_blocks
from .tiff_page import FLOATING, HORIZONTAL, INKS, JPEG, PALETTE, WHITE_IS_ZERO, Page
from .transparency import straight_alpha

_MULTIPLIED = 1  # premultiplied alpha, a value of the field ExtraSamples
_BYTES = 1 << 20  # of packed samples that are unpacked at a time


def decode_tiff(content: bytes, page: Page, path: Path) -> np.ndarray:
    """The upright pixels of a page: (H, W), (H, W, 3) or (H, W, 4).

    uint8, uint16 or float32; samples of fewer bits are scaled to 8 or 16.
    Raises HyperguideError if a part of them is missing or damaged.
    """
    picture = _as_picture(_stored(content, page, path), page)
    return upright(picture, page.orientation)


def _stored(content: bytes, page: Page, path: Path) -> np.ndarray:
    """The samples as stored, shape (H, W, samples)."""
    dtype = np.dtype(np.float32 if page.is_float else np.uint16 if page.bits > 8 else np.uint8)
    stored = np.empty((page.height, page.width, page.samples), dtype)
    down = -(-page.height // page.block_height)
    for number, block in enumerate(read_blocks(content, page, path)):
        plane, place = divmod(number, page.blocks_across * down)
        y, x = divmod(place, page.blocks_across)
        samples = _samples(block, page)
        part = stored[y * page.block_height :, x * page.block_width :]
        part = part[: len(samples), : page.block_width]
        seen = samples[: part.shape[0], : part.shape[1]]
        if page.planar:
            part[..., plane] = seen[..., 0]
        else:
            part[...] = seen
    return stored


def _samples(block: np.ndarray, page: Page) -> np.ndarray:
    """The samples of a block, shape (rows, columns, samples), with the predictor undone."""
    shape = len(block), page.block_width, page.block_samples
    if page.compression == JPEG:
        return block.reshape(shape)
    if page.predictor == FLOATING:
        return _floats(block, shape)
    if page.bits in (8, 16, 32):
        samples = block.view(f"{page.order}u{page.bits // 8}").reshape(shape)
        samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
        if page.predictor == HORIZONTAL:
            samples = np.cumsum(samples, 1, samples.dtype)
        return samples.view(np.float32) if page.is_float else samples
    return _unpacked(block, page.bits, shape)


def _floats(block: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Undo the predictor of floats (Adobe's Technical Note 3).

    The bytes of a row are sorted by significance, and each is the difference to the previous one.
    """
    block = np.cumsum(block.reshape(shape[0], -1, shape[2]), 1, np.uint8).reshape(shape[0], 4, -1)
    return np.ascontiguousarray(block.swapaxes(1, 2)).view(">f4").reshape(shape).astype(np.float32)


def _unpacked(block: np.ndarray, bits: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Unpack samples that are not whole bytes, highest bit first."""
    rows, columns, samples = shape
    values = np.empty((rows, columns * samples), np.uint16 if bits > 8 else np.uint8)
    weights = (1 << np.arange(bits)[::-1]).astype(values.dtype)
    step = max(1, _BYTES // block.shape[1])
    for first in range(0, rows, step):
        single = np.unpackbits(block[first : first + step], axis=1, count=bits * columns * samples)
        values[first : first + step] = single.reshape(-1, columns * samples, bits) @ weights
    return values.reshape(shape)


def _as_picture(stored: np.ndarray, page: Page) -> np.ndarray:
    if page.photometric == PALETTE:
        return _colors(page)[stored[..., 0]]
    if not page.is_float:
        stored = _spread(stored, page.bits)
    if page.photometric == WHITE_IS_ZERO:
        full = np.iinfo(stored.dtype).max
        stored[..., 0] = full - stored[..., 0]
    if page.photometric == INKS:
        return rgb_of_inks(stored)
    if page.samples == 2:
        stored = stored[..., [0, 0, 0, 1]]
    if page.alpha == _MULTIPLIED:
        return straight_alpha(stored)
    return stored[..., 0] if stored.shape[2] == 1 else stored


def _colors(page: Page) -> np.ndarray:
    """A palette, shape (levels, 3), uint8."""
    colors = np.array(page.color_map, np.uint16).reshape(3, -1).T
    # Some writers store 8 bits rather than 16.
    return (colors if colors.max() < 256 else colors >> 8).astype(np.uint8)


def _spread(stored: np.ndarray, bits: int) -> np.ndarray:
    """Scale samples to the whole range of their type, so that the highest one is white."""
    full = np.iinfo(stored.dtype).max
    steps = (1 << bits) - 1
    if steps == full:
        return stored
    levels = (np.arange(steps + 1, dtype=np.uint32) * full + steps // 2) // steps
    return levels.astype(stored.dtype)[stored]
