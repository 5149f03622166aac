"""The re-parameterised stack: one plain convolution replaces its branches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.training.model import GuidedModel
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.networks.guided_input import GuidedHead, UnshuffledConvolution
from hyperguide.training.networks.hyper import HyperNetwork, PlainHyperNetwork
from hyperguide.training.networks.stack import BranchedConvolution, GuidedStack
from hyperguide.training.networks.upsampling import Upsampling
from hyperguide.training.preset import ImageView


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _stack(guided: bool = True, depth: int = 4) -> GuidedStack:
    """A stack whose last layer is not zero, as after training."""
    torch.manual_seed(0)
    stack = GuidedStack(3, guided, unshuffle=2, width=16, depth=depth, maximum=0.5)
    nn.init.normal_(stack.tail.weight, std=0.1)
    return stack


def test_a_block_is_the_sum_of_a_3x3_a_1x1_and_the_identity() -> None:
    torch.manual_seed(0)
    block = BranchedConvolution(16)
    x = _random(1, 16, 5, 6) - 0.5
    kernels = {name: weights.numpy() for name, weights in block.state_dict().items()}
    plane = x[0].numpy()
    windows = sliding_window_view(np.pad(plane, ((0, 0), (1, 1), (1, 1))), (3, 3), (1, 2))
    expected = plane + kernels["conv3.bias"][:, None, None]
    expected = expected + np.einsum("ocyx,chwyx->ohw", kernels["conv3.weight"], windows)
    expected = expected + np.einsum("ocyx,chw->ohw", kernels["conv1.weight"], plane)
    for form in (block, block.fold()):
        with torch.no_grad():
            np.testing.assert_allclose(form(x)[0].numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(2, 2), (2, 10), (6, 4), (34, 46)])
def test_folding_changes_no_pixel(size: tuple[int, int]) -> None:
    stack = _stack()
    folded = fold_layers(stack)
    image, guidance = _random(2, 3, *size), 0.5 * _random(2, 1, *size, seed=1)
    with torch.no_grad():
        before = stack(image, guidance)
        assert (before - image).abs().max() > 0.05  # the stack does something
        assert (folded(image, guidance) - before).abs().max() <= 1e-5
        exact = stack.double()(image.double(), guidance.double())
        assert (fold_layers(stack)(image.double(), guidance.double()) - exact).abs().max() <= 1e-12


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
def test_a_convolution_of_blocks_is_a_strided_one_of_pixels(unshuffle: int) -> None:
    torch.manual_seed(0)
    image = _random(2, 3, 5 * unshuffle, 7 * unshuffle)
    guidance = 0.3 * _random(2, 1, *image.shape[2:], seed=1)
    layer = UnshuffledConvolution(3, 8, unshuffle).double()
    heads = [GuidedHead(3, guided, 8, unshuffle, 0.3).double() for guided in (True, False)]
    maps = (guidance.double(), None)
    with torch.no_grad():
        expected = layer(image.double())
        assert expected.shape == (2, 8, 5, 7)
        torch.testing.assert_close(layer.fold()(image.double()), expected)
        for head, given in zip(heads, maps, strict=True):
            actual = fold_layers(head)(image.double(), given)
            torch.testing.assert_close(actual, head(image.double(), given))


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 7)])
def test_upsampling_equals_torchs_interpolation_and_folds_into_a_convolution(
    factor: int, size: tuple[int, int]
) -> None:
    x = _random(2, 1, *size)
    expected = F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
    layer = Upsampling(factor)
    torch.testing.assert_close(layer(x), expected, atol=0, rtol=0)
    torch.testing.assert_close(layer.fold()(x), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("view", ["image", "detail", "image+detail"])
def test_a_folded_pair_has_no_unshuffled_convolutions(view: ImageView) -> None:
    torch.manual_seed(0)
    proxy = HyperNetwork(3, 8, 4, (1, 1, 2, 1), view, False, 0.5)
    pair = GuidedModel(proxy, _stack())
    image = _random(1, 3, 16, 24)
    folded = fold_layers(pair)
    assert not any(isinstance(m, UnshuffledConvolution) for m in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded.predict(image), pair.predict(image))
        expected = pair.restore(image).restored
        torch.testing.assert_close(folded.restore(image).restored, expected, atol=1e-5, rtol=0)


def test_a_folded_stack_is_plain_convolutions_and_its_original_is_kept() -> None:
    stack = _stack(depth=3)
    before = {name: weights.clone() for name, weights in stack.state_dict().items()}
    folded = fold_layers(stack)
    convs = [m for m in folded.modules() if isinstance(m, nn.Conv2d)]
    # The head becomes two strided convolutions, of the image and of the map.
    assert [conv.kernel_size for conv in convs] == [(6, 6)] * 2 + [(3, 3)] * (3 + 1)
    assert not any(isinstance(m, BranchedConvolution) for m in folded.modules())
    assert sum(isinstance(m, BranchedConvolution) for m in stack.modules()) == 3
    with torch.no_grad():
        for weights in folded.parameters():
            weights.zero_()
    assert all(torch.equal(before[name], w) for name, w in stack.state_dict().items())


def test_branches_are_folded_in_nested_modules() -> None:
    torch.manual_seed(0)
    pair = GuidedModel(PlainHyperNetwork(3, 8, 0.5), _stack())
    nested = nn.ModuleDict({"pair": pair, "block": BranchedConvolution(16)})
    folded = fold_layers(nested)
    assert not any(isinstance(m, BranchedConvolution) for m in folded.modules())
    image = _random(1, 3, 8, 8)
    with torch.no_grad():
        expected = pair.restore(image).restored
        actual = fold_layers(pair).restore(image).restored
    assert (actual - expected).abs().max() <= 1e-5
    assert isinstance(fold_layers(nested["block"]), nn.Conv2d)


def test_a_network_with_nothing_to_fold_stays_what_it_is() -> None:
    network = PlainHyperNetwork(3, 8, 0.5)
    copy = fold_layers(network)
    assert copy is not network
    assert [name for name, _ in copy.named_modules()] == [n for n, _ in network.named_modules()]
    state = copy.state_dict()
    assert all(torch.equal(state[name], w) for name, w in network.state_dict().items())


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
def test_an_untrained_stack_is_the_identity_on_multiples_of_its_blocks(unshuffle: int) -> None:
    stack = GuidedStack(3, True, unshuffle, 32, 2, maximum=1.0)
    assert stack.size_multiple == unshuffle
    image = _random(1, 3, 3 * unshuffle, 5 * unshuffle)
    with torch.no_grad():
        assert torch.equal(stack(image, torch.ones_like(image[:, :1])), image)


def test_the_stacks_unguided_twin_differs_by_the_map_channel_only() -> None:
    guided, twin = _stack().state_dict(), _stack(guided=False).state_dict()
    assert guided.keys() == twin.keys()
    assert {n for n in twin if guided[n].shape != twin[n].shape} == {"head.weight"}
    assert guided["head.weight"].shape[1] - twin["head.weight"].shape[1] == 2 * 2


def test_every_branch_of_a_stack_gets_a_gradient() -> None:
    stack = _stack()
    image, guidance = _random(1, 3, 8, 8), _random(1, 1, 8, 8)
    stack(image, guidance).square().mean().backward()
    for name, weights in stack.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.abs().max() > 0, name


def test_widths_that_vector_units_cannot_fill_are_refused() -> None:
    with pytest.raises(HyperguideError, match="multiple of 16"):
        GuidedStack(3, True, 2, 24, 4, 1.0)
