"""The training run: data, warm-up, alternation, validation, checkpoints."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from hyperguide.errors import HyperguideError
from hyperguide.training.data.batches import Batch, Data
from hyperguide.training.data.loader import Draw, Loader
from hyperguide.training.data.sample import Sample

from .average import Average
from .bilevel import Bilevel, NotFiniteError
from .checkpoint import STATE
from .distributed import World
from .logbook import Logbook
from .model import GuidedModel, build_model
from .optimizers import build_optimizer, lr_factor, set_lr_factor, step_size
from .precision import autocast
from .preset import Preset, Stage
from .run_record import RunRecord, Settings, refuse_changes
from .run_state import RunState, read_state
from .seen_photos import UNKNOWN, SeenPhotos
from .teacher import Teacher
from .validation import HeldOut, to_device

# Minimum number of steps between two validations.
_LEAST_STEPS = 50


@dataclass(frozen=True)
class Progress:
    """The progress that a run reports.

    step, total: steps taken and in total, including warm-up.
    f, g: running means of the reconstruction and the guidance loss; None before the first value.
    phase: `warm-up` while only theta is trained, then the strategy.
    notes: a sentence for each picture newly found to be unreadable.
    """

    step: int
    total: int
    f: float | None
    g: float | None
    phase: str
    notes: tuple[str, ...] = ()


class Run:
    """One training run and its folder.

    Algorithm 1 with a theta-only warm-up: guidance only helps once the hyper-network is good, so it
    is trained first. Each batch of D_h and D_tr depends only on the seed and its number.

    initialise: called with the new pair, to start from given weights; `origin` names them, and
        `seen_before` holds the photos that they were trained on.
    teacher: see `bilevel`; it goes into the settings.
    """

    def __init__(
        self,
        preset: Preset,
        data: Data,
        folder: Path,
        settings: Settings,
        world: World | None = None,
        workers: int = 0,
        initialise: Callable[[GuidedModel], object] | None = None,
        origin: str = "",
        seen_before: SeenPhotos | None = None,
        vgg_weights: Path | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.preset, self.folder = preset, folder
        self.data = replace(data, scales=teacher is not None)
        self.settings = settings = replace(settings, teacher=teacher.name if teacher else "")
        self.world = world or World(0, 1, torch.device("cpu"))
        self.workers, self.origin, self._seen_before = workers, origin, seen_before
        self.model = build_model(preset, settings.strategy != "unguided", settings.level)
        self._teacher = teacher
        self._check_crops()
        if initialise is not None:
            initialise(self.model)
        schedule = preset.schedule
        parallel = self.world.wrap(self.model)
        if teacher is not None:
            teacher.model.to(self.world.device)
        self.proxy_optimizer = None
        if self.model.proxy is not None and self.model.has_theta:
            self.proxy_optimizer = build_optimizer(self.model.proxy, schedule, schedule.proxy_lr)
        self.reconstruction_optimizer = build_optimizer(
            self.model.reconstruction, schedule, schedule.reconstruction_lr
        )
        self.algorithm = Bilevel.from_preset(
            preset,
            parallel,
            self.proxy_optimizer,
            self.reconstruction_optimizer,
            settings.strategy,
            settings.naive_weight,
            autocast(settings.precision, self.world.device),
            vgg_weights,
            teacher,
        )
        optimizers = {"omega": self.reconstruction_optimizer}
        if self.proxy_optimizer is not None:
            optimizers["theta"] = self.proxy_optimizer
        average = Average(self.model.named_children(), schedule.decay)
        self.state = RunState(self.model, average, optimizers)
        self.warmup = schedule.warmup if self.algorithm.has_inner_problem else 0
        self.total = self.warmup + schedule.steps
        self.validate_every = max(_LEAST_STEPS, -(-self.total // schedule.validations))
        self.told = 0  # number of unreadable pictures already reported
        self.held_out = HeldOut(data, preset, self.model.size_multiple, self.world.device)
        self.stop = False  # set it to save and end the run after the current step

    @cached_property
    def seen(self) -> SeenPhotos:
        """The photos that the weights depend on: also those of starting weights and teacher."""
        others = [self._seen_before, None if self._teacher is None else self._teacher.seen]
        known = [seen for seen in others if seen is not None]
        return reduce(SeenPhotos.with_those_of, known, self.data.seen)

    def train(
        self,
        report: Callable[[Progress], None],
        checkpoint_seconds: float = 120,
        log_steps: int = 20,
    ) -> None:
        """Train to the end of the schedule, with a report every step and regular checkpoints.

        checkpoint_seconds: longest time between two checkpoints.
        log_steps: steps between two lines of the log.
        Raises KeyboardInterrupt, after saving a checkpoint, if `stop` was set meanwhile.
        """
        state = self.state
        if state.step == self.total:
            return
        began = saved = perf_counter()
        world = self.world
        log: Logbook | None = None
        loader = Loader(
            *(self.data, self._plan(), self.workers),
            seed=self.settings.seed,
            shard=(world.rank, world.size),
        )
        with loader as batches, ExitStack() as stack:
            stopping = False
            while state.step < self.total and not stopping:
                outer = state.step - self.warmup  # negative during the warm-up
                self._set_learning_rates(outer)
                self._step(batches, outer)
                state.average.update()
                state.step += 1
                stopping = world.any(self.stop)
                validates = state.step % self.validate_every == 0 or state.step == self.total
                logs = validates or state.step % log_steps == 0
                if logs:
                    self.data.photos.skip_all(world.gather(self.data.photos.skipped))
                phase = self.settings.strategy if outer >= 0 else "warm-up"
                f, g = state.running.get("f"), state.running.get("g")
                report(Progress(state.step, self.total, f, g, phase, self._news()))
                if not world.leads:
                    continue
                first = state.saved_step is None
                if log is None:
                    resumed_at = state.saved_step or 0
                    if first:
                        self.save()  # from here on the folder belongs to this run
                    log = stack.enter_context(closing(Logbook(self.folder, resumed_at)))
                now = perf_counter()
                if logs:
                    state.seconds += now - began
                    began = now
                    self._log(log, self._figures(validates))
                if first or validates or stopping or now - saved > checkpoint_seconds:
                    self.save()
                    saved = perf_counter()
                if validates:
                    log.draw()
        if stopping:
            world.wait()  # torchrun ends the others as soon as one process ends
            raise KeyboardInterrupt

    def _step(self, batches: Iterator[Batch], outer: int) -> None:
        """One step of the strategy."""
        if self.settings.strategy == "naive":
            f, g = self._guard(next(batches), "f + lambda g", self.algorithm.joint_step)
            self._note("f", f)
            self._note("g", g)
        if self.algorithm.has_inner_problem:
            for _ in range(self.preset.schedule.inner):
                (g,) = self._guard(next(batches), "guidance loss g", self.algorithm.inner_step)
                self._note("g", g)
        if outer >= 0 and self.settings.strategy != "naive":
            (f,) = self._guard(next(batches), "reconstruction loss f", self.algorithm.outer_step)
            self._note("f", f)

    def _news(self) -> tuple[str, ...]:
        """Unreadable pictures that have not been reported yet."""
        skipped = self.data.photos.skipped
        news = tuple(skipped[self.told :])
        self.told = len(skipped)
        return news

    def _note(self, name: str, loss: float) -> None:
        self.state.running[name] = 0.99 * self.state.running.get(name, loss) + 0.01 * loss
        self.state.window.setdefault(name, []).append(loss)

    def _guard(
        self, batch: Batch, name: str, step: Callable[[Sample], Tensor | tuple[Tensor, Tensor]]
    ) -> list[float]:
        """Take a step and return its losses; raise if they or the gradients are not finite."""
        values = [math.nan]
        with suppress(NotFiniteError):
            result = step(to_device(batch.sample, self.world.device))
            losses = result if isinstance(result, tuple) else (result,)
            values = [float(self.world.mean(loss)) for loss in losses]
        if not all(map(math.isfinite, values)):
            pictures = ", ".join(dict.fromkeys(batch.names))
            raise HyperguideError(
                f"The {name} or its gradient became NaN or infinite at step {self.state.step + 1}, "
                f"on a batch of {pictures}: look at these pictures, or start again with lower "
                "learning rates in the preset; the last checkpoint, if any, was kept."
            )
        return values

    def _plan(self) -> Iterator[Draw]:
        """Yield every batch from the current step on, in order of use."""
        inner = self.preset.schedule.inner
        for step in range(self.state.step, self.total):
            outer = step - self.warmup
            stage = self._stage(outer)
            if self.settings.strategy == "naive":
                yield ("hyper", step, stage)
                continue
            if self.algorithm.has_inner_problem:
                for i in range(inner):
                    yield ("hyper", step * inner + i, stage)
            if outer >= 0 and self.settings.strategy == "oracle":
                # Needs maps: batches of D_h that the inner steps, which count upwards, never use.
                yield ("hyper", -1 - outer, stage)
            elif outer >= 0:
                yield ("train", outer, stage)

    def _stage(self, outer: int) -> Stage:
        share = max(outer, 0) / self.preset.schedule.steps
        stages = self.preset.schedule.stages
        return next((s for s in stages if share < s.until), stages[-1])

    def _set_learning_rates(self, outer: int) -> None:
        """Ramp up each network's step size linearly for 100 steps, then follow the schedule."""
        factor = lr_factor(self.preset.schedule, outer)
        set_lr_factor(self.reconstruction_optimizer, min(factor, max(outer + 1, 0) / 100))
        if self.proxy_optimizer is not None:
            set_lr_factor(self.proxy_optimizer, min(factor, (self.state.step + 1) / 100))

    def _figures(self, validates: bool) -> dict[str, float | int]:
        figures: dict[str, float | int] = {
            "step": self.state.step,
            "seconds": round(self.state.seconds, 1),
            **{name: sum(values) / len(values) for name, values in self.state.window.items()},
            "lr_omega": step_size(self.reconstruction_optimizer),
        }
        self.state.window = {}
        if self.proxy_optimizer is not None:
            figures["lr_theta"] = step_size(self.proxy_optimizer)
        if self.data.photos.skipped:
            figures["skipped"] = len(self.data.photos.skipped)
        if validates:
            figures |= self._validate()
        return figures

    def _log(self, log: Logbook, figures: dict[str, float | int]) -> None:
        try:
            log.add(figures)
        except OSError as error:
            self.save()
            raise HyperguideError(
                f"Writing the log of {self.folder} failed ({error.strerror or error}): step "
                f"{self.state.step} is saved; make room and go on with --resume."
            ) from error

    def _validate(self) -> dict[str, float]:
        """Measure the averaged weights on held-out crops, the same ones every time."""
        model = self._averaged()
        self.state.validation = self.held_out.validate(model)
        figures = self.state.validation | self.held_out.diagnose(
            replace(self.algorithm, model=model, targets=None), self.state.step
        )
        state = self.state
        score = state.validation["output_psnr"]
        state.improved = math.isfinite(score) and (state.best is None or score > state.best)
        if state.improved:
            state.best = score
        return figures

    def _averaged(self) -> GuidedModel:
        """A pair with the averaged weights."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.state.average.values)
        return model.eval()

    def save(self) -> None:
        """Write a checkpoint; see `RunState.save`."""
        self.state.save(self.folder, self._record(self.seen), self.data.photos.skipped)

    def resume(self) -> None:
        """Continue from the folder's last checkpoint.

        Raises HyperguideError, naming the changes, if anything that affects the result changed.
        """
        tensors, values, record = read_state(self.folder)
        refuse_changes(record, self._record(), self.folder)
        if values["step"] > self.total:
            raise HyperguideError(
                f"{self.folder / STATE} is damaged: its step lies after the end of the run."
            )
        self.state.load(self.folder, tensors, values)
        self.origin, self.seen = record.origin or "", record.seen
        self.data.photos.skip_all(values["skipped"])
        self.told = len(self.data.photos.skipped)

    def _record(self, seen: SeenPhotos = UNKNOWN) -> RunRecord:
        """The record of this run; `self.seen` reads all photos, and only a checkpoint needs it."""
        return RunRecord(
            self.preset,
            self.settings,
            self.origin,
            self.state.step,
            self.state.seconds,
            self.data.record(),
            self.state.validation,
            seen,
        )

    def _check_crops(self) -> None:
        multiple = self.model.size_multiple
        if self._teacher is not None:
            multiple = math.lcm(multiple, self._teacher.model.size_multiple)
        for stage in self.preset.schedule.stages:
            if stage.crop % multiple or stage.width % multiple:
                raise HyperguideError(
                    f"The preset's crop of {stage.crop}x{stage.width} pixels does not fit the "
                    f"networks: give a multiple of {multiple}."
                )
            if stage.batch % self.world.size:
                raise HyperguideError(
                    f"The preset's batch of {stage.batch} does not divide among "
                    f"{self.world.size} processes: give a multiple of {self.world.size}."
                )
