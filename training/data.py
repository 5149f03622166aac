"""D_h and D_tr: batches {y, x, sigma} made on the fly from clean photos."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Generator

from hyperguide.errors import HyperguideError

from .bilevel import Sample
from .degradations import DEGRADATIONS, Haze, Noise, Rain
from .photos import Photos, find_scenes, read_streaks, sample_crops, split_held_out
from .preset import Preset, Stage

Degradation = Noise | Rain | Haze

HELD_OUT_SHARE = 0.05


@dataclass(frozen=True)
class Data:
    """Photos and how to degrade them, for training and for validation.

    description: what the data is, in words; it ends up in the model file.
    """

    train: Photos
    held_out: Photos
    train_degradation: Degradation
    held_out_degradation: Degradation
    description: str

    def record(self) -> dict[str, Any]:
        """Facts about the data for checkpoints and model files; no path of the machine."""
        bank = getattr(self.train_degradation, "bank", ())
        return {
            "description": self.description,
            "photos": len(self.train),
            "held_out": len(self.held_out),
            "streak_layers": len(bank),
        }


def open_data(
    preset: Preset, folders: list[Path], streaks: Path | None = None, description: str = ""
) -> Data:
    """Find the photos, split off the held-out ones, and set up the task's degradation.

    The folders' own names serve where there is no description.
    """
    train, held_out = map(Photos, split_held_out(find_scenes(folders), HELD_OUT_SHARE))
    description = description or ", ".join(folder.resolve().name for folder in folders)
    try:
        degradation = DEGRADATIONS[preset.task](**preset.degradation)
    except TypeError as error:
        raise HyperguideError(
            f"The preset's degradation does not fit {preset.task}: {error}."
        ) from None
    except KeyError:
        raise HyperguideError(f"Training of {preset.task} is not part of this version.") from None
    if streaks is None:
        return Data(train, held_out, degradation, degradation, description)
    if not isinstance(degradation, Rain):
        raise HyperguideError("--streaks belongs to derain: leave it out.")
    layers = read_streaks(streaks)
    count = max(1, round(HELD_OUT_SHARE * len(layers)))
    return Data(
        train,
        held_out,
        replace(degradation, bank=tuple(layers[:-count])),
        replace(degradation, bank=tuple(layers[-count:])),
        description,
    )


def draw_batch(photos: Photos, degradation: Degradation, stage: Stage, rng: Generator) -> Sample:
    """One batch of crops, degraded on the fly."""
    clean, depth = sample_crops(photos, stage.batch, stage.crop, stage.reduce, rng)
    degraded, clean, guidance = degradation.degrade(clean, depth, rng)
    return Sample(degraded, clean, guidance)
