"""The state of a run, and how a checkpoint stores it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from hyperguide.errors import HyperguideError

from .average import Average
from .checkpoint import (
    BEST,
    LAST,
    STATE,
    load_tensors,
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)
from .model import GuidedModel
from .run_record import (
    OPTIONAL,
    RunRecord,
    check_fields,
    is_number,
    is_text,
    lists,
    maps_to,
    or_none,
)

# Fields in the record of a state, beyond those that the record of weights must have.
_FIELDS = {
    **OPTIONAL,
    "running": maps_to(is_number),
    "window": maps_to(lists(is_number)),
    "best": or_none(is_number),
    "skipped": lists(is_text),
    "data": lambda value: (
        isinstance(value, dict)
        and all(is_text(value.get(name)) for name in ("fingerprint", "description"))
    ),
}


@dataclass
class RunState:
    """Everything that changes during a run: networks, averages, optimizers and figures.

    optimizers: by the paper's name of what they update, `omega` and `theta`.
    step, seconds: steps and training time so far.
    running: slowly decaying means of f and g, for display.
    window: values of f and g since the last line of the log.
    validation: figures of the last validation.
    best: held-out PSNR of the best weights so far; `improved` if they are the current ones.
    saved_step: step of the folder's checkpoint, None if it is not from this run.
    """

    model: GuidedModel
    average: Average
    optimizers: Mapping[str, Optimizer]
    step: int = 0
    seconds: float = 0.0
    running: dict[str, float] = field(default_factory=dict)
    window: dict[str, list[float]] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    improved: bool = False
    saved_step: int | None = None

    def save(self, folder: Path, record: RunRecord, skipped: Sequence[str]) -> None:
        """Write the averaged weights, also as the best ones if they improved, and the state.

        skipped: pictures that could not be read.
        Raises HyperguideError, and keeps the last checkpoint, if the weights are not finite.
        """
        average = self.average.values
        if not all(bool(p.isfinite().all()) for p in average.values()):
            raise HyperguideError(
                f"The weights became NaN or infinite before step {self.step}: start again with "
                "lower learning rates in the preset; the last checkpoint, if any, was kept."
            )
        tensors = {f"model.{name}": p for name, p in self.model.state_dict().items()}
        tensors |= {f"average.{name}": p for name, p in average.items()}
        for name, optimizer in self.optimizers.items():
            tensors |= optimizer_tensors(optimizer, name)
        files = {folder / LAST: average, folder / STATE: tensors}
        if self.improved:
            files = {folder / BEST: average} | files
        plain = {name: getattr(self, name) for name in ("running", "window", "best")}
        save_tensors(files, record.to_json() | plain | {"skipped": list(skipped)})
        self.improved = False
        self.saved_step = self.step
        if self.best is None:
            (folder / BEST).unlink(missing_ok=True)  # from an older run in this folder

    def load(self, folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Continue from a checkpoint.

        tensors, values: its state, see `read_state`.
        Raises HyperguideError if they do not fit the networks.
        """
        path = folder / STATE
        device = next(iter(self.average.values.values())).device
        load_weights(self.model, _part(tensors, "average."), path)  # checks the shapes
        load_weights(self.model, _part(tensors, "model."), path)
        self.average.values = _part(tensors, "average.", device)
        self.average.updates = self.step = self.saved_step = values["step"]
        for name in ("seconds", "running", "window", "best", "validation"):
            setattr(self, name, values[name])
        for name, optimizer in self.optimizers.items():
            restore_optimizer(optimizer, name, tensors, path)


def read_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], RunRecord]:
    """Read a run folder's state: tensors, plain values, and its record with every field.

    Raises HyperguideError if it is missing, damaged, or lacks what a resume needs.
    """
    path = folder / STATE
    tensors, values = load_tensors(path)
    record = RunRecord.from_json(values, path)
    check_fields(values, path, _FIELDS)
    return tensors, values, record


def _part(
    tensors: Mapping[str, Tensor], prefix: str, device: torch.device | None = None
) -> dict[str, Tensor]:
    return {k[len(prefix) :]: t.to(device) for k, t in tensors.items() if k.startswith(prefix)}
