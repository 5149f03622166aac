"""Tests that a hyper-network whose map fell to 0 everywhere can still learn."""

import pytest
import torch

from hyperguide.training.networks.hyper import HyperNetwork
from hyperguide.training.networks.unsaturated import unsaturated

FAR_BELOW = -50.0


def test_what_is_far_below_can_rise_but_is_not_pushed_further_down() -> None:
    x = torch.tensor([FAR_BELOW, FAR_BELOW, 1.0, 1.0], requires_grad=True)
    torch.dot(unsaturated(x), torch.tensor([-2.0, 2.0, -2.0, 2.0])).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [-2.0, 0.0, -2.0, 2.0]


def test_without_gradients_values_are_left_as_they_are() -> None:
    x = torch.tensor([FAR_BELOW, 1.0])
    assert unsaturated(x) is x


def test_a_map_that_is_zero_everywhere_learns_to_be_another() -> None:
    torch.manual_seed(0)
    network = HyperNetwork(3, 8, 2, (1, 1, 1, 1), "image", smooth=False, maximum=1.0)
    last = network.convs[-1].bias
    assert isinstance(last, torch.Tensor)
    torch.nn.init.constant_(last, FAR_BELOW)
    image = torch.rand(1, 3, 16, 16)
    optimizer = torch.optim.Adam([last], lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        (network(image) - 0.5).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        assert float(network(image).mean()) == pytest.approx(0.5, abs=0.1)


def test_in_use_a_map_may_be_as_low_as_it_likes() -> None:
    network = HyperNetwork(3, 8, 2, (1, 1, 1, 1), "image", smooth=False, maximum=1.0).eval()
    last = network.convs[-1].bias
    assert isinstance(last, torch.Tensor)
    torch.nn.init.constant_(last, FAR_BELOW)
    assert float(network(torch.rand(1, 3, 16, 16)).max().detach()) < 1e-10  # with gradients
