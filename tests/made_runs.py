"""Small training runs for tests."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from hyperguide.export.model import Io, export_model
from hyperguide.training.bilevel import Strategy
from hyperguide.training.checkpoint import TrainedModel
from hyperguide.training.data.batches import open_data
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.preset import Preset, Schedule, Stage, UNetShape, load_preset
from hyperguide.training.run_record import RunRecord, Settings
from hyperguide.training.teacher import Teacher
from hyperguide.training.trainer import Progress, Run


def make_run(
    photos: Path,
    folder: Path,
    strategy: Strategy = "strict",
    steps: int = 6,
    workers: int = 0,
    warmup: int = 2,
    teacher: Teacher | None = None,
    **changes: Any,
) -> Run:
    """A run of `warmup` plus `steps` steps on 32-pixel crops; changes go to the preset."""
    names = {field.name for field in fields(Preset)}
    of_preset = {name: changes.pop(name) for name in names & changes.keys()}
    stages = (Stage(until=1.0, crop=32, batch=2),)
    schedule = Schedule(warmup=warmup, steps=steps, stages=stages, held_out=4, **changes)
    preset = replace(load_preset("denoise", "fast"), schedule=schedule, **of_preset)
    folder.mkdir(exist_ok=True)
    level = 0.1 if strategy == "manual" else None
    settings = Settings(strategy, seed=3, level=level)
    return Run(
        preset, open_data(preset, [photos]), folder, settings, workers=workers, teacher=teacher
    )


def silent(progress: Progress) -> None:
    pass


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": tensor
        for name in ("best", "last")
        for key, tensor in load_file(folder / f"{name}.safetensors").items()
    }


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def export_untrained(preset: Preset, path: Path, io: Io = "float") -> GuidedModel:
    """An untrained pair with all weights in use, exported to `path`."""
    torch.manual_seed(1)
    model = build_model(preset).eval()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "tail" in name:
                weights += 0.05 * torch.randn_like(weights)
    record = RunRecord(preset, Settings(), origin="", step=0, seconds=0, data={}, validation={})
    export_model(TrainedModel(model, record), path, io=io)
    return model


def rough_pair() -> GuidedModel:
    """A folded, untrained pair for colour denoising that changes pictures.

    It is shallow: random weights of many layers amplify every difference.
    """
    torch.manual_seed(0)
    preset = load_preset("denoise", "fast")
    assert isinstance(preset.reconstruction, UNetShape)
    shallow = replace(preset.reconstruction, blocks=preset.reconstruction.encoder_depths)
    model = build_model(replace(preset, reconstruction=shallow))
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights), alpha=0.02)
    return fold_layers(model).eval()
