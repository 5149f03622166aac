"""`--teacher`: a pair learns what another one predicts and returns, instead of the truth.

A small network trained on clean pictures averages what it cannot decide; the results of a larger
one are easier to learn (G. Hinton et al., Distilling the Knowledge in a Neural Network, 2015).
Theta learns the teacher's map, and omega its results at the same maps. The teacher also knows the
result at maps that are wrong, so these are scaled at random, and omega learns to follow
`guidance_scale`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hyperguide.errors import HyperguideError
from hyperguide.storage.paths import exists

from .data.sample import Sample
from .model import GuidedModel
from .model_weights import find_model_file, load_trained
from .preset import Preset, RefinementSettings, UnfoldedSettings
from .seen_photos import SeenPhotos


@dataclass(frozen=True)
class Teacher:
    """A trained pair that provides the targets of both problems, computed in fp32.

    name: its name and a digest of its weights, for the record.
    model: its networks, whose weights stay fixed.
    seen: the photos that it was trained on.
    """

    name: str
    model: GuidedModel
    seen: SeenPhotos

    @torch.no_grad()
    def guidance(self, batch: Sample) -> tuple[Tensor, ...]:
        """Its maps of a batch, one for each stage, of shape (N, 1, H, W)."""
        return self.model.predictions(batch.degraded, batch.kernel)

    @torch.no_grad()
    def results(self, batch: Sample, maps: tuple[Tensor, ...]) -> Tensor:
        """What it makes of a batch, shape (N, C, H, W), guided by `maps`, one for each stage."""
        return self.model.restore(
            batch.degraded, batch.kernel, lambda read, stage: maps[stage].detach().float()
        ).restored


def load_teacher(path: Path, preset: Preset) -> Teacher:
    """Load a run folder, a model file in fp32 or a bundled model by its name.

    Raises HyperguideError if it cannot be read, or enhances other pictures than `preset` does.
    """
    if not (find_model_file(path) or exists(path)) or path.suffix == ".pth":
        raise HyperguideError(
            f"There is no teacher at {path}: give a run folder, an .onnx file in fp32, or the name "
            "of a bundled model."
        )
    trained = load_trained(path)
    others = trained.preset
    for what, its, own in (
        ("task", others.task, preset.task),
        ("number of channels", others.channels, preset.channels),
        ("number of maps", _maps(others), _maps(preset)),
    ):
        if its != own:
            raise HyperguideError(
                f"The teacher {path} has the {what} {its}, the preset {own}: give another teacher."
            )
    if not trained.model.has_theta:
        raise HyperguideError(f"The teacher {path} has no hyper-network: give a guided one.")
    model = trained.model.eval().requires_grad_(False)
    return Teacher(f"{path.name}, weights {_digest(model)}", model, trained.record.seen)


def _maps(preset: Preset) -> int:
    """The number of maps that the hyper-network of a preset predicts for a picture."""
    match preset.reconstruction:
        case RefinementSettings(stages=stages) | UnfoldedSettings(stages=stages, maps="stage"):
            return stages
        case _:
            return 1


def _digest(model: GuidedModel) -> str:
    """A digest of the weights, which does not change with a file's description."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
