"""Pictures as the tensors that networks take, and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hyperguide.errors import HyperguideError
from hyperguide.padding import SizeRequirements


def to_tensor(picture: np.ndarray, channels: int, multiple: int) -> Tensor:
    """(H, W) or (H, W, 3) -> (1, channels, H', W') float32, mirrored up to the size multiple."""
    if picture.ndim == 3 and channels == 1:
        raise HyperguideError("This target takes gray pictures, but the suite's are in colour.")
    planes = np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float32)
    if planes.shape[1] < channels:
        planes = np.repeat(planes, channels, axis=1)
    return torch.from_numpy(np.ascontiguousarray(SizeRequirements(multiple).pad(planes)))


def to_picture(tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """(1, C, H', W') -> `shape`, cropped; for a gray picture the channels are averaged."""
    planes = tensor[0, :, : shape[0], : shape[1]].float()
    if len(shape) == 2:
        return planes.mean(0).numpy()
    return np.ascontiguousarray(planes.permute(1, 2, 0).numpy())
