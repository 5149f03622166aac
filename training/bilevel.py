"""Algorithm 1: the alternation of the inner (theta) and the outer (omega) problem.

    inner, Eq. (6):  min over theta of g(H_theta; D_h), omega fixed
    outer, Eq. (5):  min over omega of f(A_omega(y; sigma+), x; D_tr), theta fixed,
                     where sigma+ = H_theta(y) enters as a constant

`g` never reaches omega and `f` never reaches theta: no gradient is taken for the fixed half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from .losses import Loss


class Sample(NamedTuple):
    """A batch of D_h, {y, x, sigma}, or of D_tr, {y, x}.

    degraded, clean: shape (N, C, H, W) in [0, 1], noise may leave it.
    guidance: shape (N, 1, H, W) in the task's unit; zeros where the batch brings no map.
    kernel: shape (N, 1, kh, kw), odd sides, sum 1; None for tasks without blur.
    """

    degraded: Tensor
    clean: Tensor
    guidance: Tensor
    kernel: Tensor | None = None


class Step(Protocol):
    """The part of an optimizer that the algorithm uses."""

    def step(self) -> object:
        """Move the parameters by their gradients."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        ...


@dataclass
class Bilevel:
    """The two networks, their losses and their optimizers.

    proxy: H_theta(y) -> map. None for the unguided twin, which has no inner problem.
    reconstruction: A_omega(y, map) -> restored; the unguided twin is called with y alone.
    guidance_loss: g(map, true map).
    task_loss: f(restored, clean).
    autocast: context of the forward passes.
    clip: bound on each network's gradient norm.
    """

    proxy: nn.Module | None
    reconstruction: nn.Module
    guidance_loss: Loss
    task_loss: Loss
    proxy_optimizer: Step | None
    reconstruction_optimizer: Step
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    clip: float = 1.0

    def inner_step(self, batch: Sample) -> Tensor:
        """One step on theta at fixed omega (line 3). Returns g, detached."""
        assert self.proxy is not None, "the unguided twin has no inner problem"
        assert self.proxy_optimizer is not None
        with self.autocast():
            predicted = self.proxy(batch.degraded)
        loss = self.guidance_loss(predicted, batch.guidance)
        self._descend(loss, self.proxy, self.proxy_optimizer)
        return loss.detach()

    def outer_step(self, batch: Sample) -> Tensor:
        """One step on omega at fixed theta (line 4). Returns f, detached."""
        with self.autocast():
            if self.proxy is None:
                restored = self.reconstruction(batch.degraded)
            else:
                with torch.no_grad():
                    guidance = self.proxy(batch.degraded)
                restored = self.reconstruction(batch.degraded, guidance)
        loss = self.task_loss(restored, batch.clean)
        self._descend(loss, self.reconstruction, self.reconstruction_optimizer)
        return loss.detach()

    def _descend(self, loss: Tensor, network: nn.Module, optimizer: Step) -> None:
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), self.clip)
        optimizer.step()
        optimizer.zero_grad()  # nothing of this step is left for the next one


class Average:
    """Exponential moving average of networks' parameters, what is validated and exported.

    The decay grows with the number of updates, (1 + n) / (10 + n), up to its end value, so that
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
        """Move the averages towards the present parameters."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = self._parameters()
        torch._foreach_lerp_(
            list(self.values.values()), [current[name] for name in self.values], 1 - decay
        )
