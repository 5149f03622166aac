"""The training run, top to bottom: data, warm-up, alternation, validation, checkpoints."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Literal

import torch
from torch import Generator, Tensor

from hyperguide.errors import HyperguideError
from hyperguide.tasks import find_task

from .bilevel import Average, Bilevel, Sample
from .checkpoint import (
    LOG,
    STATE,
    WEIGHTS,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)
from .data import Data
from .losses import TASK_LOSSES, guidance_loss
from .metrics import psnr
from .model import GuidedModel, build_model
from .muon import MuonWithAdam
from .preset import Preset, Stage

Strategy = Literal["strict", "unguided"]


@dataclass(frozen=True)
class Progress:
    """What a run reports while it goes on.

    step, total: of all steps, warm-up included.
    f, g: running means of the reconstruction and the guidance loss; None before the first one.
    phase: `warm-up` while only theta is trained, then `bilevel` (or `unguided`).
    """

    step: int
    total: int
    f: float | None
    g: float | None
    phase: str


def validate(model: GuidedModel, batches: list[Sample]) -> dict[str, float]:
    """Mean PSNR over held-out crops, of the input and of the output, and the map's RMSE."""
    inputs, outputs, errors = [], [], []
    with torch.no_grad():
        for batch in batches:
            if model.proxy is None:
                restored = model.reconstruction(batch.degraded)
            else:
                guidance = model.proxy(batch.degraded)
                restored = model.reconstruction(batch.degraded, guidance)
                errors.append((guidance - batch.guidance).square().mean())
            inputs.append(psnr(batch.degraded, batch.clean).clamp(max=60))
            outputs.append(psnr(restored, batch.clean).clamp(max=60))
    result = {
        "input_psnr": float(torch.cat(inputs).mean()),
        "output_psnr": float(torch.cat(outputs).mean()),
    }
    if errors:
        result["guidance_rmse"] = float(torch.stack(errors).mean().sqrt())
    return result


