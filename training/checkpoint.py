"""Run folders: the averaged weights, which export reads, and the state, which `--resume` needs.

RUN/best.safetensors    averaged weights with the best held-out PSNR so far
RUN/last.safetensors    averaged weights of the last checkpoint
RUN/state.safetensors   everything else that `--resume` needs
RUN/log.jsonl, curves.png, tensorboard/   see `logbook`

`run_state` defines their contents, and `trainer` decides when they are written.

The metadata of each file holds preset, strategy, steps, data and validation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import Optimizer

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import write_together
from hyperguide.storage.bounded_json import parse_json
from hyperguide.storage.file_content import read_content
from hyperguide.storage.paths import exists, is_folder

from .bilevel import Strategy
from .model import GuidedModel, build_model
from .preset import Preset
from .run_record import RunRecord

BEST = "best.safetensors"
LAST = "last.safetensors"
STATE = "state.safetensors"

MOST_BYTES = 8 << 30  # enough for the largest networks of a preset and their optimizers
# Rule of a parameter group -> the optimizer's state for each weight; torch's Adam has no rule.
_KEPT = {
    "muon": {"momentum"},
    "adam": {"step", "mean", "square"},
    None: {"step", "exp_avg", "exp_avg_sq"},
}


@dataclass(frozen=True)
class TrainedModel:
    """A trained pair and its record, for export and evaluation."""

    model: GuidedModel
    record: RunRecord

    @property
    def preset(self) -> Preset:
        """The preset that defines its networks."""
        return self.record.preset

    @property
    def strategy(self) -> Strategy:
        """The strategy that trained its networks, see `bilevel`."""
        return self.record.settings.strategy


def save_tensors(files: Mapping[Path, Mapping[str, Tensor]], record: Mapping[str, Any]) -> None:
    """Write named tensors and a JSON record as safetensors files, all of them or none."""
    metadata = {"hyperguide": json.dumps(record)}
    writers = {}
    for path, tensors in files.items():
        contiguous = {name: t.detach().contiguous() for name, t in tensors.items()}
        # Serialised in memory, so that a full disk raises an ordinary OSError, and any path works.
        writers[path] = partial(_write_bytes, data=save(contiguous, metadata))
    write_together(writers)


def _write_bytes(temporary: Path, data: bytes) -> None:
    temporary.write_bytes(data)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read what `save_tensors` wrote. Raises HyperguideError if the file is missing or damaged."""
    if not exists(path):
        raise HyperguideError(
            f"There is no {path}: give the folder of a finished or running training."
        )
    data = read_content(path, "checkpoint", MOST_BYTES)
    try:
        header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
        record = parse_json(header["__metadata__"]["hyperguide"])
        tensors = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise HyperguideError(
            f"{path} is damaged or not a checkpoint of ours ({str(error)[:100]}): copy it again."
        ) from None
    return tensors, record


def weights_path(run: Path) -> Path:
    """The best weights in a run folder, or the last ones before the first validation.

    The path of a file, or one that ends in `.safetensors`, is returned unchanged.
    """
    if run.suffix == ".safetensors" or (exists(run) and not is_folder(run)):
        return run
    return run / BEST if exists(run / BEST) else run / LAST


def load_run(run: Path) -> TrainedModel:
    """Build a pair and load the averaged weights of a run folder, or of one of its files."""
    path = weights_path(run)
    if path.name == STATE:
        raise HyperguideError(f"{path} is the state for --resume: give {path.parent}, its folder.")
    tensors, values = load_tensors(path)
    record = RunRecord.from_json(values, path)
    settings = record.settings
    model = build_model(record.preset, settings.strategy != "unguided", settings.level)
    load_weights(model, tensors, path)
    return TrainedModel(model.eval(), record)


def load_weights(model: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load tensors into a model.

    Raises HyperguideError if they belong to another architecture or are not finite.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors or name not in own:
            lacks = f"{path} lacks" if name not in tensors else "the preset's networks lack"
        elif own[name].shape != tensors[name].shape:
            lacks = f"another shape, {tuple(own[name].shape)}, is expected for"
        elif not bool(tensors[name].isfinite().all()):
            raise HyperguideError(f"{path} holds weights that are not finite: copy it again.")
        else:
            continue
        raise HyperguideError(
            f"{path} is a checkpoint of another architecture ({lacks} '{name}'): "
            "give the preset that it was trained with."
        )
    model.load_state_dict(tensors)


def optimizer_tensors(optimizer: Optimizer, prefix: str) -> dict[str, Tensor]:
    """The optimizer's state as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}.{i}.{name}": t for i, entry in state.items() for name, t in entry.items()}


def restore_optimizer(
    optimizer: Optimizer, prefix: str, tensors: Mapping[str, Tensor], path: Path
) -> None:
    """Restore an optimizer from what `optimizer_tensors` returned.

    path: the file that the tensors come from, for errors.
    Raises HyperguideError if they do not fit.
    """
    state: dict[int, dict[str, Tensor]] = {}
    weights = [(w, group.get("rule")) for group in optimizer.param_groups for w in group["params"]]
    for key, tensor in tensors.items():
        if key.startswith(prefix + "."):
            index, _, name = key.removeprefix(prefix + ".").partition(".")
            state.setdefault(int(index) if index.isdecimal() else -1, {})[name] = tensor
    for number, kept in state.items():
        if not 0 <= number < len(weights) or not _fits(kept, *weights[number]):
            raise HyperguideError(
                f"{path} is damaged or of another version: its optimizer's state does not fit the "
                "networks; start in another folder, with --init-from for its weights."
            )
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _fits(kept: Mapping[str, Tensor], weight: Tensor, rule: str | None) -> bool:
    shapes = {name: torch.Size() if name == "step" else weight.shape for name in _KEPT[rule]}
    return {name: tensor.shape for name, tensor in kept.items()} == shapes and all(
        bool(tensor.isfinite().all()) for tensor in kept.values()
    )
