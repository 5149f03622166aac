"""Equal ranges of the channels in front of an int8 export."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hyperguide.export.equalization import equalize
from hyperguide.export.quantized_layers import watching
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.networks.unet import GuidedUNet, ResidualBlock
from hyperguide.training.preset import UNetShape

_SHAPES = {
    "map at the first level": UNetShape(2, (6, 8, 10), 2, blocks=(1, 2)),
    "map at the second level": UNetShape(
        2, (6, 8, 10), 1, blocks=(1,), encoder_blocks=(0, 1), blockwise_map=True
    ),
    "one level": UNetShape(2, (6,), 2),
}


def _uneven(shape: UNetShape) -> GuidedUNet:
    """A folded network some of whose channels are much larger than others, and one always zero."""
    torch.manual_seed(0)
    network = fold_layers(GuidedUNet(3, True, 0.3, shape, "residual")).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                module.weight *= torch.logspace(-1, 1, len(module.weight)).view(-1, 1, 1, 1)
        for block in (m for m in network.modules() if isinstance(m, ResidualBlock)):
            block.conv1.weight[2] = 0
            block.conv1.bias[2] = 0  # type: ignore[index]
    return network


def _run(network: nn.Module, image: Tensor) -> Tensor:
    restored: Tensor = network(image, image[:, :1] / 4)
    return restored


@pytest.mark.parametrize("name", _SHAPES)
def test_an_equalized_network_is_the_same_function_with_even_channels(name: str) -> None:
    network = _uneven(_SHAPES[name])
    image = torch.rand((1, 3, 32, 48), generator=torch.Generator().manual_seed(1))
    even = equalize(network, _run, [image], 1.0)
    before, after = _run(network, image), _run(even, image)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * float(before.detach().std()))

    def spreads(of: GuidedUNet) -> list[float]:
        """The ratio of largest and least channel within each residual block, without the zero."""
        found: list[float] = []

        def watch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            sizes = inputs[0].abs().amax((0, 2, 3))
            assert float(sizes[2]) == 0
            found.append(float(sizes.max() / sizes[sizes > 0].min()))

        blocks = [m for m in of.modules() if isinstance(m, ResidualBlock)]
        with watching([block.conv2 for block in blocks], watch):
            _run(of, image)
        return found

    # Channels that are more than eight times smaller than the largest stay smaller.
    for uneven, evened in zip(spreads(network), spreads(even), strict=True):
        assert uneven > 10
        assert evened == pytest.approx(max(1.0, uneven / 8), rel=1e-3)


def test_other_networks_are_copied() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 3, 3)
    copied = equalize(conv, lambda m, x: m(x), [torch.rand(1, 3, 8, 8)], 1.0)
    assert copied is not conv
    assert torch.equal(copied.weight, conv.weight)
