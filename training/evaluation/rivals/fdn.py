"""The Fourier Deconvolution Network, FDN.

J. Kruse, C. Rother, U. Schmidt, Learning to Push the Limits of Efficient FFT-based Image
Deconvolution, ICCV 2017; weights: github.com/uschmidt83/fourier-deconvolution-network, a folder
with config.json and stages_01-10_finetuned.hdf5. It must be told the kernel and the noise level.
"""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.storage.file_content import read_text
from hyperguide.training.deconvolution import crop, pad_for, taper, transfer_function
from hyperguide.training.evaluation.hdf5_file import read_hdf5

from .planes import to_kernel, to_picture, to_planes

CONFIG = "config.json"

_MOST_CONFIG_BYTES = 1 << 16
_MOST_STAGES = 100

_WIDTH = 32  # channels of the convolutions
_CONVOLUTIONS = 6
_NEURONS = 16
_LAYERS_OF_NEURONS = 3
_FILTER_SIDE = 5
_MARGIN = 20  # pixels by which the convolutions' input is extended

# Keras calls the stages model_2 to model_11, and the layers of the second one conv1_2.
_PLACE = re.compile(r"model_(\d{1,9})/(\w+?)_\d+/(\w+):0")
# Layer and parameter in the file -> parameter of `_Stage`.
_LAYERS = {
    **{f"dense{i + 1}": f"dense.{i}" for i in range(_LAYERS_OF_NEURONS)},
    "lambda": f"dense.{_LAYERS_OF_NEURONS}",
    **{f"conv{i + 1}": f"convs.{i}" for i in range(_CONVOLUTIONS)},
}
_NAMES = {
    "x_out/filter_weights": "mixture",
    **{f"{theirs}/kernel": f"{ours}.weight" for theirs, ours in _LAYERS.items()},
    **{f"{theirs}/bias": f"{ours}.bias" for theirs, ours in _LAYERS.items()},
}


