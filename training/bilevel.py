"""Algorithm 1, which alternates the inner (theta) and outer (omega) problem, and its alternatives.

    inner, Eq. (6):  min over theta of g(H_theta; omega, D_h), omega fixed
    outer, Eq. (5):  min over omega of f(A_omega(y; sigma+), x; D_tr), theta fixed,
                     where sigma+ = H_theta enters as a constant

The strategies differ in which loss updates which parameters:

    strict     the paper's text: g updates theta, f updates omega
    response   the authors' code: f also updates theta, in the outer step
    naive      one step on f + lambda g for both, on D_h (Sec. 5.1.3)
    unguided   f updates omega, without a map
    oracle     strict, but omega is guided by the true map
    manual     f updates omega, guided by a constant level that the user gives

With a teacher, which goes with `strict`, g compares with its maps instead of the true ones, and f
with its results at the student's maps, which are scaled at random, instead of the clean pictures.

Parameters that are not updated get no gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from hyperguide.tasks import find_task
from hyperguide.training.data.sample import Sample

from .losses import Loss, guidance_loss, haze_loss, task_loss
from .model import GuidedModel, Restoration
from .preset import Preset

Strategy = Literal["strict", "response", "naive", "unguided", "oracle", "manual"]


class NotFiniteError(Exception):
    """A gradient is NaN or infinite; the network that it belongs to was not updated."""


class Targets(Protocol):
    """What a teacher provides for a batch, see `teacher.Teacher`."""

    def guidance(self, batch: Sample) -> tuple[Tensor, ...]:
        """The maps that theta learns to predict, one for each stage."""
        ...

    def results(self, batch: Sample, maps: tuple[Tensor, ...]) -> Tensor:
        """The pictures that omega learns to return, guided by `maps`."""
        ...


class Step(Protocol):
    """The part of an optimizer that the algorithm uses."""

    def step(self) -> object:
        """Update the parameters from their gradients."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients."""
        ...


