"""Plots as SVG text: axes, curves and a legend."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_WIDTH, _HEIGHT = 600, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 14, 46

# Okabe and Ito's colours, which colour-blind readers can tell apart; none is near black or white,
# so they work on light and dark pages.
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b8a800", "#8c8c8c")
# When colours repeat, curves are dashed: pixels of line and gap.
_DASHES = ((1, 0), (7, 3), (2, 3))


@dataclass(frozen=True)
class Curve:
    """Points of one subject.

    steps: whether each value holds until the next point. dots: whether points are marked.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    steps: bool = False
    dots: bool = False


@dataclass(frozen=True)
class _Axis:
    """Maps values to pixels."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (self._scaled(v) for v in (self.low, self.high, value))
        return self.begin + (at - low) / (high - low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round values within the axis."""
        if self.log and self.high / self.low > 8:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [m * 10.0**d for d in decades for m in (1, 2, 5)]
        else:
            rough = (self.high - self.low) / 5
            unit = 10 ** math.floor(math.log10(rough))
            step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough)
            first = math.ceil(self.low / step)
            found = [i * step for i in range(first, math.floor(self.high / step) + 1)]
        return [value for value in found if self.low <= value <= self.high * (1 + 1e-9)]

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


def plot(
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    log_x: bool = False,
    zero_y: bool = False,
    x_ticks: Sequence[float] | None = None,
) -> str:
    """Draw curves with axes and a legend, as an HTML fragment.

    log_x: whether the x axis is logarithmic. zero_y: whether the y axis starts at 0.
    x_ticks: the values to mark; round ones by default.
    """
    xs = [value for curve in curves for value in curve.x]
    ys = [value for curve in curves for value in curve.y]
    across = _Axis(*_range(xs, log_x), _LEFT, _WIDTH - _RIGHT, log_x)
    low, high = _range(ys, False)
    up = _Axis(0.0 if zero_y else low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = _axes(across, up, across.ticks() if x_ticks is None else x_ticks)
    parts += _labels(x_label, y_label)
    for number, curve in enumerate(curves):
        parts += _drawn(curve, across, up, *_look(number))
    label = html.escape(f"{y_label} over {x_label}")
    drawing = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )
    legend = "".join(
        f'<span><i style="background:{_swatch(i)}"></i>{html.escape(c.name)}</span>'
        for i, c in enumerate(curves)
    )
    return f'<div class="wide">{drawing}</div><div class="legend">{legend}</div>'


def _look(number: int) -> tuple[str, tuple[int, int]]:
    """Colour and dashes of a curve by its index."""
    again, color = divmod(number, len(_COLORS))
    return _COLORS[color], _DASHES[again % len(_DASHES)]


def _swatch(number: int) -> str:
    """The same as a CSS background."""
    color, (line, gap) = _look(number)
    end = line + gap
    return f"repeating-linear-gradient(90deg,{color} 0 {line}px,transparent {line}px {end}px)"


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    """A range around values, with some margin."""
    low, high = min(values), max(values)
    if log:
        room = max((high / low) ** 0.06, 1.1)
        return low / room, high * room
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _axes(across: _Axis, up: _Axis, x_ticks: Sequence[float]) -> list[str]:
    bottom, left = _HEIGHT - _BOTTOM, _LEFT
    parts = []
    for value in x_ticks:
        x = across(value)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 17, f"{value:g}", "middle"))
    for value in up.ticks():
        y = up(value)
        end = _WIDTH - _RIGHT
        parts.append(f'<line class="axis" x1="{left}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 8, y + 4, f"{value:g}", "end"))
    return parts


def _labels(x_label: str, y_label: str) -> list[str]:
    across, up = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _HEIGHT - _BOTTOM) / 2
    turned = f'class="soft" text-anchor="middle" transform="translate(14 {up:.0f}) rotate(-90)"'
    return [
        _text(across, _HEIGHT - 8, x_label, "middle", "soft"),
        f"<text {turned}>{html.escape(y_label)}</text>",
    ]


def _drawn(
    curve: Curve, across: _Axis, up: _Axis, color: str, dashes: tuple[int, int]
) -> list[str]:
    points = [(across(x), up(y)) for x, y in zip(curve.x, curve.y, strict=True)]
    parts = []
    if len(points) > 1:
        path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
        for (_, before), (x, y) in pairwise(points):
            path += f"H{x:.1f}V{y:.1f}" if curve.steps and y != before else f"L{x:.1f} {y:.1f}"
        dashed = f' stroke-dasharray="{dashes[0]} {dashes[1]}"' if dashes[1] else ""
        parts.append(f'<path class="curve" d="{path}" stroke="{color}"{dashed}/>')
    if curve.dots or len(points) == 1:
        look = f'fill="none" stroke="{color}" stroke-width="2"' if dashes[1] else f'fill="{color}"'
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" {look}/>' for x, y in points]
    return parts


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return (
        f'<text{of_kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
    )
