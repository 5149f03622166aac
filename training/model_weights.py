"""A model file's weights under the names that training has for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperguide.bundled import named_path
from hyperguide.errors import HyperguideError
from hyperguide.model_file import ModelInfo, read_model_file
from hyperguide.paths import exists

from .checkpoint import TrainedModel
from .model import build_model
from .networks.folding import unfold_weights
from .preset import preset_from_dict


def find_model_file(path: Path) -> Path | None:
    """The model file that a path or a bundled model's name means; None if it means another kind."""
    if path.suffix == ".onnx":
        return path
    return None if exists(path) else named_path(str(path))


def load_model(path: Path) -> TrainedModel:
    """What a run folder would hold of a model file. Raises as `load_model_weights` does."""
    tensors, record = load_model_weights(path)
    preset = preset_from_dict(record["preset"], str(path))
    model = build_model(preset)
    model.load_state_dict(tensors)
    return TrainedModel(model.eval(), preset, record)


def load_model_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what an export in fp32 wrote: the pair's state and the record of its training.

    Raises HyperguideError if the file is none of ours, of lower precision, or of a network whose
    weights an export merges.
    """
    file = read_model_file(path)
    info = file.info
    if info.precision != "fp32":
        raise HyperguideError(
            f"{path} holds weights rounded to {info.precision}: start from the model in fp32."
        )
    record = _record(info, path)
    model = build_model(preset_from_dict(record["preset"], str(path)))
    weights = {name: torch.from_numpy(array) for name, array in file.weights().items()}
    try:
        return unfold_weights(model, weights), record
    except KeyError as error:
        raise HyperguideError(
            f"{path} has merged the weights of its {info.tier} network (there is no {error}): "
            "start from the run folder that it was exported from."
        ) from None


def _record(info: ModelInfo, path: Path) -> dict[str, Any]:
    """What a checkpoint would say of the training."""
    training = info.training
    if not isinstance(training.get("preset"), dict):
        raise HyperguideError(f"{path} does not say which networks it holds: export it again.")
    settings = training.get("settings") or {"strategy": training.get("strategy", "strict")}
    validation = info.quality.get("validation", {})
    return training | {"settings": settings, "validation": validation}
