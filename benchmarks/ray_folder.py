"""Pictures per second of a folder: this process, and a Ray cluster on the same machine.

    python benchmarks/ray_folder.py                            # 500 pictures of 480x320
    python benchmarks/ray_folder.py --count 60 --rounds 1      # a quick look
    python benchmarks/ray_folder.py --photos DIR               # made from these photos instead

Every plan computes as many pictures at once as there are cores: the local run in one process, the
cluster in one worker or in several that share the cores. The plans run in alternating order in
every round, and are compared with the local run of the same round, because other programs may use
the machine. `start` is the time until the first picture is done, which for the cluster includes
starting the workers, but not the cluster. `rate` is that of the pictures after the first, and
`whole` that of all of them with the start. Prints medians over the rounds, and ends with code 1 if
a plan writes other bytes than the local run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data

import hyperguide
from hyperguide.batch.crew import Crew, Terms
from hyperguide.batch.files import LocalFiles
from hyperguide.batch.jobs import plan_jobs
from hyperguide.batch.resume import keep_journal
from hyperguide.batch.work import EnhanceOptions
from hyperguide.cli.folders import LocalCrew
from hyperguide.cluster.connection import connected
from hyperguide.cluster.crew import RayCrew
from hyperguide.engines import parse_device
from hyperguide.model_format.bundled import model_path
from hyperguide.picture_files import find_pictures, read_picture, write_picture
from hyperguide.storage.claim import claim

OPTIONS = EnhanceOptions(1.0, None, None, 1.0, None)
DEVICE = "cpu"


@dataclass(frozen=True)
class Times:
    """Seconds of a run: until the first picture was done, and until the last was."""

    first: float
    last: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500, help="of pictures")
    parser.add_argument("--photos", type=Path, help="a folder; scikit-image's photos without it")
    parser.add_argument("--task", default="denoise")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, connected("local", lambda note: None):
        source = Path(name, "in")
        make_pictures(source, given.count, given.photos)
        plans = make_plans(given.task, given.workers)
        times, equal = measure(plans, source, Path(name), given.rounds)
    print(f"{given.count} JPEG pictures of 480x320, {given.task}, {os.cpu_count()} cores")
    print_table(times, given.count)
    print("All wrote the same bytes." if equal else "The bytes differ.")
    return 0 if equal else 1


def make_pictures(folder: Path, count: int, photos: Path | None) -> None:
    """Write noisy pictures of 480x320."""
    folder.mkdir()
    if photos is None:
        found = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    else:
        found = [read_picture(path) for path in find_pictures(photos)[:100]]
    rng = np.random.default_rng(0)
    for number in range(count):
        photo = cv2.resize(found[number % len(found)], (480, 320), interpolation=cv2.INTER_AREA)
        noisy = photo + rng.normal(0, 15, photo.shape)
        write_picture(folder / f"{number:05}.jpg", noisy.clip(0, 255).astype(np.uint8))


def make_plans(task: str, workers: list[int]) -> dict[str, Callable[[], Crew]]:
    """The crews by name, each as a function that makes one ready to begin."""

    def local() -> Crew:
        enhancer = hyperguide.load(task, device=DEVICE, at_once=os.cpu_count() or 1)
        return LocalCrew(enhancer, OPTIONS, None)

    def on_ray(count: int) -> Crew:
        load = {
            "model": task,
            "device": parse_device(DEVICE),
            "tier": "fast",
            "precision": "fp32",
            "trust": False,
            "tile": "auto",
            "max_memory": None,
            "strict": False,
        }
        path = model_path(task, "fast", "fp32")
        return RayCrew(load, path, task, OPTIONS, "", count, lambda note: None)

    plans: dict[str, Callable[[], Crew]] = {"local": local}
    for count in workers:
        plans[f"Ray, {count} worker{'s' * (count > 1)}"] = lambda count=count: on_ray(count)  # type: ignore[misc]
    return plans


def measure(
    plans: dict[str, Callable[[], Crew]], source: Path, place: Path, rounds: int
) -> tuple[dict[str, list[Times]], bool]:
    """The times of each plan in each round, and whether all wrote the same bytes."""
    times: dict[str, list[Times]] = {name: [] for name in plans}
    equal = True
    for number in range(rounds):
        written = {}
        for name in list(plans)[:: 1 if number % 2 == 0 else -1]:
            out = place / f"{number} {name}"
            times[name].append(run(plans[name], source, out))
            written[name] = {path.name: path.read_bytes() for path in find_pictures(out)}
        equal &= all(one == written["local"] for one in written.values())
    return times, equal


def run(make: Callable[[], Crew], source: Path, out: Path) -> Times:
    """Enhance a folder with a new crew."""
    jobs = plan_jobs([source], str(out), None)
    began = time.perf_counter()
    crew = make()
    with claim(out) as held, keep_journal(out, crew.settings, False, False) as (journal, _):
        terms = Terms(False, False, journal, LocalFiles(claims=(held,)), (held,))
        done = []
        with closing(crew.enhance(jobs, terms, lambda: False, lambda share: None)) as outcomes:
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
                done.append(time.perf_counter() - began)
    return Times(done[0], done[-1])


def print_table(times: dict[str, list[Times]], count: int) -> None:
    """Print a line for each plan."""
    rates = {name: [(count - 1) / (t.last - t.first) for t in all_] for name, all_ in times.items()}
    whole = {name: [count / t.last for t in all_] for name, all_ in times.items()}
    print(f"{'':<18}{'start':>8}{'rate':>10}{'of local':>10}{'whole':>10}{'of local':>10}")
    for name, all_ in times.items():
        start = statistics.median(t.first for t in all_)
        line = f"{name:<18}{start:>6.1f} s"
        for found in (rates, whole):
            pairs = zip(found[name], found["local"], strict=True)
            share = statistics.median(mine / local for mine, local in pairs)
            line += f"{statistics.median(found[name]):>8.1f}/s{share:>10.0%}"
        print(line)


if __name__ == "__main__":
    sys.exit(main())
