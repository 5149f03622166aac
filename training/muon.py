"""Muon for convolutions, with Adam for parameters that are not matrices.

Muon (K. Jordan et al., 2024) replaces the momentum of a weight matrix with the nearest
semi-orthogonal matrix, found in a few Newton-Schulz steps. A convolution is treated as a matrix
of shape (out_channels, in_channels * k * k).
PyTorch's own `torch.optim.Muon` only takes matrices, and refuses convolutions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# Coefficients of the quintic iteration, chosen by its author for a steep slope at zero.
_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Approximate U V^T of each matrix's singular value decomposition.

    matrices: shape (B, rows, columns). The resulting singular values are in about [0.7, 1.2].
    """
    a, b, c = _QUINTIC
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    transposed = x.shape[1] > x.shape[2]
    if transposed:
        x = x.mT
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if transposed else x


class MuonWithAdam(Optimizer):
    """One optimizer for a network: Muon on its inner convolutions, Adam on the rest.

    muon, adam: the parameters that each one updates.
    lr, adam_lr: step sizes of Muon and Adam. Each group keeps its own as `base_lr` for schedules.
    """

    def __init__(
        self,
        muon: Sequence[Tensor],
        adam: Sequence[Tensor],
        lr: float,
        adam_lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        groups = [
            {"params": list(muon), "lr": lr, "base_lr": lr, "rule": "muon"},
            {"params": list(adam), "lr": adam_lr, "base_lr": adam_lr, "rule": "adam"},
        ]
        super().__init__([g for g in groups if g["params"]], {})
        self.momentum = momentum
        self.betas = betas

    @classmethod
    def for_network(cls, network: nn.Module, lr: float, adam_lr: float) -> MuonWithAdam:
        """Split a network's parameters: convolution weights, except in last layers, go to Muon."""
        last = {id(layer) for layer in _last_layers(network)}
        inner = [
            m.weight for m in network.modules() if isinstance(m, nn.Conv2d) and id(m) not in last
        ]
        chosen = {id(p) for p in inner}
        return cls(inner, [p for p in network.parameters() if id(p) not in chosen], lr, adam_lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the parameters that have gradients."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if group["rule"] == "muon":
                self._muon(params, group["lr"])
            else:
                self._adam(params, group["lr"])

    def _muon(self, params: list[Tensor], lr: float) -> None:
        same_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p in params:
            assert p.grad is not None
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(p.grad, 1 - self.momentum)
            ahead = p.grad.lerp(momentum, self.momentum)  # Nesterov
            same_shape[p.shape].append((p, ahead.flatten(1)))
        for shape, members in same_shape.items():
            updates = orthogonalize(torch.stack([update for _, update in members]))
            scale = max(1.0, updates.shape[1] / updates.shape[2]) ** 0.5
            for (p, _), update in zip(members, updates, strict=True):
                p.add_(update.reshape(shape), alpha=-lr * scale)

    def _adam(self, params: list[Tensor], lr: float) -> None:
        beta1, beta2 = self.betas
        for p in params:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state["step"] = torch.zeros(())  # torch keeps state of this name on the CPU
                state["mean"] = torch.zeros_like(p)
                state["square"] = torch.zeros_like(p)
            state["step"] += 1
            steps = int(state["step"])
            state["mean"].lerp_(p.grad, 1 - beta1)
            state["square"].lerp_(p.grad.square(), 1 - beta2)
            mean = state["mean"] / (1 - beta1**steps)
            root = (state["square"] / (1 - beta2**steps)).sqrt()
            p.addcdiv_(mean, root.add_(1e-8), value=-lr)


def _last_layers(network: nn.Module) -> list[nn.Module]:
    """The last convolutions of a network, or of each part of an unfolded network."""
    layers: list[nn.Module] = []
    for module in network.modules():
        ends = (getattr(module, name, None) for name in ("tail", "light"))
        convs = getattr(module, "convs", None)
        layers += [end for end in ends if isinstance(end, nn.Conv2d)]
        layers += [convs[-1]] if isinstance(convs, nn.ModuleList) else []
    every: list[nn.Module] = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    return layers or every[-1:]
