"""Run folders: the averaged weights that export reads, and the state that a resume needs.

RUN/weights.safetensors   averaged weights; metadata: preset, strategy, steps, validation
RUN/state.safetensors     everything else a resume needs, in the same format
RUN/log.jsonl             one line per report: step, f, g, validation
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import Optimizer

from hyperguide.atomic import write_atomically
from hyperguide.errors import HyperguideError

from .model import GuidedModel, build_model
from .preset import Preset, preset_from_dict

WEIGHTS = "weights.safetensors"
STATE = "state.safetensors"
LOG = "log.jsonl"


@dataclass(frozen=True)
class TrainedModel:
    """What a run folder holds for export and evaluation."""

    model: GuidedModel
    preset: Preset
    record: dict[str, Any]


def save_tensors(path: Path, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
    """Write tensors and a JSON record as one safetensors file, atomically."""
    metadata = {"hyperguide": json.dumps(record)}
    contiguous = {name: t.detach().contiguous() for name, t in tensors.items()}
    # Written from memory: then a full disk is an OSError like any other, and any path will do.
    data = save(contiguous, metadata)
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


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


def load_run(run: Path) -> TrainedModel:
    """Load the averaged weights of a run folder into the pair of its preset."""
    tensors, record = load_tensors(run / WEIGHTS)
    preset = preset_from_dict(record["preset"], str(run / WEIGHTS))
    model = build_model(preset, guided=record["strategy"] != "unguided")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise HyperguideError(f"{run / WEIGHTS} does not fit its own preset: {reason}") from None
    return TrainedModel(model.eval(), preset, record)


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
