"""Fuzzes several targets, one process each, some at a time, and prints a table of the results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from .findings import Findings
from .rule import Finding
from .session import LATEST, TALLY
from .target import SCRATCH, in_memory

# How many processes a target gets; one that crashes or is killed is followed by another.
_SESSIONS = 20
_SETTINGS = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}


@dataclass
class Outcome:
    """The result of fuzzing a target.

    trouble: why it was not fuzzed, or not for the whole time; otherwise empty.
    """

    name: str
    executions: int
    seconds: float
    findings: Findings
    trouble: str = ""


def run(names: list[str], seconds: float, jobs: int, folder: Path) -> list[Outcome]:
    """Fuzz targets for the given seconds each, and print each result when it is ready."""
    outcomes = []
    with ThreadPoolExecutor(jobs) as pool:
        for outcome in pool.map(lambda name: _fuzzed(name, seconds, folder / name), names):
            print(_line(outcome), flush=True)
            outcomes.append(outcome)
    return outcomes


def _fuzzed(name: str, seconds: float, folder: Path) -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.bin"), *folder.glob("*.json"), *_artifacts(folder)):
        old.unlink()
    executions, spent, trouble = 0, 0.0, ""
    seed = int(time.time())
    for session in range(_SESSIONS):
        words = [name, str(folder), str(seconds - spent), str(seed + session)]
        with TemporaryDirectory(prefix="fuzz-", dir=in_memory()) as scratch:
            ended = subprocess.run(
                [sys.executable, "-m", "fuzz.session", *words],
                env=os.environ | _SETTINGS | {SCRATCH: scratch},  # removed even if killed
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        told = folder / TALLY
        if not told.exists():
            trouble = ended.stderr[-2000:]
            break
        tally = json.loads(told.read_text("utf-8"))
        told.unlink()
        executions += tally["executions"]
        spent += tally["seconds"]
        if ended.returncode:
            _note_the_end(folder, ended.returncode)
        if spent >= seconds:
            break
    return Outcome(name, executions, spent, Findings(folder), trouble)


def _note_the_end(folder: Path, code: int) -> None:
    """Record the input of an execution that killed the process."""
    findings = Findings(folder)
    left = {path.name.partition("-")[0]: path for path in _artifacts(folder)}
    kind = next(iter(left), f"code {code}")  # libFuzzer reports only crashes and timeouts
    data = left.get(kind, folder / LATEST).read_bytes()
    findings.note(Finding("ended", f"native:{kind}", f"exit code {code}"), data)
    findings.write()
    for path in left.values():
        path.unlink()


def _artifacts(folder: Path) -> list[Path]:
    return [path for kind in ("timeout", "crash", "oom") for path in folder.glob(f"{kind}-*")]


def _line(outcome: Outcome) -> str:
    rate = outcome.executions / max(outcome.seconds, 1e-9)
    return (
        f"{outcome.name:<20} {outcome.executions:>10,} executions {outcome.seconds:>7.0f} s "
        f"{rate:>7.0f}/s {len(outcome.findings.causes):>4} findings"
        + (f"  TROUBLE: {outcome.trouble}" if outcome.trouble else "")
    )


def table(outcomes: list[Outcome], module: str = "PYTHONPATH=tests python -m fuzz") -> str:
    """The results as text: a line per target, and each finding with the command to replay it."""
    width = shutil.get_terminal_size().columns
    lines = ["", *map(_line, outcomes), ""]
    for outcome in outcomes:
        for cause in sorted(outcome.findings.causes.values(), key=lambda cause: -cause.count):
            path = outcome.findings.folder / cause.file
            detail = cause.detail.encode("unicode_escape").decode()
            lines += [
                f"{outcome.name}: {cause.kind} in {cause.place}, {cause.count} times"[:width],
                f"    {detail}"[:width],
                f"    {module} replay {outcome.name} {path}",
            ]
    return "\n".join(lines)
