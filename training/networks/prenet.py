"""PReNet, the progressive recurrent network for rain removal, guided by a rain map.

D. Ren et al., Progressive Image Deraining Networks: A Better and Simpler Baseline, CVPR 2019: the
version with an LSTM and five residual blocks. Parameters are named as in the authors' repository
(csdwren/PReNet), so that their weights load as they are.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTH = 32


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _residual_branch() -> nn.Sequential:
    return nn.Sequential(_conv(_WIDTH, _WIDTH), nn.ReLU(), _conv(_WIDTH, _WIDTH), nn.ReLU())


def _gate(activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(_conv(2 * _WIDTH, _WIDTH), activation)


class PReNet(nn.Module):
    """A_omega for rain removal: a small network applied repeatedly, with an LSTM as memory.

    guided: whether there is a rain map, appended to the six input channels of the first
        convolution; without it this is the original.
    maximum: the map is divided by it, so that the network sees it in [0, 1].
    stages: number of times the network is applied, six in the paper. They share all parameters.
    """

    channels = 3
    size_multiple = 1
    asks_per_stage = False

    def __init__(self, guided: bool, maximum: float, stages: int = 6) -> None:
        super().__init__()
        self.guided = guided
        self.maximum = maximum
        self.stages = stages
        self.conv0 = nn.Sequential(_conv(6 + guided, _WIDTH), nn.ReLU())
        self.res_conv1 = _residual_branch()
        self.res_conv2 = _residual_branch()
        self.res_conv3 = _residual_branch()
        self.res_conv4 = _residual_branch()
        self.res_conv5 = _residual_branch()
        self.conv_i = _gate(nn.Sigmoid())
        self.conv_f = _gate(nn.Sigmoid())
        self.conv_g = _gate(nn.Tanh())
        self.conv_o = _gate(nn.Sigmoid())
        self.conv = nn.Sequential(_conv(_WIDTH, 3))

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Remove the rain.

        image: shape (N, 3, H, W) in [0, 1].
        guidance: shape (N, 1, H, W), the probability of rain; absent for the unguided twin.
        Returns the last stage's picture, shape (N, 3, H, W), not clipped.
        """
        constant = []
        if self.guided:
            assert guidance is not None
            constant.append(guidance / self.maximum)
        count, _, height, width = image.shape
        hidden = cell = image.new_zeros(count, _WIDTH, height, width)
        restored = image
        for _ in range(self.stages):
            x = self.conv0(torch.cat([image, restored, *constant], 1))
            hidden, cell = self._remember(torch.cat([x, hidden], 1), cell)
            restored = image + self._residue(hidden)
        return restored

    def fold(self) -> FoldedPReNet:
        """The same function with less work, see `FoldedPReNet`."""
        return FoldedPReNet(self)

    def _remember(self, x: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The convolutional LSTM; returns the next (hidden state, cell), both (N, 32, H, W)."""
        cell = self.conv_f(x) * cell + self.conv_i(x) * self.conv_g(x)
        return self.conv_o(x) * torch.tanh(cell), cell

    def _residue(self, x: Tensor) -> Tensor:
        """The residual added to the rainy image, shape (N, 3, H, W)."""
        for branch in self.branches():
            x = F.relu(x + branch(x))
        residue: Tensor = self.conv(x)
        return residue

    def branches(self) -> list[nn.Module]:
        """The residual branches in order."""
        return [getattr(self, f"res_conv{number}") for number in range(1, 6)]


class FoldedPReNet(nn.Module):
    """The same function as `PReNet`, for inference.

    The part of each stage's first convolution that reads the image and the map is the same in all
    stages and computed once. The first stage has no memory, so more than half of its gates' work is
    skipped. The gates remain separate convolutions: one for all four would have to be split again,
    and CPU engines fuse a convolution with its activation, but not a part of one. On ONNX Runtime
    and OpenVINO that took as long as `PReNet` itself; this takes 5 % less.
    """

    channels = PReNet.channels
    size_multiple = PReNet.size_multiple
    asks_per_stage = PReNet.asks_per_stage

    @torch.no_grad()
    def __init__(self, network: PReNet) -> None:
        super().__init__()
        self.maximum = network.maximum
        self.stages = network.stages
        first, first_bias = _parameters(network.conv0)
        # Inputs of the first convolution: three planes of the image, three restored ones, the map.
        self.of_image = _with(first[:, :3], first_bias)
        self.of_restored = _with(first[:, 3:6])
        self.of_map = _with(first[:, 6:] / network.maximum) if network.guided else None
        gates = {name: _parameters(getattr(network, f"conv_{name}")) for name in "ifog"}
        self.gates = nn.ModuleDict({n: _with(w[:, :_WIDTH], b) for n, (w, b) in gates.items()})
        self.gates_of_hidden = nn.ModuleDict(
            {name: _with(weight[:, _WIDTH:]) for name, (weight, _) in gates.items()}
        )
        self.branches = nn.ModuleList(copy.deepcopy(branch) for branch in network.branches())
        self.tail = copy.deepcopy(network.conv[0])

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """See `PReNet.forward`."""
        constant = self.of_image(image)
        if self.of_map is not None:
            constant = constant + self.of_map(guidance)
        restored = image
        hidden: Tensor | None = None
        cell: Tensor | None = None
        for _ in range(self.stages):
            x = F.relu(constant + self.of_restored(restored))
            hidden, cell = self._remember(x, hidden, cell)
            x = hidden
            for branch in self.branches:
                x = F.relu(x + branch(x))
            restored = image + self.tail(x)
        return restored

    def _remember(
        self, x: Tensor, hidden: Tensor | None, cell: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """See `PReNet._remember`; the first stage has neither hidden state nor cell."""

        def gate(name: str) -> Tensor:
            seen: Tensor = self.gates[name](x)
            return seen if hidden is None else seen + self.gates_of_hidden[name](hidden)

        new = torch.sigmoid(gate("i")) * torch.tanh(gate("g"))
        if cell is not None:
            new = torch.sigmoid(gate("f")) * cell + new
        return torch.sigmoid(gate("o")) * torch.tanh(new), new


def _parameters(layers: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Weight and bias of the first layer, a convolution."""
    conv = layers[0]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    return conv.weight, conv.bias


def _with(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    """A 3x3 convolution with these parameters."""
    conv = nn.Conv2d(weight.shape[1], len(weight), 3, padding=1, bias=bias is not None).to(weight)
    conv.weight.copy_(weight)
    if bias is not None:
        assert conv.bias is not None
        conv.bias.copy_(bias)
    return conv