class Run:
    """One training run and its folder.

    Algorithm 1 with theta-only warm-up: the guidance pays where the hyper-network is good, so it
    is fitted first. D_h and D_tr are drawn by separate generators from the same photos.
    """

    def __init__(
        self, preset: Preset, data: Data, folder: Path, strategy: Strategy, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.preset, self.data, self.folder = preset, data, folder
        self.strategy, self.seed = strategy, seed
        schedule = preset.schedule
        self.warmup = schedule.warmup if strategy != "unguided" else 0
        self.total = self.warmup + schedule.steps
        self.step = 0
        self.model = build_model(preset, guided=strategy != "unguided")
        proxy, reconstruction = self.model.proxy, self.model.reconstruction
        for stage in schedule.stages:
            if stage.crop % self.model.size_multiple:
                raise HyperguideError(
                    f"The preset's crop of {stage.crop} pixels does not fit the networks: "
                    f"give a multiple of {self.model.size_multiple}."
                )
        self.reconstruction_optimizer = MuonWithAdam.for_network(
            reconstruction, schedule.reconstruction_lr, schedule.adam_lr
        )
        self.proxy_optimizer = (
            None
            if proxy is None
            else MuonWithAdam.for_network(proxy, schedule.proxy_lr, schedule.adam_lr)
        )
        self.average = Average(self.model.named_children(), schedule.decay)
        self.algorithm = Bilevel(
            proxy,
            reconstruction,
            guidance_loss(find_task(preset.task).guidance.maximum),
            TASK_LOSSES[preset.loss],
            self.proxy_optimizer,
            self.reconstruction_optimizer,
            autocast=_autocast(),
        )
        self.rng_h = Generator().manual_seed(2 * seed)
        self.rng_tr = Generator().manual_seed(2 * seed + 1)
        self.seconds = 0.0
        self.saved = False  # whether the folder holds a checkpoint of this run
        self.validation: dict[str, float] = {}  # of the last checkpoint

    def train(self, report: Callable[[Progress], None], checkpoint_seconds: float = 120) -> None:
        """Train to the end of the schedule, reporting every step and saving now and then."""
        f_mean = g_mean = None
        began = saved = perf_counter()
        phase = "unguided" if self.strategy == "unguided" else "bilevel"
        while self.step < self.total:
            outer = self.step - self.warmup  # negative during the warm-up
            stage = self._stage(outer)
            self._set_learning_rates(outer)
            if self.model.proxy is not None:
                g = self.algorithm.inner_step(self.data.train_batch(stage, self.rng_h))
                g_mean = _running(g_mean, self._finite(g, "guidance loss g"))
            if outer >= 0:
                f = self.algorithm.outer_step(self.data.train_batch(stage, self.rng_tr))
                f_mean = _running(f_mean, self._finite(f, "reconstruction loss f"))
            self.average.update()
            self.step += 1
            report(
                Progress(self.step, self.total, f_mean, g_mean, phase if outer >= 0 else "warm-up")
            )
            now = perf_counter()
            if now - saved > checkpoint_seconds or self.step == self.total:
                self.seconds += now - began
                self.save(f_mean, g_mean)
                began = saved = perf_counter()

    def _finite(self, loss: Tensor, name: str) -> float:
        value = float(loss)
        if not math.isfinite(value):
            raise HyperguideError(
                f"The {name} became {value} at step {self.step}: start again "
                "with lower learning rates in the preset."
            )
        return value

    def _stage(self, outer: int) -> Stage:
        share = max(outer, 0) / self.preset.schedule.steps
        stages = self.preset.schedule.stages
        return next((s for s in stages if share < s.until), stages[-1])

    def _set_learning_rates(self, outer: int) -> None:
        """Short linear start, then cosine to zero over the outer steps."""
        steps = self.preset.schedule.steps
        cosine = 0.5 * (1 + math.cos(math.pi * max(outer, 0) / steps))
        self.reconstruction_optimizer.set_lr_factor(min(cosine, max(outer + 1, 0) / 100))
        if self.proxy_optimizer is not None:
            self.proxy_optimizer.set_lr_factor(min(cosine, (self.step + 1) / 100))

    def validate(self, batches: int = 8) -> dict[str, float]:
        """Validate the averaged weights on held-out crops, the same ones every time."""
        rng = Generator().manual_seed(0)
        last = self.preset.schedule.stages[-1]
        multiple = self.model.size_multiple
        crop = max(last.crop, multiple * -(-128 // multiple))
        stage = replace(last, batch=8, crop=crop)
        model = build_model(self.preset, guided=self.model.proxy is not None)
        model.load_state_dict(self.average.values)
        drawn = [self.data.held_out_batch(stage, rng) for _ in range(batches)]
        return validate(model.eval(), drawn)

    def save(self, f: float | None = None, g: float | None = None) -> None:
        """Validate, and write weights, state and a line of the log.

        Raises HyperguideError, and keeps the last checkpoint, if the weights are not finite.
        """
        if not all(bool(p.isfinite().all()) for p in self.average.values.values()):
            raise HyperguideError(
                f"The weights became NaN or infinite before step {self.step}: the last checkpoint "
                "was kept; start again with lower learning rates in the preset."
            )
        self.validation = self.validate()
        record = {
            "preset": asdict(self.preset),
            "strategy": self.strategy,
            "seed": self.seed,
            "step": self.step,
            "total": self.total,
            "seconds": round(self.seconds, 1),
            "data": self.data.record(),
            "validation": self.validation,
        }
        tensors = {f"model.{name}": p for name, p in self.model.state_dict().items()}
        tensors |= {f"average.{name}": p for name, p in self.average.values.items()}
        tensors |= optimizer_tensors(self.reconstruction_optimizer, "omega")
        if self.proxy_optimizer is not None:
            tensors |= optimizer_tensors(self.proxy_optimizer, "theta")
        tensors["rng.h"] = self.rng_h.get_state()
        tensors["rng.tr"] = self.rng_tr.get_state()
        save_tensors(self.folder / STATE, tensors, record)
        save_tensors(self.folder / WEIGHTS, self.average.values, record)
        line = {"step": self.step, "f": f, "g": g, "seconds": record["seconds"], **self.validation}
        with (self.folder / LOG).open("a" if self.saved else "w") as log:
            log.write(json.dumps(line) + "\n")
        self.saved = True

    def resume(self) -> None:
        """Go on where the folder's last checkpoint stands."""
        tensors, record = load_tensors(self.folder / STATE)
        mine = {
            "preset": json.loads(self.preset.to_json()),
            "strategy": self.strategy,
            "seed": self.seed,
        }
        if record["data"]["fingerprint"] != self.data.fingerprint:
            raise HyperguideError(
                f"{self.folder} was trained on other data: resume with the same --data and "
                "--streaks, or start in another folder."
            )
        for name, value in mine.items():
            if record[name] != value:
                raise HyperguideError(
                    f"{self.folder} was trained with another {name}: resume with the same one, "
                    "or start in another folder."
                )
        self.data = replace(self.data, description=record["data"]["description"])
        self.model.load_state_dict(_part(tensors, "model."))
        self.average.values = _part(tensors, "average.")
        self.average.updates = self.step = record["step"]
        self.seconds = record["seconds"]
        self.validation = record["validation"]
        self.saved = True
        restore_optimizer(self.reconstruction_optimizer, "omega", tensors)
        if self.proxy_optimizer is not None:
            restore_optimizer(self.proxy_optimizer, "theta", tensors)
        self.rng_h.set_state(tensors["rng.h"])
        self.rng_tr.set_state(tensors["rng.tr"])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix)}


def _running(mean: float | None, value: float) -> float:
    return value if mean is None else 0.99 * mean + 0.01 * value


def _autocast() -> Callable[[], AbstractContextManager[object]]:
    """bfloat16 where the processor computes in it (1.7 times faster); float32 elsewhere.

    Keep widths multiples of 16: torch 2.13 returns NaN as the bfloat16 weight gradient of a
    dilated convolution of 24 channels. channels_last gained nothing on unshuffled networks.
    """
    fast = torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported()
    return partial(torch.autocast, "cpu", dtype=torch.bfloat16, enabled=fast)
