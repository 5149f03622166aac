"""Shared fixtures: photos on disk, a briefly trained run, bundled models."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import yaml
from export_cache import cache_exports

import hyperguide
from hyperguide.batch.resume import NAME
from hyperguide.cli.main import run
from hyperguide.export import calibration
from hyperguide.picture_files import write_picture
from hyperguide.training.checkpoint import BEST, load_tensors, save_tensors
from hyperguide.training.preset import load_preset

# On a busy machine, threads that wait for each other take ten times as long. This applies to the
# processes that tests start and to this one, where torch is already loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

cache_exports()

PICTURES = 3  # in the folder `source`

TASKS = ("denoise", "derain", "dehaze")


@dataclass(frozen=True)
class Outcome:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


def fails(result: Outcome, *words: str) -> None:
    """Assert exit code 1 and one sentence containing the words, without a traceback."""
    assert result.code == 1, (result.code, result.out, result.err)
    sentences = [line for line in result.err.splitlines() if line.startswith("hyperguide: ")]
    assert len(sentences) == 1, result.err
    assert "Traceback" not in result.err
    assert "Internal error" not in result.err
    for word in words:
        assert word in sentences[0], sentences[0]


def enhance(cli: Cli, source: Path, output: Path | str, *more: object) -> Outcome:
    return cli("enhance", "-i", source, "-o", output, "-t", "denoise", *more)


def nothing_left(folder: Path, *kept: str) -> None:
    """Assert that a folder holds these files and no others, except the record of a run."""
    assert {path.name for path in folder.iterdir()} - {NAME} == set(kept)


def printed_by(script: str) -> str:
    """The output of a script run in its own process."""
    words = [sys.executable, "-c", script]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB of a picture, clipped to [0, 1], against the clean one; the peak is 1."""
    return float(-10 * np.log10(np.mean((a.clip(0, 1).astype(np.float64) - b) ** 2)))


@pytest.fixture(scope="session")
def cli() -> Callable[..., Outcome]:
    """Run the command line in its own process."""

    def call(*arguments: object) -> Outcome:
        words = [sys.executable, "-m", "hyperguide", *map(str, arguments)]
        result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=1200)
        return Outcome(result.returncode, result.stdout, result.stderr)

    return call


def in_process(*arguments: object) -> Outcome:
    """Run the command line in this process, where no fixture captures what it prints."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        run(list(map(str, arguments)))
    return Outcome(int(end.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture
def quick_cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process, which saves seconds of imports."""

    def call(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as end:
            run(list(map(str, arguments)))
        return Outcome(int(end.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A colour photo, 512x512 uint8."""
    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """A folder of four small photos."""
    folder = tmp_path_factory.mktemp("photos")
    pictures = (astronaut, skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket())
    for i, picture in enumerate(pictures):
        write_picture(folder / f"{i}.png", picture[:256, :256])
    return folder


def roughen(run: Path) -> None:
    """Give the reconstruction of a run random last layers, one in each stage.

    Networks start as the identity and stay near it at first, so a wrong map would hardly show.
    """
    tensors, record = load_tensors(run / BEST)
    tails = [name for name in tensors if name.endswith("tail.weight")]
    for seed, name in enumerate(tails):  # an export merges equal ones
        rng = torch.Generator().manual_seed(seed)
        tensors[name] = 0.1 * torch.randn(tensors[name].shape, generator=rng)
    save_tensors({run / BEST: tensors}, record)


@pytest.fixture(scope="module")
def few_crops() -> Iterator[None]:
    """Calibrate on few crops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "_CROPS", 2)
        yield


@pytest.fixture(scope="session")
def small_presets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Write the preset of a task and tier, with small crops, batches and networks, to a file."""
    folder = tmp_path_factory.mktemp("presets")

    def write(task: str, tier: str) -> Path:
        fields = json.loads(load_preset(task, tier).to_json())
        fields["schedule"] |= {"warmup": 1, "steps": 2, "held_out": 2}
        crop = 64 if tier == "fast" else 32
        fields["schedule"]["stages"] = [{"until": 1.0, "crop": crop, "batch": 2}]
        if task == "deblur":
            fields["degradation"]["size"] = 15
        if "stages" in fields["reconstruction"]:
            fields["reconstruction"]["stages"] = 2
        if fields["reconstruction"]["network"] == "unfolded":
            denoiser = fields["reconstruction"]["denoiser"]
            if tier == "fast":
                denoiser |= {"widths": [16, 16], "middle": 1}
            else:
                denoiser["width"] = fields["proxy"]["width"] = 16
        path = folder / f"{task}-{tier}.yaml"
        path.write_text(yaml.safe_dump(fields))
        return path

    return write


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A denoising run of a few steps, roughened."""
    folder = tmp_path_factory.mktemp("run")
    result = in_process(
        *("train", "denoise", "--data", photos, "--out", folder / "run"),
        *("--steps", 3, "--warmup", 2, "--describe-data", "four small photos"),
    )
    assert result.code == 0, result.err
    roughen(folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def exported(run_folder: Path) -> Path:
    """The same run as a model file. Tests that change it work on a copy."""
    path = run_folder.parent / "model.onnx"
    result = in_process("export", run_folder, "-o", path)
    assert result.code == 0, result.err
    return path


@pytest.fixture
def model_copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(exported, tmp_path / "model.onnx"))


@pytest.fixture(scope="session")
def enhancers() -> dict[str, hyperguide.Enhancer]:
    """The bundled models."""
    return {task: hyperguide.load(task) for task in TASKS}


@pytest.fixture
def photo(tmp_path: Path, astronaut: np.ndarray) -> Path:
    path = tmp_path / "photo.png"
    write_picture(path, astronaut[:64, :96])
    return path


@pytest.fixture
def source(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """A folder of a few small pictures."""
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(PICTURES):
        write_picture(folder / f"{i}.png", astronaut[:16, 16 * i : 16 * i + 16])
    return folder


@pytest.fixture
def signals_arrive() -> Iterator[None]:
    """Handle Ctrl-C as in a terminal; shells make background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A small Ray cluster that this process is connected to; its address."""
    from hyperguide.cluster.connection import refuse_missing

    refuse_missing()  # which sets Ray's variables
    import ray

    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
