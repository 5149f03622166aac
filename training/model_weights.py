"""Reads the weights of a model file under the names that training uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hyperguide.engines.proof import refuse_changed
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import named_path
from hyperguide.model_format.model_file import read_model_file
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.storage.paths import exists
from hyperguide.training.networks.folding import fold_layers, unfold_weights

from .checkpoint import TrainedModel, load_run, load_weights
from .model import build_model
from .preset import Preset
from .run_record import RunRecord, are_settings

# Most weights of the networks, as a multiple of the weights in the file.
_MOST_FOLDED = 4


def find_model_file(path: Path) -> Path | None:
    """The model file that a path or a bundled model's name refers to; None for other files."""
    if path.suffix == ".onnx":
        return path
    return None if exists(path) else named_path(str(path))


def load_trained(path: Path) -> TrainedModel:
    """Load a run folder, a model file in fp32, or a bundled model by its name.

    Raises HyperguideError if it cannot be read, see `load_run` and `load_model_weights`.
    """
    file = find_model_file(path)
    return load_run(path) if file is None else load_model(file)


def load_model(path: Path) -> TrainedModel:
    """Load a model file as `load_run` loads a run folder. Raises as `load_model_weights` does."""
    tensors, record = load_model_weights(path)
    model = build_model(record.preset)
    load_weights(model, tensors, path)
    return TrainedModel(model.eval(), record)


def load_model_weights(path: Path) -> tuple[dict[str, Tensor], RunRecord]:
    """Read the pair's state and training record from a model file exported in fp32.

    Raises HyperguideError if the file is not one of ours, was changed, has a lower precision, or
    holds a network whose weights are merged by export.
    """
    file = read_model_file(path)
    info = file.info
    refuse_changed(file)
    if info.precision != "fp32":
        raise HyperguideError(
            f"{path} holds weights rounded to {info.precision}: give the model in fp32."
        )
    record = _record(info, path)
    preset = record.preset
    weights = {name: torch.from_numpy(array) for name, array in file.weights().items()}
    _refuse_lack(preset, weights, path)
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise HyperguideError(f"{path} holds weights that are not finite: export it again.")
    model = build_model(preset)
    weights = _without_added_planes(weights, fold_layers(model).state_dict())
    try:
        return unfold_weights(model, weights), record
    except KeyError as error:
        raise HyperguideError(
            f"{path} has merged the weights of its {info.tier} network (there is no {error}): "
            "start from the run folder that it was exported from."
        ) from None


def _without_added_planes(
    weights: dict[str, Tensor], folded: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Drop the zeros for further input planes that an export adds to some convolutions.

    folded: the state of the folded networks.
    """
    kept = {}
    for name, tensor in weights.items():
        own = folded.get(name)
        if own is not None and own.ndim == tensor.ndim == 4:
            planes, added = tensor[:, : own.shape[1]], tensor[:, own.shape[1] :]
            tensor = tensor if bool(added.any()) else planes.contiguous()
        kept[name] = tensor
    return kept


def _refuse_lack(preset: Preset, weights: dict[str, Tensor], path: Path) -> None:
    """Raise HyperguideError if a preset's networks are far larger than the file.

    This avoids allocating them. Folding a branched convolution keeps nine tenths of its values.
    """
    held = sum(tensor.numel() for tensor in weights.values())
    try:
        with torch.device("meta"):
            wanted = sum(tensor.numel() for tensor in build_model(preset).state_dict().values())
    except RuntimeError:  # the number of values exceeds 64 bits
        wanted = 1 << 63
    if wanted > _MOST_FOLDED * held:
        raise HyperguideError(
            f"{path} holds {held} weights, but the networks that it names have {wanted}: export "
            "it again."
        )


def _record(info: ModelInfo, path: Path) -> RunRecord:
    """The record that a checkpoint of this training would hold."""
    training = info.training
    if not isinstance(training.get("preset"), dict):
        raise HyperguideError(f"{path} does not say which networks it holds: export it again.")
    settings = training.get("settings") or {"strategy": training.get("strategy", "strict")}
    if not are_settings(settings):
        raise HyperguideError(f"{path} does not say how it was trained: export it again.")
    validation = info.quality.get("validation", {})
    return RunRecord.from_json(training | {"settings": settings, "validation": validation}, path)
