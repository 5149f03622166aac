"""Folders on a Ray cluster: the same files and messages as locally, whatever is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_folders import PATIENCE, contents, make_pictures
from made_folders import stamps as stamps_of

from conftest import Cli, enhance, fails, nothing_left
from hyperguide.batch.resume import NAME
from hyperguide.cluster import crew, stream
from hyperguide.cluster.tasks import Greeting, Report, Task
from hyperguide.cluster.worker import Worker
from hyperguide.picture_files import write_picture

# Ray warns of its own settings.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.usefixtures("signals_arrive"),
]

# Not of temporary files, which come and go.
stamps = partial(stamps_of, pattern="[!.]*.png")

PICTURES = 8
MANY = 200  # more than are computed before a signal is noticed


@pytest.fixture
def source(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """A folder of small pictures, older than their results."""
    make_pictures(tmp_path / "in", astronaut, PICTURES)
    return tmp_path / "in"


def told(err: str, folder: Path) -> list[str]:
    """The sentences about pictures and the outcome, sorted, without the name of the output."""
    lines = (line for line in err.splitlines() if "━" not in line)
    said = ("Starts a Ray cluster", "Workers run on", "Runs on")
    return sorted(
        line.replace(str(folder), "OUT") for line in lines if line and not line.startswith(said)
    )


def after_reports(
    patch: pytest.MonkeyPatch, number: int, act: Callable[[list[Greeting]], None]
) -> None:
    """Call `act` with the greetings of the workers when so many pictures were reported."""
    greetings: list[Greeting] = []
    reports: list[Report] = []
    take = crew._Run._take

    def watched(run: Any, message: Any) -> Any:
        if isinstance(message, Greeting):
            greetings.append(message)
        yield from take(run, message)
        if isinstance(message, Report):
            reports.append(message)
            if len(reports) == number:
                act(greetings)

    patch.setattr(crew._Run, "_take", watched)


def process_of(greeting: Greeting) -> int:
    """The process of a worker, from its name HOST-PROCESS-RANDOM."""
    return int(greeting.worker.split("-")[-2])


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"


@pytest.mark.usefixtures("cluster")
def test_a_cluster_writes_the_same_files_and_messages_as_the_local_run(
    quick_cli: Cli, source: Path, tmp_path: Path, astronaut: np.ndarray
) -> None:
    (source / "2.png").write_text("no picture")
    (source / "sub" / "1.heic").write_text("")
    write_picture(source / "gray.tif", cv2.cvtColor(astronaut[:40, :50], cv2.COLOR_RGB2GRAY))
    write_picture(source / "sub" / "photo.jpg", astronaut[:64, :64])
    (source / "deep" / "er").mkdir(parents=True)
    write_picture(source / "deep" / "er" / "16.png", astronaut[:24, :24].astype(np.uint16) * 257)
    alpha = np.dstack([astronaut[:30, :30], np.full((30, 30), 99, np.uint8)])
    write_picture(source / "alpha.webp", alpha)
    write_picture(tmp_path / "mask.png", np.full((9, 9), 128, np.uint8))
    runs = []
    for name, more in (("local", ()), ("ray", ("--ray",))):
        out, maps = tmp_path / name, tmp_path / f"{name}-maps"
        options = ("--save-guidance", maps, "--mask", tmp_path / "mask.png", "-s", 0.8, *more)
        result = enhance(quick_cli, source, out, *options)
        fails(result, "1 of 12 pictures failed")
        runs.append((contents(out), contents(maps), told(result.err, out)))
    assert len(runs[0][0]) == 11
    assert len(runs[0][1]) == 22
    assert runs[0] == runs[1]


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_files_that_exist_stay_without_force_and_a_finished_run_resumes_with_nothing(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert enhance(quick_cli, source, out, "--ray").code == 0
    before = stamps(out)
    refused = enhance(quick_cli, source, out, "--ray")
    fails(refused, f"{PICTURES} of {PICTURES} pictures failed")
    assert refused.err.count("exists: choose another name or add --force") == PICTURES
    resumed = enhance(quick_cli, source, out, "--ray", "--resume")
    assert f"0 done, {PICTURES} skipped" in resumed.err
    assert stamps(out) == before
    assert enhance(quick_cli, source, out, "--ray", "--force").code == 0
    after = stamps(out)
    assert all(after[name] != before[name] for name in before)


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_pictures_can_be_replaced_by_their_results(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    assert enhance(quick_cli, source, tmp_path / "out").code == 0
    assert enhance(quick_cli, source, source, "--ray", "--force").code == 0
    assert contents(source) == contents(tmp_path / "out")
    before = stamps(source)
    assert enhance(quick_cli, source, source, "--ray", "--resume").code == 0
    assert stamps(source) == before


@pytest.mark.usefixtures("cluster")
def test_when_a_worker_is_killed_nothing_is_lost_and_nothing_is_done_twice(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, before = tmp_path / "out", {}

    def kill(greetings: list[Greeting]) -> None:
        os.kill(process_of(greetings[0]), signal.SIGKILL)
        before.update(stamps(out))

    after_reports(monkeypatch, 2, kill)
    result = enhance(quick_cli, source, out, "--ray", "--ray-workers", 1)
    assert result.code == 0, result.err
    assert result.out == ""
    assert f"of {PICTURES} pictures {PICTURES} done, 0 skipped, 0 failed." in result.err
    now = stamps(out)
    assert before
    assert {name: now[name] for name in before} == before
    assert enhance(quick_cli, source, tmp_path / "local").code == 0
    assert contents(out) == contents(tmp_path / "local")
    assert out.joinpath(NAME).read_text().count('"done"') == PICTURES


def test_when_the_command_is_killed_resuming_loses_nothing_and_does_nothing_twice(
    cluster: str, quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "hyperguide", "enhance", "-i", source, "-o", out]
    options = ["-t", "denoise", "--ray", cluster, "--ray-workers", "1"]
    run = subprocess.Popen([*words, *options], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + PATIENCE
    while len(stamps(out)) < 2:
        assert time.monotonic() < end
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)
    run.kill()
    run.communicate()
    before = _settled(out)
    result = enhance(quick_cli, source, out, "--ray", "--resume")
    assert result.code == 0, result.err
    assert f"of {PICTURES} pictures {PICTURES - len(before)} done, {len(before)} skipped" in (
        result.err
    )
    now = stamps(out)
    assert {name: now[name] for name in before} == before
    assert enhance(quick_cli, source, tmp_path / "local").code == 0
    assert contents(out) == contents(tmp_path / "local")


def _settled(folder: Path) -> dict[str, tuple[int, int]]:
    """The pictures when no more of them come: Ray ends workers a little after their driver."""
    before, quiet = stamps(folder), 0
    while quiet < 20:
        time.sleep(0.1)
        now = stamps(folder)
        quiet = quiet + 1 if now == before else 0
        before = now
    return before


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_ctrl_c_finishes_what_is_computed_and_leaves_no_workers_and_no_temporary_files(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    workers: list[int] = []

    def interrupt(greetings: list[Greeting]) -> None:
        workers.extend(map(process_of, greetings))
        os.kill(os.getpid(), signal.SIGINT)

    for i in range(PICTURES, MANY):
        shutil.copy2(source / "0.png", source / f"{i}.png")
    with monkeypatch.context() as patch:
        after_reports(patch, 1, interrupt)
        result = enhance(quick_cli, source, out, "--ray", "--ray-workers", 1)
    assert result.code == 130, result.err
    assert "go on with --resume." in result.err
    before = stamps(out)
    record = out.joinpath(NAME).read_text()
    assert record.count('"done"') == len(before) > 0
    assert not [name for name in contents(out) if name.rpartition("/")[2].startswith(".")]
    end = time.monotonic() + PATIENCE
    while not all(map(gone, workers)):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert enhance(quick_cli, source, out, "--ray", "--resume").code == 0
    now = stamps(out)
    assert len(now) == MANY
    assert {name: now[name] for name in before} == before


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_a_picture_that_kills_its_workers_is_listed_and_the_others_are_done(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mortal(Worker):
        def _reports(self, tasks: list[Task]) -> Iterator[Report]:
            for task in tasks:
                if task.job.source.name == "5.png":
                    os._exit(1)
                yield from super()._reports([task])

    monkeypatch.setattr(stream, "Worker", Mortal)
    result = enhance(quick_cli, source, tmp_path / "out", "--ray")
    fails(result, f"1 of {PICTURES} pictures failed")
    assert f"{source / 'sub' / '5.png'}: the worker that enhanced it died" in result.err
    assert len(stamps(tmp_path / "out")) == PICTURES - 1


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_kernels_are_estimated_by_the_workers(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for i in range(2):
        blurred = cv2.blur(astronaut[100 * i : 100 * i + 128, :160], (7, 1))
        write_picture(source / f"{i}.png", blurred)
    for name, more in (("local", ()), ("ray", ("--ray",))):
        kernels = (
            "--kernel",
            "auto",
            "--kernel-size",
            11,
            "--save-kernel",
            f"{tmp_path / name}-k/",
        )
        result = quick_cli(
            *("enhance", "-i", source, "-o", tmp_path / name, "-t", "deblur", *kernels, *more)
        )
        assert result.code == 0, result.err
    assert contents(tmp_path / "local") == contents(tmp_path / "ray")
    assert contents(tmp_path / "local-k") == contents(tmp_path / "ray-k")


@pytest.mark.usefixtures("cluster")
def test_a_worker_without_the_device_ends_the_run_with_its_reason(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    result = enhance(quick_cli, source, tmp_path / "out", "--ray", "--device", "cuda")
    fails(result, "No machine of the Ray cluster has a GPU for --device cuda")
    nothing_left(tmp_path / "out")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", ("no Ray cluster at 127.0.0.1:1", "ray start --head")),
        ("head", ("'head' is no address of a Ray cluster", "host:6379")),
        ("ray://head:10001", ("Ray Client",)),
    ],
)
def test_an_address_without_a_cluster_is_reported(
    address: str, words: tuple[str, ...], cli: Cli, source: Path, tmp_path: Path
) -> None:
    result = enhance(cli, source, tmp_path / "out", "--ray", address)
    fails(result, *words)
    assert not stamps(tmp_path / "out")


def test_what_cannot_be_done_on_a_cluster_is_refused(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, one = tmp_path / "a.mp4", source / "0.png"
    fails(enhance(quick_cli, video, tmp_path / "out", "--ray"), f"{video} is a video", "leave out")
    fails(enhance(quick_cli, one, tmp_path / "b.png", "--ray"), "into a folder", "leave it out")
    assert quick_cli("enhance", "-i", source, "-t", "denoise", "--ray").code == 2
    alone = enhance(quick_cli, source, tmp_path / "out", "--ray-workers", 2)
    assert alone.code == 2
    assert "add --ray" in alone.err
    (tmp_path / "file").write_text("")
    fails(enhance(quick_cli, source, tmp_path / "file", "--ray"), "is a file")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    missing = enhance(quick_cli, source, tmp_path / "out", "--ray")
    fails(missing, "--ray needs the package pyarrow: pip install 'hyperguide[ray]'")


def test_ray_is_imported_only_with_its_option(source: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from hyperguide.cli.main import program; "
        f"program(['enhance', '-i', {str(source)!r}, '-o', {str(tmp_path / 'out')!r}, "
        "'-t', 'denoise'], standalone_mode=False); "
        "print([m for m in ('ray', 'pyarrow', 'pandas') if m in sys.modules])"
    )
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
