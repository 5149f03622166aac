"""Untrained pairs, for what does not depend on weights: speed, memory, builds."""

from __future__ import annotations

import torch

from hyperguide.training.checkpoint import TrainedModel
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.preset import Preset
from hyperguide.training.run_record import RunRecord, Settings

PRESETS = (
    *("denoise-fast", "denoise-gray-fast", "derain-fast", "dehaze-fast", "deblur-fast"),
    *("denoise-paper", "derain-paper", "dehaze-paper", "deblur-paper-tiny", "deblur-paper"),
)


def roughened(preset: Preset, roughness: float) -> GuidedModel:
    """A preset's pair with noise added to its weights, because networks start as the identity."""
    torch.manual_seed(0)
    model = build_model(preset)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights), alpha=roughness)
    return model.eval()


def untrained(preset: Preset, roughness: float) -> TrainedModel:
    """Such a pair in the form in which a run folder is loaded, for export."""
    record = RunRecord(preset, Settings(), origin="", step=0, seconds=0, data={}, validation={})
    return TrainedModel(roughened(preset, roughness), record)
