"""Hyper-networks whose first convolution sees one block of pixels at a time."""

from __future__ import annotations

import pytest
import torch

from hyperguide.errors import HyperguideError
from hyperguide.training.network_settings import CompactProxySettings
from hyperguide.training.networks.folding import fold_layers, unfold_weights
from hyperguide.training.networks.hyper import HyperNetwork


def proxy() -> HyperNetwork:
    torch.manual_seed(0)
    return HyperNetwork(3, 16, 8, (1, 1, 2, 1), "image", True, 0.3, patches=True).eval()


@torch.no_grad()
def test_the_first_features_of_a_block_depend_on_that_block_alone() -> None:
    first, image = proxy().convs[0], torch.rand(1, 3, 24, 40)
    changed = image.clone()
    changed[..., 8:16, 16:24] = 0.5
    places = (first(changed) != first(image)).any(1)[0].nonzero().tolist()
    assert places == [[1, 2]]


@torch.no_grad()
def test_folded_it_is_the_same_function_and_comes_back() -> None:
    made, image = proxy(), torch.rand(1, 3, 24, 40)
    folded = fold_layers(made)
    assert folded.convs[0].kernel_size == (8, 8)
    torch.testing.assert_close(folded(image), made(image))
    again = proxy()
    again.load_state_dict(unfold_weights(again, folded.state_dict()))
    torch.testing.assert_close(again(image), made(image))


def test_only_the_view_of_the_image_has_patches() -> None:
    with pytest.raises(HyperguideError, match="patches"):
        CompactProxySettings("image+detail", 16, 8, (1, 1, 1, 1), patches=True)
