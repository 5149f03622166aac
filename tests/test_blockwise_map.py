"""Reconstruction networks whose map enters at the second level."""

from __future__ import annotations

import pytest
import torch

from hyperguide.errors import HyperguideError
from hyperguide.training.networks.folding import fold_layers, unfold_weights
from hyperguide.training.networks.unet import GuidedUNet
from hyperguide.training.preset import UNetShape


def network(guided: bool = True) -> GuidedUNet:
    torch.manual_seed(0)
    shape = UNetShape(2, (16, 32), 1, blockwise_map=True)
    made = GuidedUNet(3, guided, 0.3, shape, "residual")
    with torch.no_grad():
        for weights in made.parameters():
            weights += 0.05 * torch.randn_like(weights)
    return made.eval()


@torch.no_grad()
def test_only_the_mean_of_a_block_matters() -> None:
    made = network()
    image, guidance = torch.rand(1, 3, 16, 24), 0.3 * torch.rand(1, 1, 16, 24)
    means = torch.nn.functional.avg_pool2d(guidance, 4)
    spread = means.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(made(image, guidance), made(image, spread))
    assert float((made(image, guidance) - made(image, 0 * guidance)).abs().max()) > 1e-3


@torch.no_grad()
def test_folded_it_is_the_same_function_and_comes_back() -> None:
    made = network()
    image, guidance = torch.rand(1, 3, 16, 24), 0.3 * torch.rand(1, 1, 16, 24)
    folded = fold_layers(made)
    torch.testing.assert_close(folded(image, guidance), made(image, guidance))
    again = network()
    again.load_state_dict(unfold_weights(again, folded.state_dict()))
    torch.testing.assert_close(again(image, guidance), made(image, guidance))


def test_the_first_layer_sees_only_the_picture_and_the_unguided_twin_no_map_at_all() -> None:
    guided, twin = network().state_dict(), network(guided=False).state_dict()
    assert guided["head.weight"].shape == twin["head.weight"].shape == (16, 12, 3, 3)
    assert guided.keys() - twin.keys() == {"blockwise_map.conv.weight"}


def test_a_network_of_one_level_refuses_it() -> None:
    with pytest.raises(HyperguideError, match="blockwise_map"):
        UNetShape(4, (16,), 1, blockwise_map=True)
