"""What a checkpoint of a run holds, and how a run goes on from it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hyperguide.errors import HyperguideError

from .checkpoint import (
    BEST,
    LAST,
    STATE,
    differences,
    load_tensors,
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)
from .preset import preset_from_dict
from .run_record import check_state_record
from .seen_photos import SeenPhotos

if TYPE_CHECKING:
    from .trainer import Run

# What is plain data in a run: all of it decides how the run goes on or what it reports.
_PLAIN = ("seconds", "running", "window", "best", "validation")


def save(run: Run) -> None:
    """Write the averaged weights, as the best ones too if they are, and the state.

    Raises HyperguideError, and keeps the last checkpoint, if the weights are not finite.
    """
    if not all(bool(p.isfinite().all()) for p in run.average.values.values()):
        raise HyperguideError(
            f"The weights became NaN or infinite before step {run.step}: start again with lower "
            "learning rates in the preset; the last checkpoint, if any, was kept."
        )
    tensors = {f"model.{name}": p for name, p in run.model.state_dict().items()}
    tensors |= {f"average.{name}": p for name, p in run.average.values.items()}
    tensors |= optimizer_tensors(run.reconstruction_optimizer, "omega")
    if run.proxy_optimizer is not None:
        tensors |= optimizer_tensors(run.proxy_optimizer, "theta")
    files = {run.folder / LAST: run.average.values, run.folder / STATE: tensors}
    if run.improved:
        files = {run.folder / BEST: run.average.values} | files
    save_tensors(files, _record(run))
    run.improved = False
    run.saved_step = run.step
    if run.best is None:
        (run.folder / BEST).unlink(missing_ok=True)  # of an older run in this folder


def _record(run: Run) -> dict[str, Any]:
    return {
        "preset": asdict(run.preset),
        "settings": asdict(run.settings),
        "origin": run.origin,
        "seen": run.seen.to_record(),
        "step": run.step,
        "total": run.total,
        **{name: getattr(run, name) for name in _PLAIN},
        "skipped": run.data.photos.skipped,
        "data": run.data.record(),
    }


def resume(run: Run) -> None:
    """Go on where the folder's last checkpoint stands.

    Raises HyperguideError if anything that shapes the result was changed, and says what.
    """
    tensors, record = load_tensors(run.folder / STATE)
    record = check_state_record(record, run.folder / STATE)
    if record["data"]["fingerprint"] != run.data.fingerprint:
        raise HyperguideError(
            f"{run.folder} was trained on other data: resume with the same --data, --streaks "
            "and --kernels, or start in another folder."
        )
    if record["data"].get("contents", run.data.contents) != run.data.contents:
        raise HyperguideError(
            f"{run.folder} was trained on other data: a file was replaced under its name; put back "
            "the old one, or start in another folder."
        )
    now: dict[str, Any] = {"preset": asdict(run.preset), "settings": asdict(run.settings)}
    if run.origin:
        now["origin"] = run.origin
    then = {name: record[name] for name in now}
    # A field that is younger than the run has its default there.
    then["preset"] = asdict(preset_from_dict(record["preset"], str(run.folder / STATE)))
    now["description"], then["description"] = run.data.description, record["data"]["description"]
    changed = differences(*(json.loads(json.dumps(values)) for values in (then, now)))
    if now["description"] != then["description"] and len(changed) == 1:
        raise HyperguideError(
            f"The data of {run.folder} was called '{then['description']}', now it is "
            f"'{now['description']}': if only a folder was renamed, resume with --describe-data "
            f"'{then['description']}'."
        )
    if changed:
        raise HyperguideError(
            f"{run.folder} was trained with other settings, {'; '.join(changed)}: resume with "
            "the same ones, or start in another folder."
        )
    path = run.folder / STATE
    if record["step"] > run.total:
        raise HyperguideError(f"{path} is damaged: it is of a step behind the run's end.")
    load_weights(run.model, _part(tensors, "average."), path)  # of the same shapes?
    load_weights(run.model, _part(tensors, "model."), path)
    run.average.values = _part(tensors, "average.", run.world.device)
    run.average.updates = run.step = run.saved_step = record["step"]
    run.origin = record["origin"]
    run.seen = SeenPhotos.from_record(record.get("seen"))
    for name in _PLAIN:
        setattr(run, name, record[name])
    run.data.photos.skip_all(record["skipped"])
    run.told = len(run.data.photos.skipped)
    restore_optimizer(run.reconstruction_optimizer, "omega", tensors, path)
    if run.proxy_optimizer is not None:
        restore_optimizer(run.proxy_optimizer, "theta", tensors, path)


def _part(
    tensors: dict[str, Tensor], prefix: str, device: torch.device | None = None
) -> dict[str, Tensor]:
    return {k[len(prefix) :]: t.to(device) for k, t in tensors.items() if k.startswith(prefix)}
