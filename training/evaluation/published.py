"""Targets with weights that others published, recognised by the kind of file and its content."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from hyperguide.training.official import Architectures, load_official

from .rivals import csf, fdn, ircnn
from .rivals.aod_net import AODNet
from .rivals.spanet import SPANet
from .target import Restorer, Target, informed, sha256, uninformed
from .tensors import to_picture, to_tensor

# Name of a network -> (task, constructor).
_NETWORKS: Architectures = {
    "AOD-Net": ("dehaze", AODNet),
    "SPANet": ("derain", SPANet),
    "IRCNN for gray pictures": ("deblur", partial(ircnn.IRCNN, 1)),
    "IRCNN for colour": ("deblur", partial(ircnn.IRCNN, 3)),
}

# Deblurs (observed, kernel, noise level).
_Deblurring = Callable[[np.ndarray, np.ndarray | None, float], np.ndarray]


def open_published(path: Path) -> Target:
    """Open a file whose suffix is in SUFFIXES.

    Raises HyperguideError if it is missing, damaged or holds something else, or if a package for
    reading it is not installed.
    """
    return SUFFIXES[path.suffix](path)


def _network(path: Path) -> Target:
    official = load_official(path, _NETWORKS)
    if isinstance(official.network, ircnn.IRCNN):
        return _deblurring(path, official.name, partial(ircnn.restore, official.network))

    def restored(degraded: np.ndarray, kernel: np.ndarray | None) -> np.ndarray:
        multiple: int = official.network.size_multiple  # type: ignore[assignment]
        with torch.inference_mode():
            output = official.network(to_tensor(degraded, 3, multiple))
        return to_picture(output, degraded.shape)

    return _target(path, uninformed(str(path), restored), official.task, official.name)


def _csf(path: Path) -> Target:
    cascade = csf.load_csf(path)
    about = f"CSF, {len(cascade.stages)} stages, for noise of {cascade.noise_level:g} of 255"
    return _deblurring(path, about, partial(csf.restore, cascade))


def _fdn(path: Path) -> Target:
    network = fdn.load_fdn(path)
    levels = f"{network.least:g} to {network.most:g} of 255"
    about = f"FDN, {len(network.stages)} stages, for noise of {levels}"
    return _deblurring(path, about, partial(fdn.restore, network))


def _deblurring(path: Path, about: str, deblur: _Deblurring) -> Target:
    return _target(path, informed(str(path), deblur), "deblur", about, is_informed=True)


def _target(
    path: Path, restorer: Restorer, task: str, about: str, is_informed: bool = False
) -> Target:
    digest = sha256(path)
    return Target(restorer, str(path), "official weights", task, digest, about, is_informed)


SUFFIXES: dict[str, Callable[[Path], Target]] = {
    ".pth": _network,
    ".pt": _network,
    ".mat": _csf,
    ".hdf5": _fdn,
}
