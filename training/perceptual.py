"""The perceptual distance: how much the VGG16 features of two pictures differ.

J. Johnson et al., Perceptual Losses for Real-Time Style Transfer, ECCV 2016, as used by
GridDehazeNet (X. Liu et al., ICCV 2019).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.storage.paths import exists

from .official import read_state_dict

FILE = "vgg16-397923af.pth"  # torchvision's name of the ImageNet weights

# Configuration D of VGG (K. Simonyan, A. Zisserman, ICLR 2015) up to relu3_3: the channels of each
# convolution, `None` for pooling.
_LAYERS = (64, 64, None, 128, 128, None, 256, 256, 256)
_READ = (3, 8, 15)  # relu1_2, relu2_2, relu3_3


class PerceptualDistance(nn.Module):
    """Mean over relu1_2, relu2_2 and relu3_3 of the mean squared difference of VGG16's features.

    As in GridDehazeNet's code, pictures are in [0, 1] and are not normalised with the mean and
    deviation of ImageNet, on which VGG16 was trained.

    Parameters are named as in torchvision and require no gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in _LAYERS:
            if outputs is None:
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
        self.features = nn.Sequential(*layers)
        self.requires_grad_(False)

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """The distance, a scalar.

        restored, clean: shape (N, 1 or 3, H, W) in [0, 1], at least 4x4; gray is repeated
            to three channels. Gradients flow to both.
        """
        pairs = zip(self._read(restored), self._read(clean), strict=True)
        return torch.stack([F.mse_loss(a, b) for a, b in pairs]).mean()

    def _read(self, image: Tensor) -> list[Tensor]:
        x = image.expand(-1, 3, -1, -1)
        read = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _READ:
                read.append(x)
        return read


def load_perceptual_distance(weights: Path | None = None) -> PerceptualDistance:
    """Build the distance with torchvision's VGG16 weights, trained on ImageNet.

    weights: the file; by default, the one in torchvision's download cache.
    Raises HyperguideError if it is missing or holds something else.
    """
    cached = Path(torch.hub.get_dir(), "checkpoints", FILE)
    if weights is None and not exists(cached):
        raise HyperguideError(
            f"The perceptual loss needs torchvision's VGG16 ImageNet weights, which are not at "
            f"{cached}: download {FILE} from the VGG16 page of torchvision's documentation to "
            "there, or name a copy with --vgg-weights."
        )
    path = weights or cached
    distance = PerceptualDistance()
    state = read_state_dict(path)
    wanted = distance.state_dict()
    if any(name not in state or state[name].shape != wanted[name].shape for name in wanted):
        raise HyperguideError(
            f"{path} does not hold torchvision's VGG16: give its ImageNet weights, {FILE}."
        )
    distance.load_state_dict({name: state[name] for name in wanted})
    return distance
