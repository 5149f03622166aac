"""Resolutions in dots per metre, as PNG and BMP hold them, and in dots per inch."""

from __future__ import annotations

_INCH = 0.0254  # metres
_MOST = (1 << 31) - 1  # of PNG's numbers, and BMP's


def per_metre(density: tuple[float, float]) -> tuple[int, int]:
    """Dots per metre of dots per inch, as PNG and BMP hold them."""
    x, y = (max(1, min(round(dots / _INCH), _MOST)) for dots in density)
    return x, y


def per_inch(x: int, y: int) -> tuple[float, float] | None:
    """Dots per inch of dots per metre; None if there are none.

    A whole number of which those are the dots per metre, rounded, is meant.
    """
    dots = [round(n * _INCH) if round(round(n * _INCH) / _INCH) == n else n * _INCH for n in (x, y)]
    return (dots[0], dots[1]) if x and y else None
