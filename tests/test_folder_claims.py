"""A folder belongs to one run, stays the same folder, and nothing outside is touched."""

from __future__ import annotations

import errno
import fcntl
import os
import queue
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Cli, enhance, fails, nothing_left
from hyperguide.batch.jobs import Job
from hyperguide.batch.resume import NAME
from hyperguide.batch.work import Picture, Work
from hyperguide.errors import DiskFullError, HyperguideError
from hyperguide.picture_files import read_picture, write_picture
from hyperguide.storage import claim as claims
from hyperguide.storage.atomic import remove_leftovers, write_atomically
from hyperguide.storage.claim import claim
from hyperguide.storage.file_lock import passing_lock
from hyperguide.storage.paths import extended_name, find_files

PICTURES = 5
PATIENCE = 60  # seconds after which a missing event is an error
LOCK = claims.NAME


@pytest.fixture
def source(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """A folder of small pictures."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for i in range(PICTURES):
        write_picture(
            folder / ("sub" if i % 2 else "") / f"{i}.png", astronaut[:16, 16 * i :][:, :16]
        )
    return folder


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Job, Job], object]], None]:
    """On one core, act after the first picture was written and before the second is computed."""

    def plan(act: Callable[[Job, Job], object]) -> None:
        written: queue.Queue[Job] = queue.Queue()
        compute, write, calls = Work.enhance, Work.write, iter(range(1000))

        def enhance_and_act(self: Work, picture: Picture, *words: Any) -> object:
            if next(calls) == 1:
                act(written.get(timeout=PATIENCE), picture.job)
            return compute(self, picture, *words)

        def write_and_tell(self: Work, job: Job, *words: Any) -> list[str]:
            notes = write(self, job, *words)
            written.put(job)
            return notes

        monkeypatch.setattr(os, "cpu_count", lambda: 1)
        monkeypatch.setattr(Work, "enhance", enhance_and_act)
        monkeypatch.setattr(Work, "write", write_and_tell)

    return plan


def _pictures(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("[!.]*.png"))


def test_a_second_run_into_a_folder_is_refused(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out, maps = tmp_path / "out", tmp_path / "maps"
    for held in (out, maps):
        with claim(held):
            result = enhance(quick_cli, source, out, "--save-guidance", maps)
            fails(result, f"Another run is writing into the folder {held}")
        assert not _pictures(out)
        assert not _pictures(maps)
    assert enhance(quick_cli, source, out, "--save-guidance", maps).code == 0
    assert len(_pictures(out)) == PICTURES
    nothing_left(maps, "sub", *(path.name for path in maps.glob("*.png")))


def test_a_lock_that_a_killed_run_left_keeps_nobody_out(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / LOCK).touch()
    assert enhance(quick_cli, source, out, "--save-guidance", out).code == 0
    assert not (out / LOCK).exists()


def test_a_lock_is_free_again_however_its_holder_ends(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ends"), claim(tmp_path):
        raise RuntimeError("ends")
    with claim(tmp_path), pytest.raises(HyperguideError, match="Another run"), claim(tmp_path):
        pass
    nothing_left(tmp_path)


def test_a_lock_whose_file_was_removed_under_way_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    lock, first = fcntl.flock, [True]

    def remove_first(handle: int, how: int) -> None:  # as a run that ends does
        if first:
            first.clear()
            path.unlink()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with passing_lock(path) as is_there:
        assert is_there()
        with pytest.raises(BlockingIOError), passing_lock(path):
            pass


def test_file_systems_without_locks_are_used_all_the_same(
    quick_cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    left = tmp_path / "out" / ".hyperguide-abcd_123.png"
    left.parent.mkdir()
    left.touch()
    monkeypatch.setattr(fcntl, "flock", lack)
    assert enhance(quick_cli, source, tmp_path / "out").code == 0
    assert left.exists()  # might belong to a running process
    assert len(_pictures(tmp_path / "out")) == PICTURES


def test_a_folder_that_is_removed_ends_the_run(
    quick_cli: Cli, source: Path, tmp_path: Path, meanwhile: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    meanwhile(lambda first, second: shutil.rmtree(out))
    result = enhance(quick_cli, source, out)
    fails(result, f"The output folder {out} was removed or replaced", "0 done", "1 lost again")
    assert not out.exists()


def test_a_folder_that_is_replaced_ends_the_run(
    quick_cli: Cli, source: Path, tmp_path: Path, meanwhile: Callable[..., None]
) -> None:
    out = tmp_path / "out"

    def replace(first: Job, second: Job) -> None:
        out.rename(tmp_path / "old")
        out.mkdir()

    meanwhile(replace)
    fails(enhance(quick_cli, source, out), "was removed or replaced")
    nothing_left(out)
    assert len(_pictures(tmp_path / "old")) == 1


def test_pictures_that_are_gone_at_the_end_are_not_called_done(
    quick_cli: Cli, source: Path, tmp_path: Path, meanwhile: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    meanwhile(lambda first, second: first.output.unlink())
    result = enhance(quick_cli, source, out)
    fails(result, "1 of 5 pictures were written, but are not in", str(out))
    assert "4 done, 0 skipped, 0 failed, 1 lost again" in result.err
    again = enhance(quick_cli, source, out, "--resume")
    assert (again.code, len(_pictures(out))) == (0, PICTURES)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_any_more_fails_each_picture(
    number: int,
    quick_cli: Cli,
    source: Path,
    tmp_path: Path,
    meanwhile: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*words: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    meanwhile(lambda first, second: monkeypatch.setattr(tempfile, "mkstemp", refuse))
    result = enhance(quick_cli, source, tmp_path / "out")
    fails(result, "4 of 5 pictures failed")
    assert result.err.count("Cannot write in the folder") == 4


def test_a_record_that_finds_no_room_ends_the_run(
    quick_cli: Cli,
    source: Path,
    tmp_path: Path,
    meanwhile: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out"
    with monkeypatch.context() as within:
        meanwhile(lambda first, second: within.setattr(os, "write", refuse))
        fails(enhance(quick_cli, source, out), "Writing", NAME, "make room")
    assert enhance(quick_cli, source, out, "--resume").code == 0
    assert len(_pictures(out)) == PICTURES


def test_a_file_that_appears_while_its_picture_is_computed_is_kept(
    quick_cli: Cli, source: Path, tmp_path: Path, meanwhile: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    made: list[Path] = []

    def make(first: Job, second: Job) -> None:
        second.output.parent.mkdir(exist_ok=True)
        second.output.write_bytes(b"mine")
        made.append(second.output)

    meanwhile(make)
    fails(enhance(quick_cli, source, out), "1 of 5 pictures failed")
    assert made[0].read_bytes() == b"mine"


def _elsewhere(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "elsewhere" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"precious")
    return path


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("name", [NAME, LOCK, ".hyperguide-unfinished.json"])
def test_links_in_the_place_of_hidden_files_are_not_followed(
    name: str, exists: bool, quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    target = _elsewhere(tmp_path, "file")
    if not exists:
        target.unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(target)
    for words in ((), ("--force",), ("--resume",)):
        result = enhance(quick_cli, source, tmp_path / "out", *words)
        assert result.code in (0, 1)
        assert "Internal error" not in result.err
        assert "Traceback" not in result.err
        assert target.exists() == exists
    if exists:
        assert target.read_bytes() == b"precious"


def test_a_record_that_is_a_link_is_not_resumed(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert enhance(quick_cli, source, out).code == 0
    (out / NAME).rename(tmp_path / "record")
    (out / NAME).symlink_to(tmp_path / "record")
    fails(enhance(quick_cli, source, out, "--resume"), "it is a link")


def test_links_among_the_outputs_of_a_folder_are_replaced_not_followed(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out, target = tmp_path / "out", _elsewhere(tmp_path, "a.png")
    out.mkdir()
    (out / "0.png").symlink_to(target)
    (out / "2.png").symlink_to(tmp_path / "elsewhere" / "missing.png")
    (out / "4.png").symlink_to("4.png")
    result = enhance(quick_cli, source, out)
    fails(result, "3 of 5 pictures failed")
    assert result.err.count("exists: choose another name or add --force") == 3
    assert enhance(quick_cli, source, out, "--force").code == 0
    assert all(not path.is_symlink() for path in out.rglob("*"))
    assert len(_pictures(out)) == PICTURES
    assert target.read_bytes() == b"precious"
    nothing_left(tmp_path / "elsewhere", "a.png")


def test_a_link_in_the_place_of_a_single_picture_or_map_is_replaced_unless_it_was_named(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    out, target = tmp_path / "out", _elsewhere(tmp_path, "b.png")
    out.mkdir()
    names = [f"photo.png{end}" for end in ("", ".guidance.png", ".guidance-color.png")]
    for name in names:
        (out / name).symlink_to(target)
    words = ("enhance", "-i", photo, "-t", "denoise", "--force", "--save-guidance", out, "-o")
    assert quick_cli(*words, out).code == 0
    assert target.read_bytes() == b"precious"
    assert not any((out / name).is_symlink() for name in names)
    (out / "link.png").symlink_to(target)
    assert quick_cli(*words, out / "link.png").code == 0
    assert (out / "link.png").is_symlink()
    assert read_picture(target).shape == (64, 96, 3)


def test_a_folder_of_links_to_the_sources_never_replaces_them(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    before = (source / "0.png").read_bytes()
    (out / "0.png").symlink_to(source / "0.png")
    (out / "2.png").symlink_to(source / "4.png")
    fails(enhance(quick_cli, source, out, "--force"), "would replace a picture", "4.png")
    (out / "2.png").unlink()
    assert enhance(quick_cli, source, out, "--force").code == 0
    assert (source / "0.png").read_bytes() == before
    assert not (out / "0.png").is_symlink()


def test_links_to_folders_do_not_lead_results_elsewhere(
    quick_cli: Cli, source: Path, tmp_path: Path, meanwhile: Callable[..., None]
) -> None:
    out, elsewhere = tmp_path / "out", _elsewhere(tmp_path, "1.png").parent
    out.mkdir()
    (out / "sub").symlink_to(elsewhere)
    for words in ((), ("--force",), ("--resume",)):
        fails(enhance(quick_cli, source, out, *words), "would be written outside of", "sub")
    assert (elsewhere / "1.png").read_bytes() == b"precious"
    assert not _pictures(out)
    (out / "sub").unlink()

    def lead_away(first: Job, second: Job) -> None:  # after the plan was checked
        shutil.rmtree(out / "sub", ignore_errors=True)
        (out / "sub").symlink_to(elsewhere)

    meanwhile(lead_away)
    result = enhance(quick_cli, source, out, "--force")
    assert result.code == 1
    assert "would be written outside of" in result.err
    assert (elsewhere / "1.png").read_bytes() == b"precious"
    nothing_left(elsewhere, "1.png")


def test_the_folder_itself_may_be_a_link(quick_cli: Cli, source: Path, tmp_path: Path) -> None:
    (tmp_path / "disk" / "maps").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    words = ("--save-guidance", tmp_path / "out" / "maps")
    assert enhance(quick_cli, source, tmp_path / "out", *words).code == 0
    assert len(_pictures(tmp_path / "disk")) == 3 * PICTURES


def test_no_output_replaces_the_source_of_another_picture(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    other = tmp_path / "out" / "sub" / "1.png"
    other.parent.mkdir(parents=True)
    other.write_bytes((source / "0.png").read_bytes())
    words = ("enhance", "-i", source, other, "-o", tmp_path / "out", "-t", "denoise", "--force")
    fails(quick_cli(*words), "would replace a picture that is to be read", str(other))


def test_temporaries_of_a_killed_run_are_removed_and_those_of_a_living_one_stay(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    dead = [out / ".hyperguide-abcd_123.png", out / "sub" / ".hyperguide-00000000.jpeg"]
    alive = out / ".hyperguide-living00.png"
    others = [out / ".hyperguide-abc.png", out / ".hyperguide-abcdefgh-mine.png"]
    for path in (*dead, alive, *others):
        path.touch()
    folder, link = out / ".hyperguide-12345678", out / ".hyperguide-link1234.png"
    folder.mkdir()
    link.symlink_to(_elsewhere(tmp_path, "a.png"))
    with alive.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert enhance(quick_cli, source, out, "--resume").code == 0
        assert [path.exists() for path in dead] == [False, False]
        assert all(path.exists() for path in (alive, *others, folder, link))
    assert enhance(quick_cli, source, out, "--resume").code == 0
    assert not alive.exists()


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    def write(temporary: Path) -> None:
        remove_leftovers(tmp_path)
        temporary.write_bytes(b"new")

    write_atomically(tmp_path / "a.png", write)
    assert (tmp_path / "a.png").read_bytes() == b"new"
    nothing_left(tmp_path, "a.png")


def test_a_temporary_that_was_taken_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, tries = tempfile.mkstemp, []

    def make(**options: Any) -> tuple[int, str]:
        handle, name = made(**options)
        tries.append(name)
        if len(tries) == 1:
            remove_leftovers(tmp_path)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", make)
    write_atomically(tmp_path / "a.png", lambda temporary: temporary.write_bytes(b"new"))
    assert len(tries) == 2
    assert (tmp_path / "a.png").read_bytes() == b"new"
    nothing_left(tmp_path, "a.png")


def test_outputs_whose_names_are_one_on_the_file_system_are_refused(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    names = ("A/x.png", "a/x.png", "B.png", "caf\u00e9.png", "cafe\u0301.png")
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(source / name, astronaut[:8, :8])
    assert enhance(quick_cli, source, out).code == 0  # here the names are different
    assert len(_pictures(out)) == len(names)
    nothing_left(out, "A", "a", "B.png", "caf\u00e9.png", "cafe\u0301.png")

    def folds(path: Path) -> bool:
        return any(path.name.lower() == other.name.lower() for other in path.parent.iterdir())

    monkeypatch.setattr(claims, "exists", folds)
    fails(enhance(quick_cli, source, tmp_path / "new"), "A/x.png", "the same file")
    assert not _pictures(tmp_path / "new")


def test_links_that_lead_in_a_circle_are_reported(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    for words in (
        ("-i", circle, "-o", tmp_path / "out.png"),
        ("-i", circle, "-o", f"{tmp_path}/out/"),
        ("-i", source, "-o", circle),
        ("-i", source, "-o", circle / "out"),
        ("-i", source, "-o", tmp_path / "out", "--save-guidance", circle),
        ("-i", source, "-o", tmp_path / "out", "--save-guidance", circle / "maps"),
    ):
        fails(quick_cli("enhance", "-t", "denoise", *words), "circle")


def test_folders_may_nest_deeper_than_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1100):
        os.mkdir("d")
        os.chdir("d")
    Path("a.png").touch()
    os.chdir(tmp_path)
    (found,) = find_files(Path("d"), {".png"})
    assert len(found.parts) == 1101
    os.chdir(found.parent)
    os.unlink("a.png")
    for _ in range(1100):  # pytest cannot remove so deep a folder
        os.chdir("..")
        os.rmdir("d")


@pytest.mark.parametrize("words", [("-i", ""), ("",), ("--save-guidance", ""), ("-o", "")])
def test_empty_names_are_wrong_usage(
    words: tuple[str, ...], quick_cli: Cli, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo.parent)
    result = quick_cli("enhance", "-i", photo, "-o", "a.png", "-t", "denoise", *words)
    assert (result.code, Path("a.png").exists()) == (2, False)
    assert "empty" in result.err


def test_names_as_long_as_they_can_be_have_maps(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    source, maps = tmp_path / "in", tmp_path / "maps"
    source.mkdir()
    names = ["\u00e9" * 125 + f"{i}.png" for i in range(2)]
    for name in names:
        assert len(os.fsencode(name)) == 255
        write_picture(source / name, astronaut[:8, :8])
    result = enhance(quick_cli, source, tmp_path / "out", "--save-guidance", maps)
    assert result.code == 0, result.err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == sorted(names)
    assert len(list(maps.glob("*.guidance.png"))) == len(list(maps.glob("*-color.png"))) == 2


def test_endings_of_very_long_names_stay_unique_within_255_bytes() -> None:
    assert extended_name("a.png", ".guidance.png") == "a.png.guidance.png"
    long = ["x" * 250 + end for end in ("1", "2")]
    extended = [extended_name(name, ".guidance.png") for name in long]
    assert len(set(extended)) == 2
    assert {len(name) for name in extended} == {255}
    assert all(name.endswith(".guidance.png") for name in extended)


def test_files_with_very_long_suffixes_are_written(tmp_path: Path) -> None:
    path = tmp_path / f"a.{'x' * 250}"
    write_atomically(path, lambda temporary: temporary.write_bytes(b"new"))
    assert path.read_bytes() == b"new"


def test_a_full_disk_is_told_apart_when_the_folder_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(DiskFullError, match="Cannot write in the folder"), claim(tmp_path):
        pass


def test_a_folder_that_replaces_itself_keeps_the_photos_that_its_links_lead_to(
    quick_cli: Cli, source: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    photo = library / "photo.png"
    shutil.move(source / "0.png", photo)
    (source / "0.png").symlink_to(photo)
    before = photo.read_bytes()
    assert enhance(quick_cli, source, source, "--force").code == 0
    assert photo.read_bytes() == before
    assert not (source / "0.png").is_symlink()
    assert read_picture(source / "0.png").shape == (16, 16, 3)
