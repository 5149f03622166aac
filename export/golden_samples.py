"""The golden samples of a pair: two small synthetic pictures and torch's outputs for them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from hyperguide.model_format.contract import DIALS, ENHANCED, GUIDANCE, IMAGE, KERNEL
from hyperguide.model_format.golden import Golden
from hyperguide.model_format.model_file import default_feeds
from hyperguide.padding import next_multiple
from hyperguide.training.model import GuidedModel


def golden_samples(model: GuidedModel, takes_kernel: bool, tolerance: float) -> list[Golden]:
    """Make two samples: one with default dials, one with every dial (and the kernel) set.

    tolerance: accepted difference of each output.
    """
    multiple = model.size_multiple
    height, width = (next_multiple(least, multiple) for least in (24, 40))
    image = synthetic_picture(height, width, model.channels)[None]
    ramp = np.linspace(0, 1, width, dtype=np.float32) * np.ones((1, 1, height, 1), np.float32)
    turned = {
        "guidance_in": ramp * np.float32(model.maximum),
        "guidance_mix": np.full((1, 1, 1, 1), 0.75, np.float32),
        "guidance_scale": np.full((1, 1, 1, 1), 1.25, np.float32),
        "strength": ramp[..., ::-1].copy(),
    }
    if takes_kernel:
        turned[KERNEL] = np.full((1, 1, 3, 5), 1 / 15, np.float32)
    accepted = {ENHANCED: tolerance, GUIDANCE: tolerance}
    return [
        Golden(name, feeds, run_torch(model, feeds), accepted)
        for name, feeds in (("plain", {IMAGE: image}), ("dials", {IMAGE: image, **turned}))
    ]


def run_torch(model: GuidedModel, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run the pair in torch on the inputs of a graph; missing dials take their defaults."""
    values = default_feeds(DIALS) | dict(feeds)
    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    with torch.no_grad():
        enhanced, guidance = model(**tensors)
    return {ENHANCED: enhanced.numpy(), GUIDANCE: guidance.numpy()}


def synthetic_picture(height: int, width: int, channels: int) -> np.ndarray:
    """A picture of gradients, a disc, stripes and noise, 8-bit values in [0, 1], (C, H, W)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.stack([0.2 + 0.6 * x, 0.3 + 0.5 * y, 0.7 - 0.4 * x])
    picture[:, (x - 0.3) ** 2 + (y - 0.3) ** 2 < 0.03] = [[0.9], [0.4], [0.2]]
    picture += 0.15 * (np.sin(60 * (x + 0.3 * y)) > 0.9)
    picture += np.random.default_rng(0).normal(0, 0.06, picture.shape)
    return (np.rint(picture[:channels].clip(0, 1) * 255) / 255).astype(np.float32)
