"""Files that runs leave in their folders: the log, the state, the record of enhancing a folder."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hyperguide.batch.jobs import Job
from hyperguide.batch.resume import NAME, keep_journal
from hyperguide.picture_files import write_picture
from hyperguide.training import checkpoint, logbook
from hyperguide.training.data.batches import open_data
from hyperguide.training.logbook import Logbook, draw_curves, read_log
from hyperguide.training.preset import Schedule, Stage
from hyperguide.training.trainer import Run, Settings

from ..mutation.archives import safetensors
from ..mutation.values import json_lines
from ..target import Target, as_file, scratch
from .weights import small_preset

_SETTINGS = {"model": "0" * 64, "strength": "1.0", "guidance": "None"}


def _read_log(data: bytes) -> None:
    as_file(data, logbook.LOG)
    for line in read_log(scratch()):
        assert isinstance(line, dict), "a line that is no object"
    Logbook(scratch(), 3).close()
    if zlib.crc32(data) % 64 == 0:  # drawing takes half a second
        as_file(data, logbook.LOG)
        draw_curves(read_log(scratch()), scratch() / "curves.png")


def _logs() -> dict[str, bytes]:
    lines = [
        {"step": 1, "seconds": 0.5, "g": 0.01, "lr_theta": 0.001},
        {"step": 2, "seconds": 1.0, "g": 0.01, "f": 0.1, "output_psnr": 31.5, "input_psnr": 20.0},
        {"step": 4, "seconds": 2, "guidance_rmse": 0.01, "regret": -0.1, "cosine": 0.5},
    ]
    return {logbook.LOG: "".join(json.dumps(line) + "\n" for line in lines).encode()}


def _read_resume(data: bytes) -> None:
    as_file(data, NAME)
    job = Job(as_file(b"", "a.png"), scratch() / "b.png", ())
    with keep_journal(scratch(), _SETTINGS, resume=True, replaces=False) as (journal, _):
        assert isinstance(journal.is_complete(job), bool)


def _records() -> dict[str, bytes]:
    found = {}
    source = as_file(b"", "a.png")
    for name, replaces in (("new", False), ("forced", True)):
        with TemporaryDirectory() as folder:
            place = Path(folder)
            with keep_journal(place, _SETTINGS, False, replaces) as (journal, _):
                journal.add(Job(source, place / "b.png", ()), (0, 1))
                if replaces:
                    journal.end()
            found[f"{name}.jsonl"] = (place / NAME).read_bytes()
    return found


@cache
def _photos() -> Path:
    folder = scratch() / "photos"
    folder.mkdir()
    for number in range(2):
        levels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        write_picture(folder / f"{number}.png", levels)
    return folder


def _run(folder: Path) -> Run:
    schedule = Schedule(warmup=1, steps=1, stages=(Stage(until=1.0, crop=32, batch=1),), held_out=1)
    preset = replace(small_preset(), schedule=schedule)
    return Run(preset, open_data(preset, [_photos()]), folder, Settings("strict", seed=0))


def _states() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        run = _run(Path(folder))
        run.train(lambda progress: None)
        return {checkpoint.STATE: (Path(folder) / checkpoint.STATE).read_bytes()}


def _read_state(data: bytes) -> None:
    as_file(data, checkpoint.STATE)
    run = _run(scratch())
    run.resume()
    assert isinstance(run.state.step, int)
    assert run.state.step >= 0


LOG = Target("the log of a training run", _logs, _read_log, json_lines)
RESUME = Target("the record of an interrupted folder", _records, _read_resume, json_lines)
STATE = Target("the state of a training run", _states, _read_state, safetensors, 1 << 18)
