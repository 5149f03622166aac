"""Validates a pair on held-out photos, and diagnoses its inner and outer problem."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor

from hyperguide.padding import next_multiple
from hyperguide.training.data.batches import Data
from hyperguide.training.data.sample import Sample

from .bilevel import Bilevel, NotFiniteError
from .losses import inside
from .metrics import MOST_PSNR, psnr
from .model import GuidedModel, Restoration
from .optimizers import build_optimizer
from .preset import Preset, Schedule

# Inner steps on a copy of theta, to measure the inner gap.
_GAP_STEPS = 10
# Minimum size of held-out crops: borders count less, and each shows more of the scene.
_LEAST_CROP = 128

Mapped = tuple[Sample, tuple[bool, ...]]
"""A batch, and for each sample whether its map is known."""


class HeldOut:
    """The held-out crops of a run, drawn on first use and kept."""

    def __init__(self, data: Data, preset: Preset, multiple: int, device: torch.device) -> None:
        self._data, self._preset, self._device = data, preset, device
        last = preset.schedule.stages[-1]
        crop = max(last.crop, next_multiple(_LEAST_CROP, multiple))
        self._stage = replace(last, batch=min(8, preset.schedule.held_out), crop=crop)
        self._batches: list[Mapped] = []

    @property
    def batches(self) -> list[Mapped]:
        """The batches, which are the same for every seed of a run."""
        if not self._batches:
            count = -(-self._preset.schedule.held_out // self._stage.batch)
            drawn = [self._data.draw("held_out", n, self._stage, seed=0) for n in range(count)]
            self._batches = [(to_device(b.sample, self._device), b.mapped) for b in drawn]
        return self._batches

    def validate(self, model: GuidedModel) -> dict[str, float]:
        """See the function `validate`."""
        return validate(model, self.batches, self._preset.border)

    def diagnose(self, algorithm: Bilevel, step: int) -> dict[str, float]:
        """See the function `diagnose`; on those of a quarter of the crops whose map is known."""
        few = self.batches[: -(-len(self.batches) // 4)]
        known = [mapped_part(*batch) for batch in few if any(batch[1])]
        if not known:
            return {}
        stage = self._preset.schedule.stages[-1]
        drawn = [self._data.draw("probe", n, stage, seed=step) for n in range(_GAP_STEPS)]
        further = [to_device(batch.sample, self._device) for batch in drawn]
        return diagnose(algorithm, known, further, self._preset.schedule)


@torch.no_grad()
def validate(model: GuidedModel, batches: Iterable[Mapped], border: int) -> dict[str, float]:
    """Mean PSNR in dB of input and output, capped at 45 per picture, and the RMSE of the map.

    border: pixels on each side that PSNR ignores.
    """
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    errors: list[Tensor] = []
    for batch, mapped in batches:
        result = model.restore(batch.degraded, batch.kernel)
        if result.maps:
            error = (result.maps[-1] - batch.guidance).square().mean((1, 2, 3))
            errors.append(error[torch.tensor(mapped)])
        clean = inside(batch.clean, border)
        for image, figures in ((batch.degraded, inputs), (result.restored, outputs)):
            figures.append(psnr(inside(image, border), clean).clamp(max=MOST_PSNR))
    means = {
        "input_psnr": float(torch.cat(inputs).mean()),
        "output_psnr": float(torch.cat(outputs).mean()),
    }
    known = torch.cat(errors) if errors else torch.empty(0)
    if len(known):
        means["guidance_rmse"] = float(known.mean().sqrt())
    return means


def to_device(sample: Sample, device: torch.device) -> Sample:
    """Move a sample to a device."""
    return Sample(*(None if t is None else t.to(device) for t in sample))  # type: ignore[arg-type]


def mapped_part(batch: Sample, mapped: tuple[bool, ...]) -> Sample:
    """The samples of a batch whose map is known."""
    chosen = torch.tensor(mapped)
    return Sample(*(None if t is None else t[chosen] for t in batch))  # type: ignore[arg-type]


def diagnose(
    algorithm: Bilevel, held_out: Sequence[Sample], more: Sequence[Sample], schedule: Schedule
) -> dict[str, float]:
    """Measure how well both problems are solved and whether they agree, on held-out photos.

    Returns
    held_out_f, held_out_g: both losses.
    regret: f guided by the predicted map minus f guided by the true one.
    cosine: between the gradients of f and g for theta; below 0 they conflict.
    inner_gap: held_out_g minus its value after further inner steps on a copy, one for each batch
        of `more`; near 0 if theta solves the inner problem.

    held_out: batches with maps.
    algorithm: its model is not wrapped for distributed training; it is left unchanged.
    """
    f = _mean(algorithm.f(_restored(algorithm, b), b) for b in held_out)
    figures = {"held_out_f": f}
    if not algorithm.model.has_theta:
        return figures
    g = _mean(algorithm.g(b) for b in held_out)
    told = _mean(algorithm.f(_restored(algorithm, b, told=True), b) for b in held_out)
    figures |= {"held_out_g": g, "regret": f - told, "cosine": _cosine(algorithm, held_out[0])}
    with suppress(NotFiniteError):  # training itself reports it if it occurs
        figures["inner_gap"] = g - _after_inner_steps(algorithm, held_out, more, schedule)
    return figures


def _restored(algorithm: Bilevel, batch: Sample, told: bool = False) -> Restoration:
    guide = (lambda read, stage: batch.guidance) if told else None
    with algorithm.autocast():
        return algorithm.model.restore(batch.degraded, batch.kernel, guide)


@torch.no_grad()
def _mean(losses: Iterable[Tensor]) -> float:
    return float(torch.stack(list(losses)).mean())


def _cosine(algorithm: Bilevel, batch: Sample) -> float:
    assert algorithm.model.proxy is not None
    theta = list(algorithm.model.proxy.parameters())
    losses = algorithm.f(_restored(algorithm, batch), batch), algorithm.g(batch)
    vectors = []
    for loss in losses:
        gradients = torch.autograd.grad(loss, theta, allow_unused=True)
        vectors.append(torch.cat([_flat(d, p) for d, p in zip(gradients, theta, strict=True)]))
    f, g = vectors
    return float(torch.nn.functional.cosine_similarity(f, g, dim=0))


def _flat(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return (torch.zeros_like(parameter) if gradient is None else gradient).flatten()


def _after_inner_steps(
    algorithm: Bilevel, held_out: Sequence[Sample], more: Sequence[Sample], schedule: Schedule
) -> float:
    model = copy.deepcopy(algorithm.model)
    assert model.proxy is not None
    # Adam with small steps, because a large step could make the copy worse.
    optimizer = build_optimizer(model.proxy, replace(schedule, optimizer="adam"), 1e-4)
    twin = replace(algorithm, model=model, proxy_optimizer=optimizer)
    for batch in more:
        twin.inner_step(batch)
    return _mean(twin.g(b) for b in held_out)
