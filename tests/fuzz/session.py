"""A process that fuzzes one target with Atheris for a given time.

Only Hyperguide's own Python code is instrumented. NumPy, OpenCV, torch and the engines are
observed by what they raise and by their time and memory, but not by new branches.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NoReturn

from .target import Target, clear

TALLY = "session.json"
LATEST = "latest.bin"
# Modules that compare whole pictures: Atheris 3.0.0 keeps the results of instrumented comparisons.
_ARRAYS = ["hyperguide.picture_files.maps"]
# The most memory beyond what is mapped at the start, so that no reader takes the whole machine.
_ROOM = 8 << 30
# `rule.check` cannot interrupt native code: libFuzzer ends the process after this many seconds.
_HANGS = 120


def fuzz(name: str, folder: Path, seconds: float, seed: int) -> NoReturn:
    """Fuzz a target, leave findings, corpus and a tally in the folder, and end the process."""
    import atheris

    atheris.enabled_hooks.add("str")
    with atheris.instrument_imports(
        include=["hyperguide"], exclude=_ARRAYS, enable_loader_override=False
    ):
        from .findings import Findings
        from .rule import Finding, check
        from .targets import find_target

        target = find_target(name)
        seeds = target.seeds()
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for file, data in seeds.items():
        (corpus / f"seed-{file}").write_bytes(data)
    for data in seeds.values():  # late imports should not count for any execution
        with contextlib.suppress(Finding):
            check(target.read, data)
    _limit_memory()
    findings = Findings(folder)
    latest = os.open(folder / LATEST, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    began = time.monotonic()
    executions = 0

    def execute(data: bytes) -> None:
        nonlocal executions
        if executions % 256 == 0:
            _tally(folder, executions, time.monotonic() - began)
        if time.monotonic() > began + seconds:
            end()
        executions += 1
        os.ftruncate(latest, os.pwrite(latest, data, 0))
        try:
            check(target.read, data)
        except Finding as finding:
            findings.note(finding, data)

    def end() -> NoReturn:
        _tally(folder, executions, time.monotonic() - began)
        findings.shrink(target.read)
        clear()
        os._exit(0)  # libFuzzer would continue

    words = [
        *(sys.argv[0], str(corpus), f"-max_len={target.longest}", f"-seed={seed}"),
        *(f"-timeout={_HANGS}", "-rss_limit_mb=0", "-malloc_limit_mb=0", "-close_fd_mask=3"),
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup(words, execute, custom_mutator=_mutator(target))
    atheris.Fuzz()
    raise AssertionError("libFuzzer came to an end by itself")


def _mutator(target: Target) -> Callable[[bytes, int, int], bytes]:
    import atheris

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        rng = Random(seed)
        if target.mutate is not None and rng.random() < 0.75:
            try:
                for _ in range(rng.choice([1, 1, 2, 4])):
                    data = target.mutate(data, rng, lambda piece: inner(piece, rng))
                return data[:longest]
            except (ValueError, RecursionError):  # an earlier mutation has broken the structure
                pass
        return atheris.Mutate(data, longest)

    def inner(piece: bytes, rng: Random) -> bytes:
        changed: bytes = atheris.Mutate(piece, len(piece) + rng.choice([0, 1, 16]))
        return changed

    return mutate


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _tally(folder: Path, executions: int, seconds: float) -> None:
    text = json.dumps({"executions": executions, "seconds": seconds})
    (folder / TALLY).write_text(text, "utf-8")


if __name__ == "__main__":  # the package must not have been imported before
    fuzz(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
