"""`--init-from`: start a pair from given weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

from hyperguide.errors import HyperguideError
from hyperguide.paths import is_folder

from .checkpoint import load_tensors, load_weights, weights_path
from .model import GuidedModel
from .official import append_zero_channels, initialise


def start_from(model: GuidedModel, path: Path) -> None:
    """Start a pair from the authors' weights, or from a run folder or a file of it.

    Authors' weights are for the reconstruction network. A run's are for both networks; if it is
    an unguided twin, the new map channel starts at zero and the hyper-network stays as it is.

    Raises HyperguideError if the file cannot be read or is of another architecture.
    """
    if not is_folder(path) and path.suffix != ".safetensors":
        initialise(model.reconstruction, path)
        return
    file = weights_path(path)
    tensors, _ = load_tensors(file)
    own = model.state_dict()
    if not any(name.startswith("proxy.") for name in tensors):
        tensors = {name: _widened(weights, own.get(name)) for name, weights in tensors.items()}
        tensors |= {name: weights for name, weights in own.items() if name.startswith("proxy.")}
    load_weights(model, tensors, file)


def _widened(weights: Tensor, own: Tensor | None) -> Tensor:
    """Append zero input channels where the model has more of them; else unchanged."""
    if own is None or weights.ndim != 4 or own.shape[1] <= weights.shape[1]:
        return weights
    return append_zero_channels(weights, own.shape)


def describe_origin(path: Path) -> str:
    """Name and digest of the weights that a run starts from, for its record; no path."""
    file = weights_path(path)
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise HyperguideError(
            f"Cannot read the weights {file} of --init-from: {error.strerror}."
        ) from None
    return f"{path.name}, sha256 {digest[:16]}"
