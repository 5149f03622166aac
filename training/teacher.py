"""`--teacher`: a pair learns what another one predicts and returns, instead of the truth.

A small network trained on clean pictures averages what it cannot decide; the results of a larger
one are easier to learn (G. Hinton et al., Distilling the Knowledge in a Neural Network, 2015).
Theta learns the teacher's map, and omega its results at the same maps. The teacher also knows the
result at maps that are wrong, so these are scaled at random, and omega learns to follow
`guidance_scale`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hyperguide.errors import HyperguideError

from .data.sample import Sample
from .model import GuidedModel
from .model_weights import find_model_file, load_trained
from .preset import Preset
from .seen_photos import SeenPhotos
from .starting_weights import describe_origin


@dataclass(frozen=True)
class Teacher:
    """A trained pair that provides the targets of both problems.

    name: name and digest of its file, for the record.
    model: its networks, whose weights stay fixed.
    seen: the photos that it was trained on.
    """

    name: str
    model: GuidedModel
    seen: SeenPhotos

    @torch.no_grad()
    def guidance(self, batch: Sample) -> Tensor:
        """Its map of a batch, of its last stage if there are several, shape (N, 1, H, W)."""
        return self.model.predictions(batch.degraded, batch.kernel)[-1]

    @torch.no_grad()
    def results(self, batch: Sample, maps: tuple[Tensor, ...]) -> Tensor:
        """What it makes of a batch, shape (N, C, H, W), guided by `maps`, one for each stage.

        If it has more stages, the last map guides the others. Without maps it predicts its own.
        """
        if not maps:
            return self.model.restore(batch.degraded, batch.kernel).restored
        last = len(maps) - 1
        return self.model.restore(
            batch.degraded, batch.kernel, lambda read, stage: maps[min(stage, last)]
        ).restored


def load_teacher(path: Path, preset: Preset) -> Teacher:
    """Load a run folder, a model file in fp32 or a bundled model by its name.

    Raises HyperguideError if it cannot be read, or enhances other pictures than `preset` does.
    """
    trained = load_trained(path)
    others = trained.preset
    for what, its, own in (
        ("task", others.task, preset.task),
        ("number of channels", others.channels, preset.channels),
    ):
        if its != own:
            raise HyperguideError(
                f"The teacher {path} has the {what} {its}, the preset {own}: give another one."
            )
    if not trained.model.has_theta:
        raise HyperguideError(f"The teacher {path} has no hyper-network: give a guided one.")
    model = trained.model.eval().requires_grad_(False)
    name = describe_origin(find_model_file(path) or path)
    return Teacher(name, model, trained.record.seen)
