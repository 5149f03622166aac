"""Run folders: the averaged weights that export reads, and the state that a resume needs.

RUN/best.safetensors    averaged weights with the best held-out PSNR so far
RUN/last.safetensors    averaged weights of the last checkpoint
RUN/state.safetensors   everything else that a resume needs
RUN/log.jsonl, curves.png, tensorboard/   see `logbook`

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

from hyperguide.atomic import write_together
from hyperguide.errors import HyperguideError
from hyperguide.paths import exists, is_folder

from .bilevel import Strategy
from .model import GuidedModel, build_model
from .preset import Preset, preset_from_dict

BEST = "best.safetensors"
LAST = "last.safetensors"
STATE = "state.safetensors"


@dataclass(frozen=True)
class TrainedModel:
    """What a run folder holds for export and evaluation."""

    model: GuidedModel
    preset: Preset
    record: dict[str, Any]

    @property
    def strategy(self) -> Strategy:
        """What moved its networks, see `bilevel`."""
        strategy: Strategy = self.record["settings"]["strategy"]
        return strategy


def save_tensors(files: Mapping[Path, Mapping[str, Tensor]], record: dict[str, Any]) -> None:
    """Write named tensors with a JSON record as safetensors files, all of them or none."""
    metadata = {"hyperguide": json.dumps(record)}
    writers = {}
    for path, tensors in files.items():
        contiguous = {name: t.detach().contiguous() for name, t in tensors.items()}
        # Written from memory: then a full disk is an OSError like any other, and any path will do.
        writers[path] = partial(_write_bytes, data=save(contiguous, metadata))
    write_together(writers)


def _write_bytes(temporary: Path, data: bytes) -> None:
    temporary.write_bytes(data)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote. Raises HyperguideError if the file is missing or damaged."""
    try:
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return load(data), json.loads(header["__metadata__"]["hyperguide"])
    except FileNotFoundError:
        raise HyperguideError(
            f"There is no {path}: give the folder of a finished or running training."
        ) from None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise HyperguideError(f"{path} is damaged or not a checkpoint of ours: {error}.") from None


def weights_path(run: Path) -> Path:
    """The weights that count: of a run folder the best, or the last before any validation.

    A file, or a name that is one's, is meant itself.
    """
    if run.suffix == ".safetensors" or (exists(run) and not is_folder(run)):
        return run
    return run / BEST if exists(run / BEST) else run / LAST


def load_run(run: Path) -> TrainedModel:
    """Load the averaged weights of a run folder, or of one of its files, into their pair."""
    path = weights_path(run)
    if path.name == STATE:
        raise HyperguideError(f"{path} is the state for --resume: give {path.parent}, its folder.")
    tensors, record = load_tensors(path)
    preset = preset_from_dict(record["preset"], str(path))
    settings = record["settings"]
    model = build_model(
        preset, guided=settings["strategy"] != "unguided", level=settings.get("level")
    )
    load_weights(model, tensors, path)
    return TrainedModel(model.eval(), preset, record)


def load_weights(model: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load tensors into a model. Raises HyperguideError where they are of another architecture."""
    own = model.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors or name not in own:
            lacks = f"{path} lacks" if name not in tensors else "the preset's networks lack"
        elif own[name].shape != tensors[name].shape:
            lacks = f"another shape, {tuple(own[name].shape)}, is expected for"
        else:
            continue
        raise HyperguideError(
            f"{path} is a checkpoint of another architecture ({lacks} '{name}'): "
            "give the preset that it was trained with."
        )
    model.load_state_dict(tensors)


def differences(then: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Which entries of nested records differ, in words."""
    found = []
    for name in sorted(then.keys() | now.keys()):
        old, new = then.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name} was {old}, is {new}")
    return found


def optimizer_tensors(optimizer: Optimizer, prefix: str) -> dict[str, Tensor]:
    """The optimizer's state as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}.{i}.{name}": t for i, entry in state.items() for name, t in entry.items()}


def restore_optimizer(optimizer: Optimizer, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(prefix + "."):
            index, name = key[len(prefix) + 1 :].split(".")
            state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
