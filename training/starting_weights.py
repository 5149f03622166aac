"""`--init-from`: starts a pair from given weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from hyperguide.storage.file_content import read_content
from hyperguide.storage.paths import is_folder
from hyperguide.tasks import find_task
from hyperguide.training.networks.unfolded import UnfoldedDeconvolution

from .checkpoint import MOST_BYTES, load_tensors, load_weights, weights_path
from .model import GuidedModel
from .model_weights import load_model_weights
from .official import append_zero_channels, initialise
from .preset import Preset, UnfoldedSettings
from .run_record import RunRecord
from .seen_photos import UNKNOWN, SeenPhotos

# Our own files; all others hold authors' weights.
_OURS = (".onnx", ".safetensors")
# The weights of the map in networks with `blockwise_map`.
_BLOCKWISE = "blockwise_map.conv.weight"


def start_from(model: GuidedModel, path: Path) -> None:
    """Initialise a pair from a model file, a run folder, a file in one, or authors' weights.

    Authors' weights apply to the reconstruction network, all others to both networks. From an
    unguided twin, the new map channel starts at zero. If the file has no hyper-network, or one of
    another shape, the pair keeps its own. The weights of a denoiser initialise the denoiser of
    every stage of an unfolded network, and nothing else.

    Raises HyperguideError if the file cannot be read or has another architecture.
    """
    file = weights_path(path) if is_folder(path) else path
    if file.suffix not in _OURS:
        initialise(model.reconstruction, path)
        return
    tensors, record = _read(file)
    preset = record.preset
    own = model.state_dict()
    if _is_for_stages(model, preset):
        guided = record.settings.strategy != "unguided"
        tensors = own | _for_each_stage(model, tensors, preset, guided)
    elif not (proxy := _of_proxy(tensors)):
        tensors = {name: _widened(weights, own.get(name)) for name, weights in tensors.items()}
        unseen = {name: torch.zeros_like(own[name]) for name in own if name.endswith(_BLOCKWISE)}
        tensors = unseen | tensors | _of_proxy(own)
    elif _shapes(proxy) != _shapes(_of_proxy(own)):
        rest = {name: weights for name, weights in tensors.items() if name not in proxy}
        tensors = rest | _of_proxy(own)
    load_weights(model, tensors, file)


def _is_for_stages(model: GuidedModel, preset: Preset) -> bool:
    """Whether the weights are of a plain denoiser, and the model is an unfolded network."""
    unfolded = isinstance(model.reconstruction, UnfoldedDeconvolution)
    return unfolded and not isinstance(preset.reconstruction, UnfoldedSettings)


def _for_each_stage(
    model: GuidedModel, tensors: dict[str, Tensor], preset: Preset, guided: bool
) -> dict[str, Tensor]:
    """A denoiser's weights under the names of every stage."""
    network = model.reconstruction
    assert isinstance(network, UnfoldedDeconvolution)
    of_denoiser = {
        name.removeprefix("reconstruction."): weights
        for name, weights in tensors.items()
        if name.startswith("reconstruction.")
    }
    if guided:
        # The map is the second half of the first layer's input, divided by the range of its task.
        scale = model.maximum / find_task(preset.task).guidance.maximum
        first = next(network.denoisers[0].named_parameters())[0]  # the order in files differs
        if _BLOCKWISE in of_denoiser:
            of_denoiser[_BLOCKWISE] = scale * of_denoiser[_BLOCKWISE]
        elif first in of_denoiser:
            plane, guidance = of_denoiser[first].chunk(2, 1)
            of_denoiser[first] = torch.cat([plane, scale * guidance], 1)
    return {
        f"reconstruction.denoisers.{stage}.{name}": weights
        for stage in range(len(network.denoisers))
        for name, weights in of_denoiser.items()
    }


def _of_proxy(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the hyper-network."""
    return {name: weights for name, weights in tensors.items() if name.startswith("proxy.")}


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: weights.shape for name, weights in tensors.items()}


def _widened(weights: Tensor, own: Tensor | None) -> Tensor:
    """Append zero input channels if the model has more; otherwise unchanged."""
    if own is None or weights.ndim != 4 or own.shape[1] <= weights.shape[1]:
        return weights
    return append_zero_channels(weights, own.shape)


def describe_origin(path: Path) -> str:
    """Name (not path) and digest of the weights that a run starts from, for its record."""
    file = weights_path(path)
    digest = hashlib.sha256(read_content(file, "file of --init-from", MOST_BYTES)).hexdigest()
    return f"{path.name}, sha256 {digest[:16]}"


def seen_by(path: Path) -> SeenPhotos:
    """The photos that the weights for `start_from` were trained on, or UNKNOWN.

    Raises as `start_from` does if one of our own files cannot be read.
    """
    file = weights_path(path) if is_folder(path) else path
    if file.suffix not in _OURS:
        return UNKNOWN
    return _read(file)[1].seen


def _read(file: Path) -> tuple[dict[str, Tensor], RunRecord]:
    """Read the weights and record of one of our own files."""
    if file.suffix == ".onnx":
        return load_model_weights(file)
    tensors, values = load_tensors(file)
    return tensors, RunRecord.from_json(values, file)