@dataclass
class Bilevel:
    """The pair, its losses and its optimizers.

    model: its networks may be wrapped for distributed training.
    guidance_loss: g(map, true map), averaged over the stages if each has a map.
    task_loss: f(restored, clean).
    proxy_optimizer: None if there is no theta (unguided, manual).
    stage_weight: weight in f of the iterates before the last, relative to the last.
    haze_weight: weight in f of the airlight and transmission that a scattering network estimates,
        for batches with the true ones.
    naive_weight: lambda in f + lambda g.
    autocast: context of the forward passes.
    clip: maximum gradient norm of each network.
    targets: what g and f compare with while training, from a teacher; None for the truth.
    """

    model: GuidedModel
    guidance_loss: Loss
    task_loss: Loss
    proxy_optimizer: Step | None
    reconstruction_optimizer: Step
    strategy: Strategy = "strict"
    stage_weight: float = 0.0
    haze_weight: float = 0.0
    naive_weight: float = 1.0
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    clip: float = 1.0
    targets: Targets | None = None

    @classmethod
    def from_preset(
        cls,
        preset: Preset,
        model: GuidedModel,
        proxy_optimizer: Step | None,
        reconstruction_optimizer: Step,
        strategy: Strategy = "strict",
        naive_weight: float = 1.0,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        vgg_weights: Path | None = None,
        targets: Targets | None = None,
    ) -> Bilevel:
        """Algorithm 1 with the losses of a preset.

        vgg_weights: for the perceptual loss; see `perceptual.load_perceptual_distance`, also for
            its errors.
        """
        return cls(
            model,
            guidance_loss(
                find_task(preset.task).guidance.maximum,
                preset.guidance_floor,
                preset.guidance_too_low,
            ),
            task_loss(preset.loss, vgg_weights, preset.border, preset.border_weight),
            proxy_optimizer,
            reconstruction_optimizer,
            strategy,
            preset.stage_weight,
            preset.haze_weight,
            naive_weight,
            autocast,
            preset.schedule.clip,
            targets,
        )

    @property
    def has_inner_problem(self) -> bool:
        """Whether theta has its own steps."""
        return self.strategy in ("strict", "response", "oracle")

    def inner_step(self, batch: Sample) -> Tensor:
        """One step on theta at fixed omega (line 3). Returns g, detached."""
        loss = self.g(batch, self.targets)
        loss.backward()
        self.move_theta()
        return loss.detach()

    def outer_step(self, batch: Sample) -> Tensor:
        """One step on omega (line 4), and on theta with `response`. Returns f, detached."""
        result = self._guided(batch)
        loss = self.f(result, self._with_results(batch, result))
        loss.backward()
        if self.strategy == "response":
            self.move_theta()
        self.move_omega()
        return loss.detach()

    def joint_step(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """One step of the naive strategy on f + lambda g. Returns (f, g), detached."""
        with self.autocast():
            result = self.model.restore(batch.degraded, batch.kernel)
        f = self.f(result, batch)
        g = self._mean_g(result.maps, (batch.guidance,) * len(result.maps))
        (f + self.naive_weight * g).backward()
        self.move_theta()
        self.move_omega()
        return f.detach(), g.detach()

    def f(self, result: Restoration, batch: Sample) -> Tensor:
        """The reconstruction loss, plus the weighted losses of earlier stages and of the haze."""
        loss = self.task_loss(result.restored, batch.clean)
        early = result.iterates[:-1] if self.stage_weight else ()
        for iterate in early:
            loss = loss + self.stage_weight / len(early) * self.task_loss(iterate, batch.clean)
        light, transmission = batch.airlight, batch.transmission
        if self.haze_weight and result.haze and light is not None and transmission is not None:
            loss = loss + self.haze_weight * haze_loss(*result.haze, light, transmission)
        return loss

    def g(self, batch: Sample, targets: Targets | None = None) -> Tensor:
        """The guidance loss at fixed omega, against the true map or that of `targets`."""
        with self.autocast():
            maps = self.model.predictions(batch.degraded, batch.kernel)
        wanted = (batch.guidance,) * len(maps) if targets is None else targets.guidance(batch)
        return self._mean_g(maps, wanted)

    def _mean_g(self, maps: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> Tensor:
        losses = [self.guidance_loss(*pair) for pair in zip(maps, wanted, strict=True)]
        return torch.stack(losses).mean()

    def _with_results(self, batch: Sample, result: Restoration) -> Sample:
        """The batch with the pictures that f compares a result with."""
        if self.targets is None:
            return batch
        wanted = self.targets.results(batch, result.maps)
        # The true haze belongs to the true map.
        return batch._replace(clean=wanted, airlight=None, transmission=None)

    def _guided(self, batch: Sample) -> Restoration:
        """Restore with the guidance of the strategy."""
        with self.autocast():
            match self.strategy:
                case "oracle":
                    return self.model.restore(
                        batch.degraded, batch.kernel, lambda read, stage: batch.guidance
                    )
                case "unguided":
                    return self.model.restore(batch.degraded, batch.kernel)
                case _:
                    return self.model.restore(
                        batch.degraded,
                        batch.kernel,
                        lambda read, stage: self._predicted(read, stage, batch),
                    )

    def _predicted(self, read: Tensor, stage: int, batch: Sample) -> Tensor:
        """The predicted map, or what dials make of it. A constant, sigma+ of Eq. (5), except for
        the strategy `response`, which also trains theta with f.
        """
        with nullcontext() if self.strategy == "response" else torch.no_grad():
            guidance = self.model.predict(read, stage)
            told, trust = batch.told, batch.trust
            if told is not None and trust is not None and self.strategy != "manual":
                guidance = guidance + trust * (told - guidance)
            return guidance if batch.scale is None else batch.scale * guidance

    def move_theta(self) -> None:
        """One step on theta with its current gradients."""
        assert self.model.proxy is not None
        assert self.proxy_optimizer is not None
        self._descend(self.model.proxy, self.proxy_optimizer)

    def move_omega(self) -> None:
        """One step on omega with its current gradients."""
        self._descend(self.model.reconstruction, self.reconstruction_optimizer)

    def _descend(self, network: nn.Module, optimizer: Step) -> None:
        norm = nn.utils.clip_grad_norm_(network.parameters(), self.clip)
        if not norm.isfinite():
            raise NotFiniteError
        optimizer.step()
        optimizer.zero_grad()  # so that none carry over to the next step
