"""HDR10's data about the mastering display, from frames to the options of encoders."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .av_library import av

# FFmpeg's AVMasteringDisplayMetadata: primaries R, G, B (x, y each), white point (x, y), least and
# greatest luminance, all as fractions of two int32; then two flags.
_MASTERING = struct.Struct("<20i2i")
_LIGHT = struct.Struct("<2I")  # AVContentLightMetadata

_CHROMATICITY_STEP, _LUMINANCE_STEP = 50_000, 10_000  # of HEVC's SEI messages (H.265, D.3.28)


@dataclass(frozen=True)
class Hdr:
    """Mastering display and light level.

    display: x and y of red, green, blue and white, then the least and the greatest luminance in
        candela per square metre; None if unknown. light: greatest level of a pixel, and of a
        frame's mean; None if unknown.
    """

    display: tuple[float, ...] | None
    light: tuple[int, int] | None

    def options(self, encoder: str) -> dict[str, str]:
        """Parameters for an encoder; empty if it takes none."""
        if encoder == "libx265":
            return self._joined("x265-params", self._x265())
        if encoder == "libsvtav1":
            return self._joined("svtav1-params", self._svt())
        return {}

    def _joined(self, name: str, parts: Mapping[str, str]) -> dict[str, str]:
        words = ":".join(f"{key}={value}" for key, value in parts.items())
        return {name: words} if words else {}

    def _x265(self) -> dict[str, str]:
        parts = {}
        if self.display is not None:
            steps = [round(v * _CHROMATICITY_STEP) for v in self.display[:8]]
            low, high = (round(v * _LUMINANCE_STEP) for v in self.display[8:])
            red, green, blue, white = (f"({steps[i]},{steps[i + 1]})" for i in (0, 2, 4, 6))
            parts["master-display"] = f"G{green}B{blue}R{red}WP{white}L({high},{low})"
        if self.light is not None:
            parts["max-cll"] = f"{self.light[0]},{self.light[1]}"
        return parts

    def _svt(self) -> dict[str, str]:
        parts = {}
        if self.display is not None:
            values = [f"{v:.4f}" for v in self.display]
            red, green, blue, white = (f"({values[i]},{values[i + 1]})" for i in (0, 2, 4, 6))
            parts["mastering-display"] = f"G{green}B{blue}R{red}WP{white}L({values[9]},{values[8]})"
        if self.light is not None:
            parts["content-light"] = f"{self.light[0]},{self.light[1]}"
        return parts


def hdr_of(frame: av.VideoFrame) -> Hdr | None:
    """What a frame says about HDR10; None if nothing."""
    display: tuple[float, ...] | None = None
    light: tuple[int, int] | None = None
    side_data: Any = frame.side_data
    for data in side_data:
        content = bytes(data)
        if data.type.name == "MASTERING_DISPLAY_METADATA" and len(content) >= _MASTERING.size:
            *numbers, has_primaries, has_luminance = _MASTERING.unpack_from(content)
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            values = tuple(top / bottom if bottom else 0.0 for top, bottom in pairs)
            display = values if has_primaries and has_luminance else None
        elif data.type.name == "CONTENT_LIGHT_LEVEL" and len(content) >= _LIGHT.size:
            most, mean = _LIGHT.unpack_from(content)
            light = most, mean
    return Hdr(display, light) if display or light else None
