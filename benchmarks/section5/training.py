"""Trains the configurations one after another; a kill at any time costs two minutes at most."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import write_atomically
from hyperguide.training.checkpoint import STATE
from hyperguide.training.evaluation.suites import list_pictures
from hyperguide.training.run_state import read_state

from .configurations import Configuration, Job, Section, jobs

# Processor time of each training, see `Spell`.
TIMES = "times.jsonl"

# The suite `sots` is made of the last 100 pictures of NYU Depth.
_SUITE_PICTURES = 100
_PATIENCE = 30  # seconds for a training to save its last step


@dataclass(frozen=True)
class Spell:
    """An uninterrupted part of a training, and the processor time that it took in seconds."""

    run: str
    first: int
    last: int
    cpu_seconds: float


def train(data: Path, out: Path, section: Section | None) -> int:
    """Train what is not finished yet; returns the number of trainings that failed."""
    failed = []
    with _termination_as_interrupt():
        for job in jobs(section):
            total = job.configuration.steps
            if (done := steps_done(out / job.folder)) == total:
                continue
            print(f"{job.folder}: from step {done} to {total}", flush=True)
            if not _train_one(job, data, out, done):
                failed.append(job.folder)
    for folder in failed:
        print(f"failed: {folder}")
    return len(failed)


def steps_done(run: Path) -> int:
    """Steps of a run folder's last checkpoint, 0 without one."""
    if not (run / STATE).exists():
        return 0
    step: int = read_state(run)[1]["step"]
    return step


def spells(out: Path) -> Iterator[Spell]:
    """The parts of all trainings; skips a line cut off by a kill."""
    path = out / TIMES
    for line in path.read_text().splitlines() if path.exists() else []:
        with suppress(json.JSONDecodeError):
            yield Spell(**json.loads(line))


def _train_one(job: Job, data: Path, out: Path, done: int) -> bool:
    """Train one configuration to its end; returns whether it got there."""
    configuration, run = job.configuration, out / job.folder
    preset = run.parent / f"{configuration.name}.json"
    preset.parent.mkdir(parents=True, exist_ok=True)
    text = configuration.preset.to_json()  # JSON is YAML
    write_atomically(preset, lambda temporary: temporary.write_text(text))
    words: list[object] = [
        *("train", configuration.task, "--preset", preset, "--out", run),
        *("--strategy", configuration.strategy, "--seed", job.seed, "--threads", 1),
        *("--precision", configuration.precision),
        *sources(configuration, data, out),
    ]
    if configuration.start is not None:
        words += ["--init-from", data / "baselines" / configuration.start]
    if done:
        words.append("--resume")
    before = _children_seconds()
    process = subprocess.Popen([sys.executable, "-m", "hyperguide", *map(str, words)])
    try:
        process.wait()
    finally:
        _end(process)
        spell = Spell(job.folder, done, steps_done(run), _children_seconds() - before)
        with (out / TIMES).open("a") as times:
            times.write(json.dumps(asdict(spell)) + "\n")
    return process.returncode == 0


def sources(configuration: Configuration, data: Path, out: Path) -> list[object]:
    """The options that name the training data, without pictures of the test suites."""
    photos = data / "bsds500"
    match configuration.section:
        case "restoration":  # BSD68 is a part of `val`
            both = ["--data", photos / "train", "--data", photos / "test"]
            return [*both, "--kernels", data / "kernels20"]
        case "derain":  # Rain100L's test pictures have backgrounds in `train` and `val`
            return ["--data", photos / "test", "--streaks", data / "rain100l" / "train"]
        case "dehaze":
            return ["--data", _without_suite(data / "nyu", out / "nyu")]


def _without_suite(nyu: Path, links: Path) -> Path:
    """A folder of links to NYU Depth without the pictures of the suite `sots`."""
    photos = list_pictures(nyu / "rgb")
    if len(photos) <= _SUITE_PICTURES:
        raise HyperguideError(f"{nyu} holds {len(photos)} pictures, too few to train on.")
    for kind in ("rgb", "depth"):
        (links / kind).mkdir(parents=True, exist_ok=True)
    for photo in photos[:-_SUITE_PICTURES]:
        for file in (photo, nyu / "depth" / f"{photo.stem}.png"):
            link = links / file.parent.name / file.name
            if not link.exists():
                link.symlink_to(file.resolve())
    return links


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a training that got the signal, too, save and end; otherwise tell it."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)
    if process.poll() is None:
        process.terminate()
        process.wait()


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
