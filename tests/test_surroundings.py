"""The hyper-network's features of the surroundings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyperguide.errors import HyperguideError
from hyperguide.training.network_settings import CompactProxySettings
from hyperguide.training.networks.hyper import HyperNetwork
from hyperguide.training.networks.surroundings import Surroundings


def proxy(reach: int) -> HyperNetwork:
    torch.manual_seed(0)
    return HyperNetwork(3, 8, 4, (1, 1, 2, 1), "image", True, 0.3, coarse=True, reach=reach).eval()


def test_a_mean_is_over_the_part_of_the_window_that_lies_in_the_picture() -> None:
    """Against a loop over the places of each window."""
    network = Surroundings(2, 2)
    x = torch.rand(1, 2, 6, 9)
    found = network._average(x)[0].numpy()
    for row in range(6):
        for column in range(9):
            window = x[0, :, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
            np.testing.assert_allclose(found[:, row, column], window.mean((1, 2)), atol=1e-6)


def test_places_count_by_their_weight() -> None:
    """Identity convolutions: the output is the mean of the places that have a weight."""
    network = Surroundings(1, 8)
    values = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        for conv in network.convs:
            conv.weight.zero_()
            conv.weight[0, 0, 1, 1] = 1
            conv.bias.zero_()
        network.weigh.weight.fill_(200)  # 0 up to 0.4, 1 from 0.6 on
        network.weigh.bias.fill_(-100)
        network.mix.weight[:] = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
        network.mix.bias.zero_()
        network.up.weight.fill_(1)
        network.up.bias.zero_()
        values[values.sub(0.5).abs() < 0.1] = 0.9
        found = network(values.repeat_interleave(2, 2).repeat_interleave(2, 3))
    bright = values[values > 0.5]
    share = len(bright) / 64
    expected = float(bright.sum()) / 64 / (share + 0.01)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_a_flat_sky_changes_the_map_of_leaves_far_below() -> None:
    leaves = torch.rand(1, 3, 256, 32)
    sky = leaves.clone()
    sky[..., :64, :] = 0.7

    def change(network: HyperNetwork) -> torch.Tensor:
        with torch.no_grad():
            return (network(sky) - network(leaves)).abs().amax((0, 1, 3))

    assert change(proxy(8))[64:192].min() > 0
    assert change(proxy(0))[120:].max() == 0
    assert change(proxy(1))[168:].max() == 0


def test_sizes_are_multiples_of_a_cell() -> None:
    assert proxy(8).size_multiple == 16
    assert proxy(0).size_multiple == 8
    assert proxy(8)(torch.rand(1, 3, 16, 48)).shape == (1, 1, 16, 48)


def test_a_preset_needs_coarse_features_for_a_reach() -> None:
    fields = {"view": "image", "width": 8, "unshuffle": 4, "dilations": (1, 1, 2, 1)}
    with pytest.raises(HyperguideError, match=r"needs coarse: true"):
        CompactProxySettings(**fields, reach=8)  # type: ignore[arg-type]
