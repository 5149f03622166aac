"""The moving average of the weights, which is validated and exported."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of the networks' parameters, used for validation and export.

    The decay grows with the number of updates n as (1 + n) / (10 + n), up to `decay`, so that
    the first weights are forgotten early.
    """

    def __init__(self, networks: Iterable[tuple[str, nn.Module]], decay: float = 0.999) -> None:
        self.networks = dict(networks)
        self.decay = decay
        self.updates = 0
        self.values = {name: p.detach().clone() for name, p in self._parameters().items()}

    def _parameters(self) -> dict[str, Tensor]:
        return {
            f"{prefix}.{name}": p
            for prefix, network in self.networks.items()
            for name, p in network.named_parameters()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the current parameters."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = self._parameters()
        torch._foreach_lerp_(
            list(self.values.values()), [current[name] for name in self.values], 1 - decay
        )
