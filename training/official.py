"""Weights that the authors of the base networks published: recognised, loaded, started from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.tasks import find_task

from .networks.griddehazenet import GridDehazeNet
from .networks.prenet import PReNet


@dataclass(frozen=True)
class OfficialWeights:
    """A published network with its weights.

    network: the unguided original, in evaluation mode: (N, 3, H, W) in [0, 1] -> the same shape,
        not clipped.
    task: that it was trained for.
    name: of the architecture.
    """

    network: nn.Module
    task: str
    name: str


# Architecture -> (task, constructor with the arguments `guided` and `maximum`).
_ARCHITECTURES: dict[str, tuple[str, Callable[[bool, float], nn.Module]]] = {
    "PReNet": ("derain", PReNet),
    "GridDehazeNet": ("dehaze", GridDehazeNet),
}


def load_official(path: Path) -> OfficialWeights:
    """Load the authors' weights of PReNet or GridDehazeNet, told apart by names and shapes.

    The names may begin with `module.`, as in files of networks wrapped in DataParallel. PReNet is
    built with six stages; its weights are the same for any number of them. Its authors' variant
    PReNet_LSTM, whose stages do not add the rainy image, has equal names and shapes: do not load
    it as PReNet.

    Raises HyperguideError if the file is missing, is no state dict of plain tensors, or belongs to
    another network.
    """
    state = read_state_dict(path)
    shapes = {name: weights.shape for name, weights in state.items()}
    for architecture, (task, build) in _ARCHITECTURES.items():
        network = build(False, find_task(task).guidance.maximum)
        if shapes == {name: weights.shape for name, weights in network.state_dict().items()}:
            network.load_state_dict(state)
            return OfficialWeights(network.eval(), task, architecture)
    raise HyperguideError(
        f"{path} holds the weights of another network than {' or '.join(_ARCHITECTURES)}: "
        "give a file that their authors published."
    )


def initialise(reconstruction: nn.Module, path: Path) -> None:
    """Start a reconstruction network from the authors' weights.

    The weights of the map's channel become zero, so that a guided network starts at the result of
    the original, whatever the map, and learns from there how far to follow the map.

    Raises HyperguideError as `load_official` does, and if the network is of another kind than the
    weights.
    """
    official = load_official(path)
    if type(reconstruction) is not type(official.network):
        raise HyperguideError(
            f"{path} holds the weights of {official.name}, but the preset builds a "
            f"{type(reconstruction).__name__}: choose the preset or the file to match."
        )
    own = reconstruction.state_dict()
    start = {
        name: append_zero_channels(weights, own[name].shape)
        for name, weights in official.network.state_dict().items()
    }
    reconstruction.load_state_dict(start)


def append_zero_channels(weights: Tensor, shape: torch.Size) -> Tensor:
    """Widen a convolution's weights to `shape`, which has more input channels, if any differ."""
    if weights.shape == shape:
        return weights
    return F.pad(weights, (0, 0, 0, 0, 0, shape[1] - weights.shape[1]))


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a file that torch saved, without running what it may contain.

    Returns the tensors on the CPU, by name without the `module.` of a wrapped network. Raises
    HyperguideError if the file is missing, or is anything but finite tensors by name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the format, where the file is refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise HyperguideError(f"There is no weight file {path}: check the name.") from None
    except OSError as error:
        raise HyperguideError(f"Cannot read the weights {path}: {error.strerror}.") from None
    except Exception:  # damaged files and files of other kinds raise nearly every type there is
        content = None
    if not isinstance(content, dict) or not all(map(_is_entry, content.items())):
        raise HyperguideError(
            f"{path} is damaged or not a state dict of plain tensors (code and whole modules are "
            "never loaded): give the weights as their authors published them."
        )
    if not all(bool(weights.isfinite().all()) for weights in content.values()):
        raise HyperguideError(f"{path} holds weights that are not finite: download it again.")
    if content and all(name.startswith("module.") for name in content):
        return {name.removeprefix("module."): weights for name, weights in content.items()}
    return dict(content)


def _is_entry(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)
