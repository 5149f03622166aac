"""Weights that the authors of the base networks published: recognised, loaded, started from."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.tasks import find_task
from hyperguide.training.networks.griddehazenet import GridDehazeNet
from hyperguide.training.networks.prenet import PReNet

_TYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
# The same values may stand under several names, of layers that share them.
_MOST_NAMES_PER_VALUE = 8


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
    HyperguideError if the file is missing, or is anything but finite tensors by name, whose values
    are all in the file.
    """
    content: object = None
    try:
        size = _size(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the format, where the file is refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except HyperguideError:
        raise
    except FileNotFoundError:
        raise HyperguideError(f"There is no weight file {path}: check the name.") from None
    except OSError as error:
        raise HyperguideError(f"Cannot read the weights {path}: {error.strerror}.") from None
    except Exception:  # damaged files and files of other kinds raise nearly every type there is
        size = 0
    if not isinstance(content, dict) or not all(map(_is_entry, content.items())):
        raise HyperguideError(
            f"{path} is damaged or not a state dict of plain tensors (code and whole modules are "
            "never loaded): give the weights as their authors published them."
        )
    if sum(weights.nbytes for weights in content.values()) > _MOST_NAMES_PER_VALUE * size:
        raise HyperguideError(
            f"{path} claims more weights than it holds, and was not saved by training: download "
            "it again."
        )
    if not all(bool(weights.isfinite().all()) for weights in content.values()):
        raise HyperguideError(f"{path} holds weights that are not finite: download it again.")
    if content and all(name.startswith("module.") for name in content):
        return {name.removeprefix("module."): weights for name, weights in content.items()}
    return dict(content)


def _size(path: Path) -> int:
    """Bytes of a file. Raises HyperguideError for what may unpack to far more, or never ends."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise HyperguideError(f"{path} is a device or pipe, not a weight file: give a file.")
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise HyperguideError(
                    f"{path} is packed, which torch does not do: save the weights with torch.save."
                )
    return size


def _is_entry(item: tuple[object, object]) -> bool:
    """Whether it is a name and plain numbers, each of which is in memory."""
    name, weights = item
    if not isinstance(name, str) or not isinstance(weights, Tensor):
        return False
    plain = weights.layout == torch.strided and weights.device.type == "cpu"
    if not plain or weights.dtype not in _TYPES:
        return False
    # A view may repeat a single number a thousand million times.
    return weights.nbytes <= weights.untyped_storage().nbytes()
