"""Recognises and loads the published weights of the base networks."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.training.networks.griddehazenet import GridDehazeNet
from hyperguide.training.networks.prenet import PReNet

_TYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
_MOST_WEIGHTS = 10_000  # tensors in a file
# Layers that share values store them under several names.
_MOST_NAMES_PER_VALUE = 8


@dataclass(frozen=True)
class OfficialWeights:
    """A published network with its weights.

    network: the unguided original in evaluation mode: (N, 3, H, W) in [0, 1] -> the same shape,
        not clipped.
    task: the task that it was trained for.
    name: name of the architecture.
    """

    network: nn.Module
    task: str
    name: str


# Name of an architecture -> (task, constructor).
Architectures = Mapping[str, tuple[str, Callable[[], nn.Module]]]

# Unguided, so the maximum of the map has no effect.
_BASES: Architectures = {
    "PReNet": ("derain", partial(PReNet, False, 1.0)),
    "GridDehazeNet": ("dehaze", partial(GridDehazeNet, False, 1.0)),
}


def load_official(path: Path, others: Architectures = MappingProxyType({})) -> OfficialWeights:
    """Load the authors' weights of PReNet or GridDehazeNet, recognised by names and shapes.

    others: more architectures to recognise.

    Names may start with `module.`, as saved from networks wrapped in DataParallel. PReNet is built
    with six stages; its weights are the same for any number of stages. The authors' variant
    PReNet_LSTM, whose stages do not add the rainy image, has the same names and shapes: do not
    load it as PReNet.

    Raises HyperguideError if the file is missing, is not a state dict of plain tensors, or belongs
    to another network.
    """
    state = read_state_dict(path)
    shapes = {name: weights.shape for name, weights in state.items()}
    known = {**_BASES, **others}
    for architecture, (task, build) in known.items():
        network = build()
        if shapes == {name: weights.shape for name, weights in network.state_dict().items()}:
            network.load_state_dict(state)
            return OfficialWeights(network.eval(), task, architecture)
    raise HyperguideError(
        f"{path} holds the weights of another network than {' or '.join(known)}: "
        "give a file that their authors published."
    )


def initialise(reconstruction: nn.Module, path: Path) -> None:
    """Initialise a reconstruction network with the authors' weights.

    The weights of the map's channel are set to zero, so that a guided network starts with the
    original's result, whatever the map, and learns from there how far to follow the map.

    Raises HyperguideError as `load_official` does, and if the weights are for another kind of
    network.
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
    """Pad a convolution's weights with zero input channels to `shape`, if it differs."""
    if weights.shape == shape:
        return weights
    return F.pad(weights, (0, 0, 0, 0, 0, shape[1] - weights.shape[1]))


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a file saved by torch, without executing any code in it.

    Of a checkpoint that holds a network beside the state of its training, under `net`, only the
    network is read. Several networks in one file, each under a name, become one dict with names
    like `0.conv.weight`.

    Returns the tensors on the CPU by name, without the `module.` of a wrapped network. Raises
    HyperguideError if the file is missing, or is anything but a dict of finite tensors whose values
    are all in the file.
    """
    content: object = None
    try:
        size = _size(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the format; such a file is refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except HyperguideError:
        raise
    except FileNotFoundError:
        raise HyperguideError(f"There is no weight file {path}: check the name.") from None
    except OSError as error:
        raise HyperguideError(f"Cannot read the weights {path}: {error.strerror}.") from None
    except Exception:  # damaged and foreign files raise almost any type
        size = 0
    content = _state_dict_in(content)
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


def _state_dict_in(content: object) -> object:
    """The state dict in a loaded file, as `read_state_dict` says; other content as it is."""
    if not isinstance(content, dict):
        return content
    if isinstance(content.get("net"), dict):
        return content["net"]
    parts = list(content.values())
    # A file may repeat a part, which takes a few bytes.
    if (
        parts
        and all(isinstance(part, dict) for part in parts)
        and (sum(map(len, parts)) <= _MOST_WEIGHTS)
    ):
        return {f"{name}.{key}": w for name, part in content.items() for key, w in part.items()}
    return content


def _size(path: Path) -> int:
    """Size of a file in bytes. Raises HyperguideError for devices, pipes and packed archives."""
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
    """Whether the item is a name and a plain tensor whose values are all in memory."""
    name, weights = item
    if not isinstance(name, str) or not isinstance(weights, Tensor):
        return False
    plain = weights.layout == torch.strided and weights.device.type == "cpu"
    if not plain or weights.dtype not in _TYPES:
        return False
    # A view may repeat a single number a billion times.
    return weights.nbytes <= weights.untyped_storage().nbytes()
