"""How a run is shared among the machines of a Ray cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperguide.batch.jobs import Job
from hyperguide.cluster.shared_folders import SharedFolders
from hyperguide.cluster.sizing import Sizing, size_crew
from hyperguide.cluster.tasks import MOST_TOGETHER, Task, chunks
from hyperguide.engines import parse_device
from hyperguide.errors import FolderLostError, HyperguideError
from hyperguide.storage.claim import NAME, claim

CPU, AUTO, CUDA = (parse_device(name) for name in ("cpu", "auto", "cuda"))


def _tasks(count: int) -> list[Task]:
    return [Task(i, Job(Path(f"{i}.png"), Path(f"o/{i}.png"), ()), None, 0) for i in range(count)]


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("count", [1, 5, 60, 1000])
def test_chunks_hold_every_picture_once_and_become_smaller(count: int, workers: int) -> None:
    found = list(chunks(_tasks(count), workers))
    assert [task for chunk in found for task in chunk] == _tasks(count)
    sizes = [len(chunk) for chunk in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert sizes[0] <= MOST_TOGETHER
    assert [len(chunk) for chunk in chunks(_tasks(count), workers, 1)] == [1] * count


@pytest.mark.parametrize(
    ("nodes", "wanted", "expected"),
    [
        ([{"CPU": 2}], None, Sizing(1, 2, 0, 2, 2)),
        ([{"CPU": 2}], 2, Sizing(2, 1, 0, 1, 2)),
        ([{"CPU": 16}], None, Sizing(4, 4, 0, 4, 16)),
        ([{"CPU": 16}, {"CPU": 8}, {"CPU": 0}], None, Sizing(6, 4, 0, 4, 16)),
        ([{"CPU": 8}, {"CPU": 8}], 3, Sizing(3, 4, 0, 4, 8)),
        ([{"CPU": 4}], 9, Sizing(4, 1, 0, 1, 4)),
    ],
)
def test_workers_share_the_cores_of_each_machine(
    nodes: list[dict[str, float]], wanted: int | None, expected: Sizing
) -> None:
    assert size_crew(nodes, CPU, wanted, 1000) == expected


def test_there_are_no_more_workers_than_pictures() -> None:
    assert size_crew([{"CPU": 64}], CPU, None, 5).workers == 2
    assert size_crew([{"CPU": 64, "GPU": 8}], CUDA, None, 5).workers == 5


@pytest.mark.parametrize("device", [CUDA, AUTO])
def test_each_gpu_has_a_worker(device: object) -> None:
    nodes = [{"CPU": 32, "GPU": 4}, {"CPU": 32, "GPU": 1}, {"CPU": 8}]
    assert size_crew(nodes, device, None, 100) == Sizing(5, 1, 1, 2, 8)  # type: ignore[arg-type]
    assert size_crew(nodes, device, 2, 100).workers == 2  # type: ignore[arg-type]


def test_a_cluster_without_what_the_device_needs_is_refused() -> None:
    with pytest.raises(HyperguideError, match="has a GPU for --device cuda"):
        size_crew([{"CPU": 8}], CUDA, None, 9)
    with pytest.raises(HyperguideError, match="write --device cuda instead of cuda:1"):
        size_crew([{"CPU": 8, "GPU": 2}], parse_device("cuda:1"), None, 9)
    with pytest.raises(HyperguideError, match="no machine with CPUs"):
        size_crew([{"memory": 1.0}], CPU, None, 9)


def test_a_machine_that_does_not_share_the_output_folder_writes_nothing_there(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "out"
    with claim(folder) as held:
        place = SharedFolders.of((held,))
        files = place.open()
        files.prepare(folder / "sub" / "a.png")
        (folder / NAME).rename(tmp_path / "away")
        (folder / NAME).touch()  # another folder of the same name
        with pytest.raises(FolderLostError, match="does not see the output folder"):
            place.open()
        with pytest.raises(FolderLostError, match="removed or replaced"):
            files.prepare(folder / "sub" / "a.png")