class FDN(nn.Module):
    """The cascade of stages.

    least, most: the noise levels that it was trained for, in levels of 8 bits. It is told the
        nearest of these.
    """

    def __init__(self, stages: int, least: float, most: float) -> None:
        super().__init__()
        self.least = least
        self.most = most
        self.stages = nn.ModuleList(_Stage() for _ in range(stages))

    def forward(self, observed: Tensor, kernel: Tensor, noise_level: float) -> Tensor:
        """Restore planes.

        observed: y, padded and edgetapered, shape (N, 1, H, W) in [0, 1].
        kernel: shape (1, 1, kh, kw), odd sides, sum 1.
        noise_level: standard deviation, full scale = 1.
        Returns the last stage's result, shape (N, 1, H, W), not clipped.
        """
        height, width = observed.shape[2:]
        transfer = transfer_function(kernel, height, width)
        rows, columns = (side // 2 for side in kernel.shape[2:])
        inside = torch.zeros(height, width, dtype=torch.bool)
        inside[rows : height - rows, columns : width - columns] = True
        sigma = min(max(255 * noise_level, self.least), self.most)
        restored = adjusted = observed
        for number, stage in enumerate(self.stages):
            if number:
                # Eq. 17: outside, the observation is replaced by the blurred estimate.
                blurred = torch.fft.irfft2(
                    transfer * torch.fft.rfft2(restored), s=observed.shape[2:]
                )
                adjusted = torch.where(inside, observed, blurred)
            restored = stage(restored, adjusted, transfer, sigma)
        return restored


class _Stage(nn.Module):
    """One update, Eq. 16 times omega:

        x' = F^-1((omega conj(K) F(y) + F(cnn(x))) / (omega |K|^2 + sum_i |F(f_i)|^2))

    with omega from a perceptron that reads 1 / sigma^2, and filters f_i that are combinations of
    the cosine basis without its constant.
    """

    def __init__(self) -> None:
        super().__init__()
        sides = [1, *[_NEURONS] * _LAYERS_OF_NEURONS, 1]
        self.dense = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sides))
        widths = [1, *[_WIDTH] * (_CONVOLUTIONS - 1), 1]
        self.convs = nn.ModuleList(nn.Conv2d(*pair, 3, padding=1) for pair in pairwise(widths))
        count = _FILTER_SIDE**2 - 1
        self.mixture = nn.Parameter(torch.eye(count))  # one filter per column

    def forward(self, x: Tensor, y: Tensor, transfer: Tensor, sigma: float) -> Tensor:
        """x, y: shape (N, 1, H, W); transfer: K; sigma: in levels of 8 bits."""
        size = x.shape[2:]
        omega = self.data_weight(sigma)
        spectrum = omega * transfer.conj() * torch.fft.rfft2(y) + torch.fft.rfft2(self.prior(x))
        responses = transfer_function(self.filters(), *size).abs().square().sum(0)
        spectrum = spectrum / (omega * transfer.abs().square() + responses)
        return torch.fft.irfft2(spectrum, s=size)

    def data_weight(self, sigma: float) -> Tensor:
        """The scalar omega, above 0."""
        *hidden, last = self.dense
        value = self.mixture.new_tensor([1 / sigma**2])
        for layer in hidden:
            value = F.elu(layer(value))
        return F.softplus(last(value))

    def prior(self, x: Tensor) -> Tensor:
        """The convolutions, on the picture extended by copies of its edge; shape as x."""
        value = F.pad(x, [_MARGIN] * 4, mode="replicate")
        *hidden, last = self.convs
        for layer in hidden:
            value = F.elu(layer(value))
        result: Tensor = last(value)[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        return result

    def filters(self) -> Tensor:
        """The filters f_i, shape (24, 1, 5, 5)."""
        basis = _cosine_basis().to(self.mixture)
        return (basis @ self.mixture).T.reshape(-1, 1, _FILTER_SIDE, _FILTER_SIDE)


def _cosine_basis() -> Tensor:
    """The orthonormal two-dimensional DCT-II basis without the constant, shape (25, 24).

    Each column is a filter, row by row. The first frequency index varies along the columns.
    """
    position = (2 * torch.arange(_FILTER_SIDE, dtype=torch.float64) + 1) / (2 * _FILTER_SIDE)
    frequency = torch.arange(_FILTER_SIDE, dtype=torch.float64)
    waves = torch.cos(math.pi * frequency[:, None] * position) * math.sqrt(2 / _FILTER_SIDE)
    waves[0] /= math.sqrt(2)
    products = torch.einsum("ay,bx->yxba", waves, waves)
    return products.reshape(_FILTER_SIDE**2, -1)[:, 1:]


def restore(
    network: FDN, observed: np.ndarray, kernel: np.ndarray | None, noise_level: float
) -> np.ndarray:
    """Restore a picture, each plane by itself, in float32.

    Pads by half a kernel and applies edgetaper three times first.

    observed: shape (H, W) or (H, W, C), full scale = 1.
    kernel: shape (kh, kw), odd sides, sum 1; None for no blur.
    noise_level: standard deviation, full scale = 1.
    """
    blur = to_kernel(kernel)
    margins = pad_for(blur, *observed.shape[:2])
    padded = taper(to_planes(observed), blur)
    with torch.inference_mode():
        restored = network(padded.float(), blur.float(), noise_level)
    return to_picture(crop(restored, margins), observed.shape)


def load_fdn(path: Path) -> FDN:
    """Load an .hdf5 file of all stages, with the authors' config.json beside it.

    Raises HyperguideError if a file is missing, damaged or of another network, and if h5py is not
    installed.
    """
    least, most = _noise_range(path.with_name(CONFIG))
    stages: dict[int, dict[str, Tensor]] = {}
    for place, values in read_hdf5(path).items():
        found = _PLACE.fullmatch(place)
        name = _NAMES.get(f"{found[2]}/{found[3]}") if found else None
        if found is None or name is None:
            raise _foreign(path)
        stages.setdefault(int(found[1]), {})[name] = _as_torch(name, values)
    if not 0 < len(stages) <= _MOST_STAGES:
        raise _foreign(path)
    network = FDN(len(stages), least, most)
    state = {
        f"stages.{index}.{name}": values
        for index, number in enumerate(sorted(stages))
        for name, values in stages[number].items()
    }
    own = {name: weights.shape for name, weights in network.state_dict().items()}
    if {name: values.shape for name, values in state.items()} != own:
        raise _foreign(path)
    if not all(bool(values.isfinite().all()) for values in state.values()):
        raise HyperguideError(f"{path} holds weights that are not finite: download it again.")
    network.load_state_dict(state)
    return network.eval()


def _noise_range(path: Path) -> tuple[float, float]:
    """`sigma_range` of the authors' config.json."""
    text = read_text(path, "configuration of FDN", _MOST_CONFIG_BYTES)
    try:
        least, most = map(float, json.loads(text)["sigma_range"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        least = most = math.nan
    if not 0 < least <= most < math.inf:
        raise HyperguideError(
            f"{path} names no sigma_range of two levels: put the authors' config.json there."
        )
    return least, most


def _foreign(path: Path) -> HyperguideError:
    return HyperguideError(
        f"{path} does not hold the stages of an FDN: give the authors' stages_01-10_finetuned.hdf5."
    )


def _as_torch(name: str, values: np.ndarray) -> Tensor:
    """Keras keeps the axes of a layer's weights in the order (..., in, out)."""
    weights = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    if not name.endswith("weight") or weights.ndim < 2:
        return weights
    return weights.permute(weights.ndim - 1, weights.ndim - 2, *range(weights.ndim - 2))
