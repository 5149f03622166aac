"""Gain of several calls at once: pictures per second for a folder, on this CPU.

    python benchmarks/folder.py
    python benchmarks/folder.py --side 1000 --count 4 --suffix .jpg

The peer is the plain loop, which reads, computes and writes one picture after the other. Between it
and what `hyperguide enhance` does is one call at a time on all cores, overlapped only with reading
and writing. Every plan runs in every round, in alternating order, and is compared with the loop of
the same round, because other programs may use the machine at any time. Prints medians over the
rounds. The rate depends on the load of other programs; the CPU time per picture hardly does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import skimage.data

import hyperguide
from hyperguide.batch.jobs import Job, plan_jobs
from hyperguide.batch.pipeline import enhance_all
from hyperguide.batch.work import EnhanceOptions, Work
from hyperguide.picture_files import write_picture

ROOM = 1 << 28


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="denoise")
    parser.add_argument("--side", type=int, default=400, help="height; the width is 3/2 of it")
    parser.add_argument("--count", type=int, default=10, help="of pictures")
    parser.add_argument("--suffix", default=".png")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "in")
        make_pictures(source, given.count, given.side, given.suffix)
        jobs = plan_jobs([source], f"{name}/out", None)
        plans = make_plans(given.task)
        for run in plans.values():  # warms up engines, files and folders
            run(jobs[:1])
        times = measure(plans, jobs, given.rounds)
    print(
        f"{given.count} {given.suffix} pictures of {given.side * 3 // 2}x{given.side}, {given.task}"
    )
    loop = times["plain loop"]
    for name, rounds in times.items():
        rate = given.count / statistics.median(wall for wall, _ in rounds)
        cpu = statistics.median(cpu for _, cpu in rounds) / given.count
        ratios = [a / b for (a, _), (b, _) in zip(loop, rounds, strict=True)]
        print(
            f"{name:<36}{rate:6.2f} pictures/s {statistics.median(ratios):5.2f} times the loop "
            f"({min(ratios):.2f} to {max(ratios):.2f}){1e3 * cpu:7.1f} ms of CPU each"
        )


def make_pictures(folder: Path, count: int, side: int, suffix: str) -> None:
    """Write noisy photos, which compress as badly as those that people want denoised."""
    folder.mkdir()
    photos = (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea())
    rng = np.random.default_rng(0)
    for number in range(count):
        photo = cv2.resize(photos[number % len(photos)], (side * 3 // 2, side))
        noisy = photo + rng.normal(0, 15, photo.shape)
        write_picture(folder / f"{number}{suffix}", noisy.clip(0, 255).astype(np.uint8))


def make_plans(task: str) -> dict[str, Callable[[list[Job]], None]]:
    """The ways to enhance the pictures of a folder."""
    cores = os.cpu_count() or 1
    whole, shared = _work(task, 1), _work(task, cores)
    return {
        "plain loop": lambda jobs: _in_order(whole, jobs),
        "overlapped, one call on all cores": lambda jobs: _overlapped(whole, jobs),
        f"overlapped, {cores} calls at once": lambda jobs: _overlapped(shared, jobs),
    }


def measure(
    plans: dict[str, Callable[[list[Job]], None]], jobs: list[Job], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """(wall, CPU) seconds of each plan in each round."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in plans}
    for number in range(rounds):
        for name in list(plans)[:: 1 if number % 2 == 0 else -1]:
            began, used = time.perf_counter(), time.process_time()
            plans[name](jobs)
            times[name].append((time.perf_counter() - began, time.process_time() - used))
    return times


def _work(task: str, at_once: int) -> Work:
    enhancer = hyperguide.load(task, device="cpu", at_once=at_once)
    return Work(enhancer, EnhanceOptions(1.0, None, None, 1.0, None), lambda job: True)


def _in_order(work: Work, jobs: list[Job]) -> None:
    for job in jobs:
        work.write(job, work.enhance(work.read(job), lambda share: None))


def _overlapped(work: Work, jobs: list[Job]) -> None:
    for outcome in enhance_all(work, jobs, work.enhancer.at_once, ROOM):
        if outcome.error is not None:
            raise outcome.error


if __name__ == "__main__":
    main()
