"""Batches prepared by background processes, and how those processes end."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from hyperguide.errors import HyperguideError
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.loader import Loader
from made_data import damage, damaged_photos, equal, fill, numbers, plan, small_preset

pytestmark = pytest.mark.alone

PATIENCE = 300  # seconds after which something that must end counts as hanging


@pytest.mark.parametrize("cache", [2 << 30, 10_000])
def test_batches_are_the_same_with_and_without_workers(tmp_path: Path, cache: int) -> None:
    folder = damaged_photos(tmp_path)
    drawn = []
    for workers in (0, 1, 2):
        data = open_data(small_preset(), [folder], cache_bytes=cache)
        with Loader(data, plan(), workers, seed=5) as loader:
            drawn.append(list(islice(loader, 40)))
        assert len(data.photos.skipped) == 2
    for other in drawn[1:]:
        assert all(map(equal, drawn[0], other))
        assert [b.skipped for b in drawn[0]] == [b.skipped for b in other]
    assert not multiprocessing.active_children()


def test_batches_end_where_their_plan_ends(photos: Path) -> None:
    for workers in (0, 1):
        data = open_data(small_preset(), [photos])
        batches = list(Loader(data, list(islice(plan(), 5)), workers, seed=0))
        assert len(batches) == 5
        for batch, draw in zip(batches, plan(), strict=False):
            assert equal(batch, data.draw(*draw, seed=0))
    assert not multiprocessing.active_children()


def test_an_error_in_a_worker_is_the_error_of_the_foreground(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", numbers(8))
    for path in folder.iterdir():
        damage(path)
    sentences = []
    for workers in (0, 2):
        loader = Loader(open_data(small_preset(), [folder]), plan(), workers, seed=0)
        with pytest.raises(HyperguideError, match="2 files of 8 pictures cannot be used") as error:
            next(loader)
        sentences.append(str(error.value))
        assert next(loader, None) is None
    assert sentences[0] == sentences[1]
    assert not multiprocessing.active_children()


def test_ctrl_c_leaves_the_workers_to_their_parent(photos: Path) -> None:
    data = open_data(small_preset(), [photos])
    with Loader(data, plan(), 2, seed=0) as loader:
        next(loader)
        for worker in multiprocessing.active_children():
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGINT)
        assert len(list(islice(loader, 20))) == 20
        assert len(multiprocessing.active_children()) == 2


def test_garbage_collection_ends_the_workers(photos: Path) -> None:
    loader = Loader(open_data(small_preset(), [photos]), plan(), 2, seed=0)
    next(loader)
    assert len(multiprocessing.active_children()) == 2
    del loader
    gc.collect()
    assert not multiprocessing.active_children()


_WORKING = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from made_data import damaged_photos, plan, small_preset
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.loader import Loader
import multiprocessing

with Loader(open_data(small_preset(), [Path({photos!r})]), plan(), 2, seed=0) as loader:
    next(loader)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    while True:
        next(loader)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(photos: Path, number: signal.Signals) -> None:
    code = _WORKING.format(tests=str(Path(__file__).parent), photos=str(photos))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    workers = [int(word) for word in process.stdout.readline().split()]
    assert len(workers) == 2
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.kill()
    deadline = time.monotonic() + PATIENCE
    while any(map(_runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_runs, workers))
    _, err = process.communicate(timeout=PATIENCE)
    if number == signal.SIGINT:
        assert err.count("KeyboardInterrupt") == 1, err  # the parent's, not the workers'


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def test_a_killed_worker_is_told_in_a_sentence(photos: Path) -> None:
    data = open_data(small_preset(), [photos])
    told = r"process that prepares batches was ended \(SIGKILL\).*go on with --resume"
    with pytest.raises(HyperguideError, match=told):
        _draw_after_a_kill(loader := Loader(data, plan(), 2, seed=0))
    assert not any(process.is_alive() for process in loader.processes)


def _draw_after_a_kill(loader: Loader) -> None:
    with loader:
        next(loader)
        loader.processes[0].kill()
        for _ in loader:
            pass


def test_sigterm_leaves_the_workers_to_their_parent(photos: Path) -> None:
    with Loader(open_data(small_preset(), [photos]), plan(), 2, seed=0) as loader:
        next(loader)
        for process in loader.processes:
            process.terminate()
        for _ in range(12):  # more than were drawn ahead
            next(loader)
    assert not any(process.is_alive() for process in loader.processes)
