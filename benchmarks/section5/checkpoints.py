"""Small copies of finished runs: averaged weights in half precision, with the run's record."""

from __future__ import annotations

from pathlib import Path

import torch

from hyperguide.training.checkpoint import LAST, load_tensors, save_tensors

from .configurations import jobs
from .training import steps_done


def keep(runs: Path, checkpoints: Path) -> None:
    """Copy the finished restoration runs.

    Those that started from published weights are left out: their authors did not permit copies.
    """
    for job in jobs("restoration"):
        run, file = runs / job.folder, checkpoints / f"{job.folder}.safetensors"
        if steps_done(run) == job.configuration.steps:
            file.parent.mkdir(parents=True, exist_ok=True)
            copy_in_half(run / LAST, file)


def copy_in_half(weights: Path, copy: Path) -> None:
    """Copy the file of a run's weights in half precision; `load_run` reads both."""
    tensors, record = load_tensors(weights)
    half = {name: t.half() if t.dtype == torch.float32 else t for name, t in tensors.items()}
    save_tensors({copy: half}, record)
