"""Checks, builds, verifies and benchmarks everything on a machine with an NVIDIA GPU.

    make bench-gpu                                 # installs first, in .venv-gpu
    python benchmarks/gpu.py --out gpu [--list]
    python benchmarks/gpu.py --device cuda:0 --seconds 1   # without TensorRT, in two minutes

Continues after a failed step, lists the failed ones at the end, and exits with 1 if there were any.
OUT holds the output of each step, the engines, and the pages: `index.html` (single calls, compute
time separate from copies), `rate.html` (60 frames per second) and `offline.html` (batches).
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperguide.model_format.bundled import bundled_models

_SIZES = ("720x1280", "1080x1920")
_DEVICES = ("tensorrt:0", "ort-tensorrt:0", "cuda:0")


@dataclass(frozen=True)
class Step:
    """A `hyperguide` command and the name of the file for its output."""

    name: str
    words: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--device", action="append", help=f"[{', '.join(_DEVICES)}]")
    parser.add_argument("--model", action="append", help="a file; may be repeated [all bundled]")
    parser.add_argument("--seconds", type=float, default=5.0, help="of work for each subject")
    parser.add_argument("--list", action="store_true", help="print the commands and run none")
    given = parser.parse_args()
    models = list(map(Path, given.model or bundled_models()))
    planned = steps(given.out, models, given.device or _DEVICES, given.seconds)
    if given.list:
        print("\n".join(shlex.join(("hyperguide", *step.words)) for step in planned))
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    failed = [step.name for step in planned if not run(step, given.out)]
    print(f"failed: {', '.join(failed)}" if failed else "every step passed")
    print(f"Look at {given.out / 'index.html'}.")
    return int(bool(failed))


def steps(out: Path, models: Sequence[Path], devices: Sequence[str], seconds: float) -> list[Step]:
    """All commands in order; engines are built if `tensorrt` is among the devices."""
    files = tuple(map(str, models))
    found = [Step("doctor", ("doctor",))]
    found += [Step(f"verify-{Path(file).stem}", ("verify", file)) for file in files]
    if any(device.startswith("tensorrt") for device in devices):
        found += _engines(out, models)
    every = tuple(word for device in devices for word in ("--device", device))
    shapes = tuple(word for size in _SIZES for word in ("--shape", size))
    batches = tuple(word for batch in (1, 2, 4, 8) for word in ("--batch", str(batch)))
    first = ("--device", devices[0])
    plans = {
        "index": ("--scenario", "single", *every, *shapes),
        "rate": ("--scenario", "rate", "--fps", "60", *first, "--shape", _SIZES[1]),
        "offline": ("--scenario", "offline", *first, *batches, "--shape", _SIZES[0]),
    }
    for name, plan in plans.items():
        written = ("--html", str(out / f"{name}.html"), "--json", str(out / f"{name}.json"))
        words = ("bench", *files, *plan, "--seconds", str(seconds), *written, "--force")
        found.append(Step(f"bench-{name}", words))
    return found


def _engines(out: Path, models: Sequence[Path]) -> Iterator[Step]:
    """Steps that build and verify the TensorRT engine of each file."""
    for model in models:
        engine = str(out / f"{model.stem}.engine")
        build = ("build", str(model), "-o", engine, "--shapes", "64x64,720x1280,1080x1920")
        yield Step(f"build-{model.stem}", (*build, "--force"))
        yield Step(f"verify-engine-{model.stem}", ("verify", engine))


def run(step: Step, out: Path) -> bool:
    """Run a step and save its output; returns whether it passed."""
    print(shlex.join(("hyperguide", *step.words)), flush=True)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "hyperguide", *step.words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    (out / f"{step.name}.txt").write_text(done.stdout)
    passed = done.returncode == 0
    last = done.stdout.strip().rpartition("\n")[2]
    print(
        f"    {'passed' if passed else 'FAILED'} in {time.perf_counter() - began:.0f} s: {last}",
        flush=True,
    )
    return passed


if __name__ == "__main__":
    sys.exit(main())
