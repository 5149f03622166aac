"""D_h and D_tr: batches {y, x, sigma} made on the fly from clean photos."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Generator

from hyperguide.errors import HyperguideError

from .bilevel import Sample
from .degradations import DEGRADATIONS, Haze, Noise, Rain
from .losses import luma
from .photos import Photos, find_scenes, read_streaks, sample_crops, split_held_out
from .preset import Preset, Stage, build

Degradation = Noise | Rain | Haze

HELD_OUT_SHARE = 0.05


@dataclass(frozen=True)
class Data:
    """Photos and how to degrade them, for training and for validation.

    channels: planes of the batches, 3 or 1.
    description: what the data is, in words; it ends up in the model file.
    fingerprint: changes when photos or streak layers come or go; a resume compares it.
    """

    train: Photos
    held_out: Photos
    train_degradation: Degradation
    held_out_degradation: Degradation
    channels: int
    description: str
    fingerprint: str

    def train_batch(self, stage: Stage, rng: Generator) -> Sample:
        """A batch of the photos to train on."""
        return draw_batch(self.train, self.train_degradation, self.channels, stage, rng)

    def held_out_batch(self, stage: Stage, rng: Generator) -> Sample:
        """A batch of the photos held out."""
        return draw_batch(self.held_out, self.held_out_degradation, self.channels, stage, rng)

    def record(self) -> dict[str, Any]:
        """Facts about the data for checkpoints and model files; no path of the machine."""
        bank = getattr(self.train_degradation, "bank", ())
        return {
            "description": self.description,
            "photos": len(self.train),
            "held_out": len(self.held_out),
            "streak_layers": len(bank),
            "fingerprint": self.fingerprint,
        }


def open_data(
    preset: Preset, folders: list[Path], streaks: Path | None = None, description: str = ""
) -> Data:
    """Find the photos, split off the held-out ones, and set up the task's degradation.

    The folders' own names serve where there is no description. Raises HyperguideError where the
    photos, the streak layers or the preset's degradation cannot be used.
    """
    if preset.task not in DEGRADATIONS:
        raise HyperguideError(f"Training of {preset.task} is not part of this version.")
    where = "The preset's degradation"
    degradation = build(DEGRADATIONS[preset.task], preset.degradation, where)
    scenes = find_scenes(folders)
    train, held_out = map(Photos, split_held_out(scenes, HELD_OUT_SHARE))
    description = description or ", ".join(folder.resolve().name for folder in folders)
    names = [scene.photo.name for scene in scenes]
    if streaks is None:
        pair = degradation, degradation
    else:
        if not isinstance(degradation, Rain):
            raise HyperguideError("--streaks belongs to derain: leave it out.")
        layers = read_streaks(streaks)
        count = max(1, round(HELD_OUT_SHARE * len(layers)))
        pair = (
            replace(degradation, bank=tuple(layers[:-count])),
            replace(degradation, bank=tuple(layers[-count:])),
        )
        names.append(f"{len(layers)} streak layers")
    fingerprint = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return Data(train, held_out, *pair, preset.channels, description, fingerprint)


def draw_batch(
    photos: Photos, degradation: Degradation, channels: int, stage: Stage, rng: Generator
) -> Sample:
    """One batch of crops, degraded on the fly."""
    clean, depth = sample_crops(photos, stage.batch, stage.crop, stage.reduce, rng)
    if channels == 1:
        clean = luma(clean)
    degraded, clean, guidance = degradation.degrade(clean, depth, rng)
    return Sample(degraded, clean, guidance)
