"""Folders: reading, computing and writing overlap; a run that ends early goes on with --resume."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Cli, Outcome, enhance, fails
from hyperguide.cli.jobs import Job
from hyperguide.cli.overlap import WRITERS, enhance_all
from hyperguide.cli.picture import Work
from hyperguide.cli.resume import NAME
from hyperguide.errors import HyperguideError
from hyperguide.pictures import read_picture, write_picture
from hyperguide.runner import Runner

PICTURES = 6
PATIENCE = 10  # seconds until something that must happen counts as missing


@pytest.fixture
def source(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """A folder of six small pictures, older than whatever is made of them."""
    folder = tmp_path / "in"
    for i in range(PICTURES):
        path = folder / ("sub" if i % 2 else "") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, astronaut[32 * i : 32 * i + 32, :48])
        os.utime(path, (1000, 1000))
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again, even with the same bytes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*.png")
    }


def _interrupted(
    patch: pytest.MonkeyPatch, run: Callable[[], Outcome], after: int, *signals: int
) -> Outcome:
    """Run while signals come in the middle of computing a picture, and of writing those before."""
    came = threading.Event()
    calls = count(1)
    compute, write = Work.enhance, Work.write

    def enhance_and_signal(self: Work, *arguments: Any) -> object:
        if next(calls) == after:
            came.set()
            for number in signals:
                os.kill(os.getpid(), number)
        return compute(self, *arguments)

    def write_then(self: Work, job: Job, enhanced: Any) -> list[str]:
        if after > 1 and not list(job.output.parent.glob("*.png")):
            assert came.wait(PATIENCE)
        return write(self, job, enhanced)

    with patch.context() as within:
        within.setattr(Work, "enhance", enhance_and_signal)
        within.setattr(Work, "write", write_then)
        return run()


def _visible(folder: Path) -> list[str]:
    return sorted(name for name in _contents(folder) if not Path(name).name.startswith("."))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_folder_resumed_equals_one_that_was_not(
    number: int, quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert enhance(quick_cli, source, whole).code == 0
    stopped = _interrupted(monkeypatch, lambda: enhance(quick_cli, source, out), 3, number)
    assert stopped.code == 130
    assert "of 6 pictures 3 done, 0 skipped, 0 failed; go on with --resume." in stopped.err
    left = _contents(out)
    assert sorted(left) == [NAME, "0.png", "2.png", "4.png"]  # no temporary either
    assert all(left[name] == content for name, content in _contents(whole).items() if name in left)
    before = _stamps(out)
    resumed = enhance(quick_cli, source, out, "--resume")
    assert resumed.code == 0, resumed.err
    assert "of 6 pictures 3 done, 3 skipped, 0 failed." in resumed.err
    assert _contents(out) == _contents(whole)
    after = _stamps(out)
    assert {name: after[name] for name in before} == before


def test_a_second_ctrl_c_drops_the_picture_under_way(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    twice = (signal.SIGINT, signal.SIGINT)
    stopped = _interrupted(monkeypatch, lambda: enhance(quick_cli, source, out), 3, *twice)
    assert stopped.code == 130
    assert sorted(_contents(out)) == [NAME, "0.png", "2.png"]
    for name in ("0.png", "2.png"):
        assert read_picture(out / name).shape == (32, 48, 3)


def test_ctrl_c_drops_a_picture_that_is_enhanced_in_parts(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = []
    run = Runner.run

    def run_and_signal(self: Runner, *arguments: Any) -> object:
        parts.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        return run(self, *arguments)

    monkeypatch.setattr(Runner, "run", run_and_signal)
    stopped = enhance(quick_cli, source, tmp_path / "out", "--tile", 16)
    assert stopped.code == 130
    assert len(parts) == 1
    assert list(_contents(tmp_path / "out")) == [NAME]


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
    expected = _contents(whole)
    assert 1 <= len(_visible(out)) < PICTURES
    assert all((out / name).read_bytes() == expected[name] for name in _visible(out))
    assert enhance(cli, source, out, "--resume").code == 0
    assert {name: (out / name).read_bytes() for name in _visible(out)} == expected


def test_resuming_with_other_settings_is_refused(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    _interrupted(monkeypatch, lambda: enhance(quick_cli, source, out), 2, signal.SIGINT)
    before = _contents(out)
    fails(
        enhance(quick_cli, source, out, "--resume", "-s", 0.5, "-g", 0.1),
        "had another guidance and strength",
    )
    words = ("enhance", "-i", source, "-o", out, "-t", "derain", "--resume")
    fails(quick_cli(*words), "had another model")
    assert _contents(out) == before
    assert enhance(quick_cli, source, out, "--resume").code == 0


def test_resuming_makes_again_what_is_older_than_its_source(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert enhance(quick_cli, source, out).code == 0
    old, before = (out / "2.png").read_bytes(), _stamps(out)
    write_picture(source / "2.png", np.full((32, 48, 3), 99, np.uint8))
    later = max(time for _, time in before.values()) + 1
    os.utime(source / "2.png", ns=(later, later))
    result = enhance(quick_cli, source, out, "--resume")
    assert "1 done, 5 skipped" in result.err
    assert (out / "2.png").read_bytes() != old
    changed = {name for name, stamp in _stamps(out).items() if stamp != before[name]}
    assert changed == {"2.png"}


def test_resuming_makes_again_a_picture_without_its_maps(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out, maps = tmp_path / "out", tmp_path / "maps"
    words = (source, out, "--save-guidance", maps)
    assert enhance(quick_cli, *words).code == 0
    expected = _contents(tmp_path)
    (maps / "0.png.guidance-color.png").unlink()
    (maps / "sub" / "3.png.guidance.png").unlink()
    result = enhance(quick_cli, *words, "--resume")
    assert "2 done, 4 skipped" in result.err
    assert _contents(tmp_path) == expected


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
        os.utime(path, (2000, 2000))  # behind their sources, before the next run
    forced = _interrupted(
        monkeypatch, lambda: enhance(quick_cli, source, out, "--force"), 3, signal.SIGINT
    )
    assert forced.code == 130
    assert len(_visible(out)) == PICTURES
    result = enhance(quick_cli, source, out, "--resume")
    assert "3 done, 3 skipped" in result.err
    assert _contents(out) == _contents(whole)


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
    assert _contents(source) == _contents(whole)


def test_resuming_never_replaces_sources_of_itself(quick_cli: Cli, source: Path) -> None:
    before = _contents(source)
    result = enhance(quick_cli, source, source, "--resume")
    fails(result, "6 of 6 pictures failed")
    assert "add --force" in result.err
    assert _contents(source) == before


def test_a_single_picture_that_is_there_is_skipped(
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
        patch.setattr(os, "fsync", full)
        patch.setattr(Work, "enhance", counted)
        result = enhance(quick_cli, source, out)
    fails(result, "No space left on device", "1 done", "make room", "--resume")
    assert result.err.count("No space left") == 1
    assert len(computed) <= 2 + WRITERS  # those under way when it was noticed
    assert sorted(_contents(out)) == [NAME, *_visible(out)]
    assert len(_visible(out)) == 1
    assert "5 done, 1 skipped" in enhance(quick_cli, source, out, "--resume").err


def test_each_sentence_names_its_picture(quick_cli: Cli, source: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "mask.png", np.full((9, 9), 255, np.uint8))
    (source / "2.png").write_text("no picture")
    result = enhance(quick_cli, source, tmp_path / "out", "--mask", tmp_path / "mask.png")
    sentences = [line for line in result.err.splitlines() if line.startswith(str(source))]
    names = [str(path) for path in sorted(source.rglob("*.png"))]
    assert len(sentences) == PICTURES
    assert all(line.startswith(name) for line, name in zip(sentences, names, strict=True))


def test_only_a_picture_that_is_cut_shows_a_bar_of_its_own(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    cut = enhance(quick_cli, photo, tmp_path / "a.png", "--tile", 32)
    assert cut.err.split().count("100%") == cut.err.count("%") == 1
    assert "%" not in enhance(quick_cli, photo, tmp_path / "b.png").err


def test_a_resumed_folder_may_have_grown(quick_cli: Cli, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert enhance(quick_cli, source, out).code == 0
    shutil.copy(source / "0.png", source / "new.png")
    result = enhance(quick_cli, source, out, "--resume")
    assert "of 7 pictures 1 done, 6 skipped, 0 failed." in result.err
    assert (out / "new.png").read_bytes() == (out / "0.png").read_bytes()


class _FakeWork:
    """Pictures that are numbers of bytes; tells what is going on, and lets a test wait for it.

    wait_for: step and picture -> step and picture that must have begun before it ends.
    """

    def __init__(
        self,
        wait_for: dict[tuple[str, int], tuple[str, int]] | None = None,
        bad: tuple[int, ...] = (),
    ) -> None:
        self.wait_for = wait_for or {}
        self.bad = bad
        self.events: list[tuple[str, int]] = []
        self.changed = threading.Condition()

    def began(self, event: tuple[str, int], seconds: float = PATIENCE) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: event in self.events, seconds)

    def _step(self, *event: Any) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()
        if event in self.wait_for:
            assert self.began(self.wait_for[event]), (event, self.events)

    def read(self, job: Job) -> np.ndarray:
        number = int(job.source.stem)
        self._step("read", number)
        if number in self.bad:
            raise HyperguideError(f"{number} is bad")
        return np.full(100, number, np.uint8)

    def enhance(self, picture: np.ndarray, report: Callable[[float], object]) -> np.ndarray:
        self._step("compute", int(picture[0]))
        return picture

    def write(self, job: Job, picture: np.ndarray) -> list[str]:
        self._step("write", int(picture[0]))
        return [job.source.stem]


def _jobs(number: int) -> Iterator[Job]:
    return (Job(Path(f"{i}.png"), Path(f"out/{i}.png"), ()) for i in range(number))


def test_reading_and_writing_overlap_with_computing() -> None:
    work = _FakeWork(
        {
            ("compute", 0): ("read", 1),
            ("compute", 1): ("write", 0),
            ("write", 0): ("compute", 2),
        }
    )
    outcomes = list(enhance_all(work, _jobs(4), room=10_000))
    assert [outcome.error for outcome in outcomes] == [None] * 4


def test_outcomes_come_in_order_whatever_ends_first() -> None:
    work = _FakeWork({("write", 0): ("write", 1)}, bad=(2,))
    outcomes = list(enhance_all(work, _jobs(5), room=10_000))
    assert [outcome.notes for outcome in outcomes] == [["0"], ["1"], [], ["3"], ["4"]]
    assert str(outcomes[2].error) == "2 is bad"


def test_at_most_one_picture_is_read_ahead() -> None:
    class Watched(_FakeWork):
        def enhance(self, picture: np.ndarray, report: Callable[[float], object]) -> np.ndarray:
            number = int(picture[0])
            assert number == 5 or self.began(("read", number + 1))
            assert not self.began(("read", number + 2), seconds=0.05)
            return super().enhance(picture, report)

    outcomes = list(enhance_all(Watched(), _jobs(6), room=10_000))
    assert [outcome.error for outcome in outcomes] == [None] * 6


def test_results_that_wait_to_be_written_are_few() -> None:
    class Watched(_FakeWork):
        def write(self, job: Job, picture: np.ndarray) -> list[str]:
            assert not self.began(("compute", int(picture[0]) + WRITERS + 1), seconds=0.05)
            return super().write(job, picture)

    outcomes = list(enhance_all(Watched(), _jobs(8), room=10_000))
    assert [outcome.error for outcome in outcomes] == [None] * 8


def test_large_pictures_do_not_pile_up() -> None:
    class Watched(_FakeWork):
        def enhance(self, picture: np.ndarray, report: Callable[[float], object]) -> np.ndarray:
            assert not self.began(("read", int(picture[0]) + 1), seconds=0.05)
            return super().enhance(picture, report)

        def write(self, job: Job, picture: np.ndarray) -> list[str]:
            assert not self.began(("read", int(picture[0]) + 1), seconds=0.05)
            return super().write(job, picture)

    outcomes = list(enhance_all(Watched(), _jobs(4), room=99))
    assert [outcome.error for outcome in outcomes] == [None] * 4


def test_a_run_that_is_stopped_writes_what_is_computed_and_begins_no_more() -> None:
    work = _FakeWork()
    outcomes = enhance_all(work, _jobs(9), 10_000, lambda: ("compute", 2) in work.events)
    assert [outcome.notes for outcome in outcomes] == [["0"], ["1"], ["2"]]
    assert ("compute", 3) not in work.events
