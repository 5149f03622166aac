"""Folders: reading, computing and writing overlap; an interrupted run continues with --resume."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_folders import PATIENCE, contents, make_pictures, stamps

from conftest import Cli, Outcome, enhance, fails
from hyperguide.batch import pipeline as overlap
from hyperguide.batch.jobs import Job
from hyperguide.batch.pipeline import SPARE, enhance_all
from hyperguide.batch.resume import NAME
from hyperguide.batch.work import Work
from hyperguide.cli import folders
from hyperguide.enhancer import Enhancer, load
from hyperguide.errors import DiskFullError, HyperguideError
from hyperguide.inference.runner import Runner
from hyperguide.picture_files import read_picture, write_picture

pytestmark = pytest.mark.usefixtures("signals_arrive")

PICTURES = 6


@pytest.fixture
def source(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """A folder of small pictures, older than their results."""
    make_pictures(tmp_path / "in", astronaut, PICTURES)
    return tmp_path / "in"


def _interrupted(
    patch: pytest.MonkeyPatch, run: Callable[[], Outcome], after: int, *signals: int
) -> Outcome:
    """Run on two cores and send signals, each after the previous one was noticed.

    Two pictures are being computed then, the second of them as number `after` of all, and an
    earlier one is being written.
    """
    came, writing, leaving = threading.Event(), threading.Event(), threading.Event()
    calls, writes = count(1), count(1)
    compute, write, shutdown = Work.enhance, Work.write, ThreadPoolExecutor.shutdown

    def enhance_and_signal(self: Work, *arguments: Any) -> object:
        number = next(calls)
        if number == after - 1:
            assert came.wait(PATIENCE)
        elif number == after:
            assert after == 2 or writing.wait(PATIENCE)
            os.kill(os.getpid(), signals[0])
            _wait_until(heard)
            for again in signals[1:]:
                os.kill(os.getpid(), again)
                assert leaving.wait(PATIENCE)
            came.set()
        return compute(self, *arguments)

    def write_slowly(self: Work, *arguments: Any) -> list[str]:
        if next(writes) == 1 and after > 2:
            writing.set()
            assert came.wait(PATIENCE)
        return write(self, *arguments)

    def tell_and_shut_down(self: ThreadPoolExecutor, **options: Any) -> None:
        leaving.set()
        shutdown(self, **options)

    with patch.context() as within:
        heard = _listen(within)
        within.setattr(os, "cpu_count", lambda: 2)
        within.setattr(Work, "enhance", enhance_and_signal)
        within.setattr(Work, "write", write_slowly)
        within.setattr(ThreadPoolExecutor, "shutdown", tell_and_shut_down)
        return run()


def _listen(patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A function that tells whether a run has noticed the first signal."""
    heard: list[list[int]] = []
    stops, seconds = folders.stops, count()  # each signal a second after the one before

    @contextmanager
    def listening() -> Iterator[list[int]]:
        with stops(lambda: float(next(seconds))) as stop:
            heard.append(stop)
            yield stop

    patch.setattr(folders, "stops", listening)
    return lambda: any(heard)


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def _visible(folder: Path) -> list[str]:
    return sorted(name for name in contents(folder) if not Path(name).name.startswith("."))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_folder_resumed_equals_one_that_was_not(
    number: int, quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert enhance(quick_cli, source, whole).code == 0
    stopped = _interrupted(monkeypatch, lambda: enhance(quick_cli, source, out), 3, number)
    assert stopped.code == 130
    assert "of 6 pictures 3 done, 0 skipped, 0 failed; go on with --resume." in stopped.err
    left, expected = contents(out), contents(whole)
    assert len(left) == 3  # and no temporary file
    assert all(content == expected[name] for name, content in left.items())
    before = stamps(out)
    resumed = enhance(quick_cli, source, out, "--resume")
    assert resumed.code == 0, resumed.err
    assert "of 6 pictures 3 done, 3 skipped, 0 failed." in resumed.err
    assert contents(out) == expected
    after = stamps(out)
    assert {name: after[name] for name in before} == before


def test_a_second_ctrl_c_drops_the_pictures_that_are_being_computed(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    twice = (signal.SIGINT, signal.SIGINT)
    stopped = _interrupted(monkeypatch, lambda: enhance(quick_cli, source, out), 3, *twice)
    assert stopped.code == 130
    (name,) = contents(out)  # the one that was being written
    assert read_picture(out / name).shape == (32, 48, 3)


def test_ctrl_c_drops_pictures_that_are_enhanced_in_parts(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = count()
    both = threading.Barrier(2)
    run = Runner.run

    def run_and_signal(self: Runner, *arguments: Any) -> object:
        number = next(parts)
        both.wait(PATIENCE)
        if number == 0:
            os.kill(os.getpid(), signal.SIGINT)
            _wait_until(heard)
        both.wait(PATIENCE)
        return run(self, *arguments)

    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(Runner, "run", run_and_signal)
    heard = _listen(monkeypatch)
    stopped = enhance(quick_cli, source, tmp_path / "out", "--tile", 16)
    assert stopped.code == 130
    assert "of 6 pictures 0 done, 0 skipped, 0 failed; go on with --resume." in stopped.err
    assert next(parts) == 2
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / NAME]


def test_a_killed_run_leaves_only_whole_pictures_and_goes_on(
    cli: Cli, source: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert enhance(cli, source, whole).code == 0
    script = """
import os, signal, sys
from itertools import count
from hyperguide.cli.main import run

calls, replace = count(), os.replace

def kill(*names):
    if next(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)

os.replace = kill
run(sys.argv[1:])
"""
    words = ("enhance", "-i", source, "-o", out, "-t", "denoise")
    result = subprocess.run([sys.executable, "-c", script, *map(str, words)], check=False)
    assert result.returncode == -signal.SIGKILL
    expected = contents(whole)
    assert 1 <= len(_visible(out)) < PICTURES
    assert all((out / name).read_bytes() == expected[name] for name in _visible(out))
    assert enhance(cli, source, out, "--resume").code == 0
    assert {name: (out / name).read_bytes() for name in _visible(out)} == expected


def test_resuming_with_other_settings_is_refused(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    _interrupted(monkeypatch, lambda: enhance(quick_cli, source, out), 2, signal.SIGINT)
    before = contents(out)
    fails(
        enhance(quick_cli, source, out, "--resume", "-s", 0.5, "-g", 0.1),
        "had another guidance and strength",
    )
    words = ("enhance", "-i", source, "-o", out, "-t", "derain", "--resume")
    fails(quick_cli(*words), "had another model")
    assert contents(out) == before
    assert enhance(quick_cli, source, out, "--resume").code == 0


def test_resuming_makes_again_what_is_older_than_its_source(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert enhance(quick_cli, source, out).code == 0
    old, before = (out / "2.png").read_bytes(), stamps(out)
    write_picture(source / "2.png", np.full((32, 48, 3), 99, np.uint8))
    later = max(time for _, time in before.values()) + 1
    os.utime(source / "2.png", ns=(later, later))
    result = enhance(quick_cli, source, out, "--resume")
    assert "1 done, 5 skipped" in result.err
    assert (out / "2.png").read_bytes() != old
    changed = {name for name, stamp in stamps(out).items() if stamp != before[name]}
    assert changed == {"2.png"}


def test_resuming_makes_again_a_picture_without_its_maps(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out, maps = tmp_path / "out", tmp_path / "maps"
    words = (source, out, "--save-guidance", maps)
    assert enhance(quick_cli, *words).code == 0
    expected = contents(tmp_path)
    (maps / "0.png.guidance-color.png").unlink()
    (maps / "sub" / "3.png.guidance.png").unlink()
    result = enhance(quick_cli, *words, "--resume")
    assert "2 done, 4 skipped" in result.err
    assert contents(tmp_path) == expected


def test_resuming_without_maps_does_not_ask_for_them(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    words = ("enhance", "-i", source, "-o", tmp_path / "out", "-t", "denoise", "-s", 0)
    words = (*words, "--save-guidance", tmp_path / "maps")
    first = quick_cli(*words)
    assert "at strength 0 none are computed" in first.err
    again = quick_cli(*words, "--resume")
    assert (first.code, again.code) == (0, 0)
    assert " 0 done" in again.err
    assert not (tmp_path / "maps").exists()


def test_maps_are_written_before_their_picture(
    quick_cli: Cli, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(Path(b).name), replace(a, b)))
    out = tmp_path / "out.png"
    assert enhance(quick_cli, photo, out, "--save-guidance", tmp_path / "maps").code == 0
    assert len(order) == 3
    assert order[-1] == "out.png"


def test_resuming_a_forced_run_replaces_what_was_there_before_it(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert enhance(quick_cli, source, whole).code == 0
    assert enhance(quick_cli, source, out, "-s", 0.5).code == 0
    for path in out.rglob("*.png"):
        os.utime(path, (2000, 2000))  # after their sources, before the next run
    forced = _interrupted(
        monkeypatch, lambda: enhance(quick_cli, source, out, "--force"), 3, signal.SIGINT
    )
    assert forced.code == 130
    assert len(_visible(out)) == PICTURES
    result = enhance(quick_cli, source, out, "--resume")
    assert "3 done, 3 skipped" in result.err
    assert contents(out) == contents(whole)


def test_a_folder_that_replaces_itself_is_enhanced_once_however_often_it_is_interrupted(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    assert enhance(quick_cli, source, whole).code == 0
    for words in (("--force",), ("--resume",)):
        _interrupted(
            monkeypatch,
            lambda words=words: enhance(quick_cli, source, source, *words),
            2,
            signal.SIGINT,
        )
    assert enhance(quick_cli, source, source, "--resume").code == 0
    assert contents(source) == contents(whole)


def test_resuming_never_replaces_sources_of_itself(quick_cli: Cli, source: Path) -> None:
    before = contents(source)
    result = enhance(quick_cli, source, source, "--resume")
    fails(result, "6 of 6 pictures failed")
    assert "add --force" in result.err
    assert contents(source) == before


def test_resuming_skips_a_single_picture_that_is_there(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    assert enhance(quick_cli, photo, out, "--resume").code == 0
    before = out.stat()
    result = enhance(quick_cli, photo, out, "--resume")
    assert result.code == 0
    assert "out.png is there already: skipped." in result.err
    assert out.stat().st_ino == before.st_ino
    os.utime(photo, ns=(before.st_mtime_ns + 1,) * 2)
    assert "skipped" not in enhance(quick_cli, photo, out, "--resume").err
    assert out.stat().st_ino != before.st_ino


def test_resume_and_force_exclude_each_other(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    result = enhance(quick_cli, photo, tmp_path / "out.png", "--resume", "--force")
    assert result.code == 2
    assert "either --resume" in result.err


def test_a_full_disk_ends_the_run_with_one_sentence(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, sync, computed = count(), os.fsync, []
    compute = Work.enhance

    def full(handle: int) -> None:
        if next(files) >= 2:  # the record and a picture
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    def counted(self: Work, *arguments: Any) -> object:
        computed.append(1)
        return compute(self, *arguments)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        patch.setattr(os, "fsync", full)
        patch.setattr(Work, "enhance", counted)
        result = enhance(quick_cli, source, out)
    fails(result, "No space left on device", "1 done", "make room", "--resume")
    assert result.err.count("No space left") == 1
    assert len(computed) <= 1 + 1 + SPARE  # plus those in progress when it was noticed
    assert list(contents(out)) == _visible(out)
    assert len(_visible(out)) == 1
    assert "5 done, 1 skipped" in enhance(quick_cli, source, out, "--resume").err


def test_each_message_of_a_folder_names_its_picture(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    for name in ("mask.png", "map.png"):
        write_picture(tmp_path / name, np.full((9, 9), 255, np.uint8))
    (source / "2.png").write_text("no picture")
    fit = ("--mask", tmp_path / "mask.png", "-g", tmp_path / "map.png")
    result = enhance(quick_cli, source, tmp_path / "out", *fit)
    sentences = iter(line for line in result.err.splitlines() if line.startswith(str(source)))
    for path in sorted(source.rglob("*.png")):
        if path.name == "2.png":
            assert next(sentences).startswith(f"{path} is not a picture")
            continue
        for what in ("mask", "guidance map"):
            assert next(sentences) == (
                f"{path}: The {what} of 9x9 pixels was resized to the picture's 48x32."
            )
    assert list(sentences) == []


@pytest.mark.parametrize(("cores", "folder", "single"), [(1, 1, 1), (4, 4, 1), (64, 6, 1)])
def test_a_folder_is_computed_by_a_call_on_each_core_and_a_picture_by_one_on_all(
    cores: int,
    folder: int,
    single: int,
    quick_cli: Cli,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = []
    run = folders.enhance_all

    def watched_load(*words: Any, **options: Any) -> Enhancer:
        loaded.append(options["at_once"])
        return load(*words, **options)

    def watched_run(work: Work, jobs: list[Job], calls: int, *more: Any) -> Any:
        assert calls == loaded[-1]
        return run(work, jobs, calls, *more)

    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr("hyperguide.cli.choices.load", watched_load)
    monkeypatch.setattr(folders, "enhance_all", watched_run)
    assert enhance(quick_cli, source, tmp_path / "out").code == 0
    assert enhance(quick_cli, source / "0.png", tmp_path / "out.png").code == 0
    assert loaded == [folder, single]


def test_only_a_picture_that_is_cut_shows_a_bar_of_its_own(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    cut = enhance(quick_cli, photo, tmp_path / "a.png", "--tile", 32)
    assert cut.err.split().count("100%") == cut.err.count("%") == 1
    assert "%" not in enhance(quick_cli, photo, tmp_path / "b.png").err


def test_resuming_a_folder_that_has_grown_does_the_new_pictures(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert enhance(quick_cli, source, out).code == 0
    shutil.copy(source / "0.png", source / "new.png")
    result = enhance(quick_cli, source, out, "--resume")
    assert "of 7 pictures 1 done, 6 skipped, 0 failed." in result.err
    assert (out / "new.png").read_bytes() == (out / "0.png").read_bytes()


class _FakeWork:
    """Fake work on arrays of bytes; logs its events, and lets a test control their order.

    wait_for: (step, picture) -> (step, picture) that must have begun before it ends.
    bad: picture -> the error that writing it raises.
    """

    def __init__(
        self,
        wait_for: dict[tuple[str, int], tuple[str, int]] | None = None,
        bad: dict[int, HyperguideError] | None = None,
    ) -> None:
        self.wait_for = wait_for or {}
        self.bad = bad or {}
        self.events: list[tuple[str, int]] = []
        self.changed = threading.Condition()
        self.pictures: list[weakref.ref[np.ndarray]] = []
        self.most = {"read": 0, "compute": 0}  # the most in progress, or being computed, at once

    def began(self, event: tuple[str, int], seconds: float = PATIENCE) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: event in self.events, seconds)

    def numbers(self, step: str) -> list[int]:
        """The pictures for which a step has begun, in order."""
        return [number for name, number in self.events if name == step]

    def _step(self, *event: Any) -> None:
        with self.changed:
            self.events.append(event)
            for step, ended in (("read", "written"), ("compute", "computed")):
                now = len(self.numbers(step)) - len(self.numbers(ended))
                self.most[step] = max(self.most[step], now)
            self.changed.notify_all()
        if event in self.wait_for:
            assert self.began(self.wait_for[event]), (event, self.events)

    def read(self, job: Job) -> np.ndarray:
        number = int(job.source.stem)
        self._step("read", number)
        picture = np.full(100, number, np.uint8)
        self.pictures.append(weakref.ref(picture))
        return picture

    def enhance(self, picture: np.ndarray, report: Callable[[float], object]) -> np.ndarray:
        self._step("compute", int(picture[0]))
        self.compute(int(picture[0]), report)
        self._step("computed", int(picture[0]))
        return picture

    def compute(self, number: int, report: Callable[[float], object]) -> None:
        """A hook for tests, run during the computation."""

    def write(self, job: Job, picture: np.ndarray) -> list[str]:
        number = int(picture[0])
        self._step("write", number)
        if number in self.bad:
            try:
                picture.reshape(99)
            except ValueError as error:
                raise self.bad[number] from error
        self._step("written", number)
        return [job.source.stem]


def _jobs(number: int, folder: Path = Path()) -> Iterator[Job]:
    return (Job(folder / f"{i}.png", Path(f"out/{i}.png"), ()) for i in range(number))


class _Foreground:
    """The thread that starts pictures: counts how often it looks for new work."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self._looks = 0

    def jobs(self) -> Iterator[Job]:
        for job in self._jobs:
            self._looks = 0
            yield job

    def report(self, done: float) -> None:
        self._looks += 1

    def rests(self, work: _FakeWork) -> None:
        """Wait until it has looked several times without any picture starting a step."""
        events = -1
        while events != len(work.events):
            events, self._looks = len(work.events), 0
            _wait_until(lambda: self._looks > 2)


def test_reading_and_writing_overlap_with_computing() -> None:
    work = _FakeWork(
        {
            ("compute", 0): ("read", 1),
            ("compute", 1): ("write", 0),
            ("write", 0): ("compute", 2),
            # Reading in order makes sure that they are computed in order.
            ("read", 1): ("compute", 0),
            ("read", 2): ("compute", 1),
            ("read", 3): ("compute", 2),
        }
    )
    outcomes = list(enhance_all(work, _jobs(4), calls=1, room=10_000))
    assert [outcome.error for outcome in outcomes] == [None] * 4


def test_the_pipeline_computes_as_many_at_once_as_the_engine_takes_and_reads_few_ahead() -> None:
    class Watched(_FakeWork):
        def compute(self, number: int, report: Callable[[float], object]) -> None:
            together.wait(PATIENCE)

    together = threading.Barrier(3)
    work = Watched({("write", i): ("read", 3 + SPARE - 1) for i in range(12)})
    outcomes = list(enhance_all(work, _jobs(12), calls=3, room=10_000))
    assert [outcome.error for outcome in outcomes] == [None] * 12
    assert work.most == {"read": 3 + SPARE, "compute": 3}


def test_outcomes_of_the_pipeline_come_in_order() -> None:
    work = _FakeWork({("compute", 0): ("written", 5)}, bad={2: HyperguideError("2 is bad.")})
    outcomes = list(enhance_all(work, _jobs(6), calls=2, room=10_000))
    assert [outcome.notes for outcome in outcomes] == [["0"], ["1"], [], ["3"], ["4"], ["5"]]
    assert str(outcomes[2].error) == "2 is bad."


@pytest.mark.parametrize(("room", "most"), [(99, 1), (100, 2), (250, 3)])
def test_the_pipeline_reads_nothing_while_pictures_under_way_fill_the_memory(
    room: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Watched(_FakeWork):
        def compute(self, number: int, report: Callable[[float], object]) -> None:
            foreground.rests(work)

    monkeypatch.setattr(overlap, "_PAUSE", 0.001)
    for job in _jobs(9, tmp_path):
        job.source.write_bytes(bytes(100))
    foreground = _Foreground(_jobs(9, tmp_path))
    work = Watched({("write", i): ("read", most - 1) for i in range(9)})
    outcomes = list(
        enhance_all(work, foreground.jobs(), calls=8, room=room, report=foreground.report)
    )
    assert [outcome.error for outcome in outcomes] == [None] * 9
    assert work.most["read"] == most


def test_errors_of_the_pipeline_keep_no_pictures_in_memory() -> None:
    work = _FakeWork(bad={i: HyperguideError(f"{i} is bad.") for i in range(4)})
    outcomes = list(enhance_all(work, _jobs(4), calls=2, room=10_000))
    assert [str(outcome.error) for outcome in outcomes] == [f"{i} is bad." for i in range(4)]
    assert [picture() for picture in work.pictures] == [None] * 4


def test_a_stopped_pipeline_finishes_what_is_being_computed_and_computes_no_more() -> None:
    class Stopping(_FakeWork):
        def compute(self, number: int, report: Callable[[float], object]) -> None:
            together.wait(PATIENCE)
            for other in range(2 + SPARE):
                assert self.began(("read", other))
            foreground.rests(work)
            together.wait(PATIENCE)
            stop.set()

    together, stop = threading.Barrier(2), threading.Event()
    foreground, work = _Foreground(_jobs(9)), Stopping()
    outcomes = list(enhance_all(work, foreground.jobs(), 2, 10_000, stop.is_set, foreground.report))
    assert len(outcomes) == 2
    assert [int(outcome.notes[0]) for outcome in outcomes] == sorted(work.numbers("compute"))
    assert len(work.numbers("read")) == 2 + SPARE


def test_a_full_disk_stops_the_pipeline_while_a_picture_is_being_computed() -> None:
    class Slow(_FakeWork):
        def compute(self, number: int, report: Callable[[float], object]) -> None:
            if number == 0:
                _wait_until(lambda: max(told) >= 1)  # another one is finished

    told: list[float] = []
    work = Slow(bad={i: DiskFullError("full.") for i in range(1, 20)})
    outcomes = list(enhance_all(work, _jobs(20), calls=2, room=10_000, report=told.append))
    assert max(work.numbers("read")) < 2 + SPARE
    assert outcomes[0].error is None
    assert {str(outcome.error) for outcome in outcomes[1:]} == {"full."}
    assert 0 < len(outcomes) - 1 < 2 + SPARE


def test_progress_of_pictures_in_parts_adds_up() -> None:
    class InParts(_FakeWork):
        def compute(self, number: int, report: Callable[[float], object]) -> None:
            if number < 2:
                report(0.25)
                _wait_until(lambda: 0.5 in told)
            if number == 0:  # continue only when the progress of the others was reported
                _wait_until(lambda: 3.25 in told)

    told: list[float] = []
    outcomes = list(enhance_all(InParts(), _jobs(4), 2, 10_000, report=told.append))
    assert [outcome.error for outcome in outcomes] == [None] * 4
    assert told[-1] == 4
    assert told == sorted(told)
