"""Checks, builds, verifies, benchmarks and trains on a machine with an NVIDIA GPU.

    make bench-gpu                                 # installs first, in .venv-gpu
    python benchmarks/gpu.py --out gpu [--list]
    python benchmarks/gpu.py --device cuda:0 --seconds 1 --minutes 8      # without TensorRT
    python benchmarks/gpu.py --train dehaze --data photos/ --train-minutes 4
    python benchmarks/gpu.py --device cpu --seconds 0.2 --model denoise-live   # a rehearsal

The steps are proofs, latencies, comparisons, batches and trainings, in this order. Each has a time
limit, after which it is ended, and writes its output to OUT at once. After --minutes none begins.
Failed steps and those that did not begin are listed at the end; the exit code is then 1.
OUT holds the output of each step, the engines, and the pages: `index.html` (single calls, compute
time separate from copies), `rate.html` (60 frames per second), `offline.html` (batches) and
`large.html` (4K). Trainings with nccl need more than one GPU and are not part of it.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperguide.model_format.bundled import bundled_models

_SIZES = ("720x1280", "1080x1920")
_LARGE = "2160x3840"
_DEVICES = ("tensorrt:0", "ort-tensorrt:0", "cuda:0")
_HYPERGUIDE = ("-m", "hyperguide")
# Seconds that a step has to write what it holds after it was asked to end.
_GRACE = 30


@dataclass(frozen=True)
class Step:
    """A command, and the name of the file for its output.

    words: arguments of `hyperguide`, or of Python if `program` names a script.
    limit: seconds after which it is ended.
    may_be_ended: whether it has then done its work, as a training has.
    """

    name: str
    words: tuple[str, ...]
    limit: float = 300
    program: str = ""
    may_be_ended: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        """The words behind `python`."""
        start = (str(Path(__file__).parent / self.program),) if self.program else _HYPERGUIDE
        return (*start, *self.words)

    def __str__(self) -> str:
        start = ("python", f"benchmarks/{self.program}") if self.program else ("hyperguide",)
        return shlex.join((*start, *self.words))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--device", action="append", help=f"[{', '.join(_DEVICES)}]")
    parser.add_argument("--model", action="append", help="name or file; repeatable [all bundled]")
    parser.add_argument("--seconds", type=float, default=5.0, help="of work for each subject")
    parser.add_argument("--minutes", type=float, default=60.0, help="after which no step begins")
    parser.add_argument("--train", action="append", metavar="TASK|PRESET", help="train, at last")
    parser.add_argument("--data", type=Path, action="append", help="of the trainings")
    parser.add_argument("--train-minutes", type=float, default=5.0, help="for each training")
    parser.add_argument("--list", action="store_true", help="print the commands and run none")
    given = parser.parse_args()
    if given.train and not given.data:
        parser.error("--train needs --data, folders of photos")
    models = list(map(Path, given.model or bundled_models()))
    planned = steps(given.out, models, given.device or _DEVICES, given.seconds)
    planned += trainings(given.out, given.train or [], given.data or [], 60 * given.train_minutes)
    if given.list:
        print("\n".join(map(str, planned)))
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * given.minutes
    failed, late = [], []
    for step in planned:
        if time.monotonic() > end:
            late.append(step.name)
        elif not run(step, given.out):
            failed.append(step.name)
    if late:
        print(f"not begun in {given.minutes:g} minutes: {', '.join(late)}")
    if failed or not late:
        print(f"failed: {', '.join(failed)}" if failed else "every step passed")
    print(f"Look at {given.out / 'index.html'}.")
    return int(bool(failed or late))


def steps(out: Path, models: Sequence[Path], devices: Sequence[str], seconds: float) -> list[Step]:
    """All commands but trainings, in order; engines are built if a device is `tensorrt`."""
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
        "large": ("--scenario", "single", *first, "--shape", _LARGE),
    }
    for name, plan in plans.items():
        written = ("--html", str(out / f"{name}.html"), "--json", str(out / f"{name}.json"))
        words = ("bench", *files, *plan, "--seconds", str(seconds), *written, "--force")
        found.append(Step(f"bench-{name}", words))
    return [*found, *_comparisons(out, models, devices, seconds)]


def trainings(
    out: Path, presets: Sequence[str], data: Sequence[Path], seconds: float
) -> list[Step]:
    """A training for each task or preset file; it goes on where OUT holds its run folder."""
    found = []
    for given in presets:
        name = Path(given).stem
        folder = out / f"train-{name}"
        task = name.partition("-")[0]
        preset = ("--preset", given) if Path(given).suffix else ()
        photos = tuple(word for path in data for word in ("--data", str(path)))
        resume = ("--resume",) if (folder / "state.safetensors").exists() else ()
        words = ("train", task, *preset, *photos, "--out", str(folder), "--device", "cuda")
        found.append(Step(f"train-{name}", (*words, *resume), seconds, may_be_ended=True))
    return found


def _engines(out: Path, models: Sequence[Path]) -> Iterator[Step]:
    """Steps that build and verify the TensorRT engine of each file."""
    for model in models:
        engine = str(out / f"{model.stem}.engine")
        build = ("build", str(model), "-o", engine, "--shapes", "64x64,720x1280,1080x1920")
        yield Step(f"build-{model.stem}", (*build, "--force"))
        yield Step(f"verify-engine-{model.stem}", ("verify", engine))


def _comparisons(
    out: Path, models: Sequence[Path], devices: Sequence[str], seconds: float
) -> Iterator[Step]:
    """Steps with what prepared sizes save, and with PyTorch on the same GPU."""
    for device in devices:
        if device.startswith(("cuda", "cpu")):
            files = tuple(word for model in models for word in ("--model", str(model)))
            written = ("--json", str(out / "prepared.json"), "--force")
            words = ("--device", device, "--seconds", str(seconds), *files, *written)
            yield Step("prepared-sizes", words, program="prepared_sizes.py")
        if device.startswith("cuda"):
            words = ("--device", device, "--seconds", str(seconds), "--force", "--json")
            yield Step("torch", (*words, str(out / "torch.json")), program="torch_on_gpu.py")


def run(step: Step, out: Path) -> bool:
    """Run a step while its output is saved; returns whether it passed."""
    print(step, flush=True)
    began = time.monotonic()
    path = out / f"{step.name}.txt"
    with path.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *step.command], stdout=file, stderr=subprocess.STDOUT
        )
        ended = False
        try:
            process.wait(step.limit)
        except subprocess.TimeoutExpired:
            ended = True
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    passed = step.may_be_ended if ended else process.returncode == 0
    state = f"{'passed' if passed else 'FAILED'}{', ended' if ended else ''}"
    last = path.read_text(errors="replace").strip().rpartition("\n")[2]
    print(f"    {state} in {time.monotonic() - began:.0f} s: {last}", flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())
