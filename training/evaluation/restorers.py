"""Opens the targets of an evaluation by name, all with one interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import hyperguide
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import model_path, named_path
from hyperguide.storage.paths import is_folder
from hyperguide.tasks import TASKS
from hyperguide.training.checkpoint import load_run, weights_path
from hyperguide.training.seen_photos import SeenPhotos

from .published import SUFFIXES, open_published
from .references import REFERENCES
from .target import Restored, Target, refuse_map, sha256
from .tensors import to_picture, to_tensor


def open_target(name: str, tier: str = "fast", threads: int = 0) -> Target:
    """Open a target by name.

    name: a reference without weights like `input` or `wiener`, the task of a bundled model (the
        one for colour) or the name of its file, a run folder (or its .safetensors file), an .onnx
        file, or a file of weights that others published.
    threads: of the engine that runs model files; 0 means one per core.
    Raises HyperguideError if it does not exist or cannot be used.
    """
    if name in REFERENCES:
        return REFERENCES[name]
    path = Path(name)
    if name in TASKS or path.suffix == ".onnx" or named_path(name):
        return _model_file(name, tier, threads)
    if path.suffix in SUFFIXES:
        return open_published(path)
    if path.suffix == ".safetensors" or is_folder(path):
        return _run(path)
    raise HyperguideError(
        f"There is nothing to evaluate at {name}: give a run folder, an .onnx file, official "
        f"weights ({', '.join(SUFFIXES)}), the task of a bundled model, or one of "
        f"{', '.join(REFERENCES)}."
    )


def _run(path: Path) -> Target:
    trained = load_run(path)
    preset, guided = trained.preset, trained.model.proxy is not None
    plane_by_plane = preset.channels == 1 and trained.model.channels == 3

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        if not guided:
            refuse_map(str(path), guidance, scale)
        multiple = trained.model.size_multiple
        planes = degraded[0, 0].size if plane_by_plane else preset.channels
        image = to_tensor(degraded, planes, multiple)
        told = None if guidance is None else to_tensor(guidance, 1, multiple)
        blur = None if kernel is None else to_tensor(kernel, 1, 1)

        maps: list[Tensor] = []

        def guide(read: Tensor, stage: int) -> Tensor:
            maps.append(trained.model.predict(read, stage) if told is None else told)
            return scale * maps[-1]

        with torch.inference_mode():
            restored = trained.model.restore(image, blur, guide).restored
        used = to_picture(maps[-1], degraded.shape[:2]) if maps else None
        return to_picture(restored, degraded.shape), used

    about = f"{preset.tier}, {'guided' if guided else 'unguided'}"
    digest = sha256(weights_path(path))
    seen = trained.record.seen
    return Target(restore, str(path), "run", preset.task, digest, about, seen=seen)


def _model_file(name: str, tier: str, threads: int) -> Target:
    path = model_path(name, tier)
    enhancer = hyperguide.load(path, threads=threads)
    info = enhancer.info

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        more: dict[str, Any] = {} if kernel is None else {"kernel": kernel}
        result = enhancer(degraded, guidance=guidance, guidance_scale=scale, **more)
        return result.image, result.guidance

    about = f"{info.tier}, {info.precision}, {enhancer.engine}"
    seen = SeenPhotos.from_record(info.training.get("seen"))
    return Target(restore, name, "model file", info.task, sha256(path), about, seen=seen)
