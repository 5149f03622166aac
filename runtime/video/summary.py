"""What happened to a video: frames, time, the share of each stage, the maps that were found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hyperguide.tasks import Guidance


def level(value: float, meaning: Guidance) -> str:
    """A map value in words, such as `noise level 4.2/255`."""
    unit = "/255" if _scale(meaning) == 255 else ""
    return f"{meaning.name.replace('_', ' ')} {_scale(meaning) * value:.3g}{unit}"


def _scale(meaning: Guidance) -> int:
    """Noise levels are told in levels of 255, as everybody does."""
    return 255 if meaning.is_noise else 1


@dataclass
class MapStatistics:
    """Mean map values of frames."""

    frames: int = 0
    total: float = 0.0
    least: float = math.inf
    most: float = -math.inf

    def add(self, mean: float) -> None:
        """Add the mean of a frame's map."""
        self.add_many(1, mean, mean, mean)

    def add_many(self, frames: int, total: float, least: float, most: float) -> None:
        """Add frames by their sum, least and greatest mean."""
        self.frames += frames
        self.total += total
        self.least, self.most = min(self.least, least), max(self.most, most)

    def words(self, meaning: Guidance) -> str:
        """The statistics as text, in the map's unit; "" without frames."""
        if not self.frames:
            return ""
        scale = _scale(meaning)
        mean = level(self.total / self.frames, meaning)
        return f"{mean} on average, {scale * self.least:.3g} to {scale * self.most:.3g}"


@dataclass
class Summary:
    """What happened to a video.

    frames: enhanced in this run. before: those that an earlier run had done. seconds: of this run.
    busy: seconds that each stage was busy. until: seconds of video that the output holds.
    notes: what the user should know. complete: whether the output holds the whole source.
    averaged: whether maps are those of averaged frames.
    """

    frames: int = 0
    before: int = 0
    seconds: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)
    maps: MapStatistics = field(default_factory=MapStatistics)
    until: float = 0.0
    notes: list[str] = field(default_factory=list)
    complete: bool = True
    averaged: bool = False

    def words(self, meaning: Guidance) -> str:
        """The summary in a line or two."""
        rate = self.frames / self.seconds if self.seconds else 0.0
        parts = [f"{self.frames} frames in {self.seconds:.1f} s, {rate:.1f} frames/s"]
        if self.before:
            parts[0] = f"{self.before} frames were done before; {parts[0]}"
        if self.seconds and self.busy:
            slowest = max(self.busy, key=lambda name: self.busy[name])
            shares = (
                f"{name} {100 * busy / self.seconds:.0f} %" + (" (slowest)" * (name == slowest))
                for name, busy in self.busy.items()
            )
            parts.append(f"busy: {', '.join(shares)}")
        if found := self.maps.words(meaning):
            parts.append(found + ", after averaging over time" * self.averaged)
        return "; ".join(parts)
