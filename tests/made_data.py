"""Small pictures, pairs and presets shared by the tests of the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import torch

from hyperguide.picture_files import write_picture
from hyperguide.training.data.batches import Batch, Data, Stream
from hyperguide.training.data.loader import Draw
from hyperguide.training.preset import Preset, Schedule, Stage, load_preset

STAGE = Stage(until=1.0, crop=16, batch=4)
STREAMS: tuple[Stream, ...] = ("hyper", "train", "held_out", "probe")


def small_preset(task: str = "denoise", **changes: object) -> Preset:
    """The task's fast preset with crops of 16 pixels."""
    preset = load_preset(task, "fast")
    degradation = {"size": 7} if task == "deblur" else {}
    schedule = Schedule(warmup=1, steps=1, stages=(STAGE,))
    small = {"degradation": degradation, "outer_degradation": {}, "border": 0}
    return replace(preset, **{"schedule": schedule} | small | changes)  # type: ignore[arg-type]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def fill(folder: Path, names: Sequence[str], height: int = 24, width: int = 32) -> Path:
    """Write random colour pictures with these names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, noise_picture(len(name) + sum(name.encode()), height, width))
    return folder


def numbers(how_many: int, pattern: str = "{}.png") -> list[str]:
    return [pattern.format(i) for i in range(1, how_many + 1)]


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def damaged_photos(folder: Path) -> Path:
    """Forty-one photos, of which 3.png and 17.png cannot be read."""
    fill(folder, numbers(41))
    for name in ("3.png", "17.png"):
        damage(folder / name)
    return folder


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [tensor for tensor in batch.sample if tensor is not None]


def equal(a: Batch, b: Batch) -> bool:
    same = all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))
    return same and (a.names, a.mapped) == (b.names, b.mapped)


def drawn_names(data: Data, stream: Stream, batches: int = 40) -> set[str]:
    stage = replace(STAGE, crop=8)
    return {name for n in range(batches) for name in data.draw(stream, n, stage, seed=0).names}


def make_pairs(folder: Path, names: Sequence[str] = ("a.png", "b.jpg", "c.png", "d.png")) -> Path:
    """Pairs y = x + 10."""
    for i, name in enumerate(names):
        clean = noise_picture(i) // 2
        for sub, picture in (("input", clean + 10), ("target", clean)):
            path = (folder / sub / name).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(path, picture)
    return folder


def plan(streams: Sequence[Stream] = ("hyper", "train")) -> Iterator[Draw]:
    for number in count():
        for stream in streams:
            yield stream, number, STAGE
