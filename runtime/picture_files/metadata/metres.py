"""Converts resolutions between dots per metre, as PNG and BMP hold them, and dots per inch."""

from __future__ import annotations

_INCH = 0.0254  # metres
_MOST = (1 << 31) - 1  # largest number in PNG and BMP


def per_metre(density: tuple[float, float]) -> tuple[int, int]:
    """Convert dots per inch to dots per metre, as PNG and BMP hold them."""
    x, y = (max(1, min(round(dots / _INCH), _MOST)) for dots in density)
    return x, y


def per_inch(x: int, y: int) -> tuple[float, float] | None:
    """Convert dots per metre to dots per inch; None if either is 0.

    Returns a whole number where the dots per metre are its rounded conversion.
    """
    dots = [round(n * _INCH) if round(round(n * _INCH) / _INCH) == n else n * _INCH for n in (x, y)]
    return (dots[0], dots[1]) if x and y else None
