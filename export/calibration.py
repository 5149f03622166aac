"""Pictures for calibrating a lower precision, and its loss on held-out pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE, KERNEL, SCALE
from hyperguide.training.checkpoint import TrainedModel
from hyperguide.training.data.batches import Data, open_data
from hyperguide.training.data.sample import Sample
from hyperguide.training.data.sources import silent
from hyperguide.training.metrics import MOST_PSNR, psnr
from hyperguide.training.model import GuidedModel
from hyperguide.training.preset import Preset
from hyperguide.training.validation import HeldOut

# Maps a graph's inputs to its outputs.
Runner = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]

# Number of crops on which ranges are measured.
_CROPS = 32


@dataclass(frozen=True)
class Calibration:
    """Calibration pictures like those the model will see, with their ground truth.

    data: photos degraded according to the preset, or pairs; the last of them are held out.
    multiple, channels: size multiple of the model, and the planes that it is exported for.
    """

    preset: Preset
    data: Data
    multiple: int
    channels: int

    @cached_property
    def crops(self) -> list[Sample]:
        """Crops on which ranges are measured, each a batch of one."""
        stage = replace(self.preset.schedule.stages[-1], batch=1)
        return [self.data.draw("train", n, stage, seed=0).sample for n in range(_CROPS)]

    @cached_property
    def held_out(self) -> list[Sample]:
        """Crops of held-out calibration pictures, in batches."""
        held_out = HeldOut(self.data, self.preset, self.multiple, torch.device("cpu"))
        return [sample for sample, _ in held_out.batches]

    def feeds(self, sample: Sample) -> dict[str, np.ndarray]:
        """A sample as inputs of the graph; a gray picture is repeated to the graph's planes."""
        image = sample.degraded.expand(-1, self.channels, -1, -1).contiguous()
        feeds = {IMAGE: image.numpy()}
        return feeds if sample.kernel is None else feeds | {KERNEL: sample.kernel.numpy()}


@dataclass(frozen=True)
class Loss:
    """The loss of a lower precision on held-out pictures.

    enhanced: mean PSNR in fp32 minus that in the lower precision, dB, capped at MOST_PSNR per
        picture.
    guidance: root mean squared difference of the maps, in the task's unit.
    dial: change of the pictures when the map is doubled, relative to that in fp32.
    tint: largest difference between the planes of an enhanced gray picture, in levels of 255.
    """

    enhanced: float
    guidance: float
    dial: float
    tint: float

    def to_quality(self) -> dict[str, float]:
        """The figures for the model file."""
        return {
            "loss_db": self.enhanced,
            "guidance_rmse": self.guidance,
            "change_at_scale_2": self.dial,
            "gray_spread": self.tint,
        }


def open_calibration(
    trained: TrainedModel,
    folders: Sequence[Path],
    model: GuidedModel,
    tell: Callable[[str], object] = silent,
) -> Calibration:
    """Open the photos or pairs of --calib; see `sources.find_scenes` for `tell` and the errors."""
    preset = trained.preset
    return Calibration(
        preset,
        open_data(preset, folders, option="--calib", tell=tell),
        model.size_multiple,
        model.channels,
    )


def measure_loss(full: Runner, lower: Runner, calibration: Calibration) -> Loss:
    """Compare the outputs of a pair in fp32 and in a lower precision on held-out crops."""
    losses, squares, changes, spreads = [], [], [], []
    for sample in calibration.held_out:
        feeds = calibration.feeds(sample)
        before, after = full(feeds), lower(feeds)
        clean = sample.clean.expand(-1, calibration.channels, -1, -1)
        scores = [
            psnr(torch.from_numpy(outputs[ENHANCED]), clean).clamp(max=MOST_PSNR)
            for outputs in (before, after)
        ]
        losses.append(scores[0] - scores[1])
        squares.append((before[GUIDANCE] - after[GUIDANCE]) ** 2)
        twice = feeds | {SCALE: np.full((1, 1, 1, 1), 2, np.float32)}
        changes.append(
            [
                np.square(runner(twice)[ENHANCED] - outputs[ENHANCED]).mean()
                for runner, outputs in ((full, before), (lower, after))
            ]
        )
        mean = feeds[IMAGE].mean(1, keepdims=True)
        gray = feeds | {IMAGE: np.repeat(mean, calibration.channels, 1)}
        spreads.append(np.ptp(lower(gray)[ENHANCED], axis=1).max())
    rmse = math.sqrt(np.concatenate(squares).mean())
    in_full, in_lower = np.sqrt(np.mean(changes, 0))
    return Loss(
        round(float(torch.cat(losses).mean()), 4),
        round(rmse, 6),
        round(float(in_lower / in_full), 4) if in_full else 1.0,
        round(255 * float(max(spreads)), 2),
    )
