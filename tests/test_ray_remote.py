"""Folders of remote file systems on a Ray cluster: read and written by pyarrow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_folders import contents
from pyarrow import fs

from conftest import Cli, enhance, fails
from hyperguide.batch.resume import NAME
from hyperguide.cluster.addresses import Address, FileSystems
from hyperguide.cluster.remote_files import RemoteFiles
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import write_picture

# Ray warns of its own settings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")


@pytest.fixture
def bucket(tmp_path: Path, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that addresses s3://... lead to, with pictures in s3://photos/in."""
    place = tmp_path / "bucket"
    for i, name in enumerate(("0.png", "sub/1.jpg", "sub/deep/2 of 3.png", ".hidden/3.png")):
        path = place / "photos" / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, astronaut[32 * i : 32 * i + 32, :48])
    system = fs.SubTreeFileSystem(str(place), fs.LocalFileSystem())
    opened = fs.FileSystem.from_uri

    class Systems:
        @staticmethod
        def from_uri(uri: str) -> Any:
            return (system, "") if uri.startswith("s3://") else opened(uri)

    monkeypatch.setattr(fs, "FileSystem", Systems)
    return place


def recorded(folder: Path) -> list[str]:
    """The pictures in the record of a run."""
    facts = map(json.loads, (folder / NAME).read_text().splitlines())
    return sorted(fact["done"] for fact in facts if "done" in fact)


@pytest.mark.usefixtures("cluster")
def test_an_object_store_gets_the_same_files_as_a_local_folder(
    quick_cli: Cli, bucket: Path, tmp_path: Path
) -> None:
    inside, out = bucket / "photos" / "in", bucket / "photos" / "out"
    (inside / "bad.png").write_text("no picture")
    local = tmp_path / "local"
    maps = ("--save-guidance", tmp_path / "local-maps")
    fails(enhance(quick_cli, inside, local, *maps), "1 of 4 pictures failed")
    address = "s3://photos/in"
    maps = ("--save-guidance", "s3://photos/maps")
    result = enhance(quick_cli, address, "s3://photos/out", "--ray", *maps)
    fails(result, "1 of 4 pictures failed", "the others are in s3://photos/out")
    assert "s3://photos/in/bad.png is not a picture that can be read" in result.err
    assert contents(out) == contents(local)
    assert contents(bucket / "photos" / "maps") == contents(tmp_path / "local-maps")
    assert recorded(out) == ["0.png", "sub/1.jpg", "sub/deep/2 of 3.png"]


@pytest.mark.usefixtures("cluster")
def test_a_run_on_an_object_store_resumes_by_its_record_and_by_the_files(
    quick_cli: Cli, bucket: Path, astronaut: np.ndarray
) -> None:
    out = bucket / "photos" / "out"

    def run(*more: str) -> Any:
        return enhance(quick_cli, "s3://photos/in", "s3://photos/out", "--ray", *more)

    assert run().code == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("[!.]*.*g")}
    refused = run()
    fails(refused, "3 of 3 pictures failed")
    assert "The output s3://photos/out/0.png exists" in refused.err
    lines = (out / NAME).read_text().splitlines(keepends=True)
    # As a killed run leaves it: begun, with a picture that it did not record, and one in writing.
    (out / NAME).write_text("".join(lines[:-2]))
    (out / ".hyperguide-0123abcd.png").write_text("half")
    write_picture(bucket / "photos" / "in" / "new.png", astronaut[:16, :16])
    result = run("--resume")
    assert result.code == 0, result.err
    assert "of 4 pictures 1 done, 3 skipped, 0 failed" in result.err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not [name for name in contents(out) if name.rpartition("/")[2].startswith(".")]


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_local_names_go_together_with_addresses(
    quick_cli: Cli, bucket: Path, tmp_path: Path
) -> None:
    source = bucket / "photos" / "in" / "sub"
    result = enhance(quick_cli, source, "s3://photos/out", "--ray")
    assert result.code == 0, result.err
    assert enhance(quick_cli, source, tmp_path / "local").code == 0
    assert contents(bucket / "photos" / "out") == contents(tmp_path / "local")
    again = enhance(quick_cli, "s3://photos/in/sub", tmp_path / "back", "--ray")
    assert again.code == 0, again.err
    assert contents(tmp_path / "back") == contents(tmp_path / "local")


@pytest.mark.usefixtures("bucket")
def test_what_is_wrong_with_addresses_is_said(quick_cli: Cli) -> None:
    def run(source: str, output: str) -> Any:
        return enhance(quick_cli, source, output, "--ray")

    fails(run("s3://photos/none", "s3://photos/out"), "There is no s3://photos/none", "-i")
    fails(run("s3://photos/in", "ftp://host/out"), "ftp://host/out", "cannot be opened")
    fails(run("s3://photos/in", "s3://photos/out.png"), "a folder instead of s3://photos/out.png")
    fails(run("s3://photos/in", "s3://photos/in/sub?region=x"), "other options")
    fails(run("s3://photos/film.mp4", "s3://photos/out"), "is a video", "leave out --ray")


def test_two_pictures_with_one_output_are_refused(quick_cli: Cli, bucket: Path) -> None:
    words = ("-i", "s3://photos/in/0.png", "-i", "file://" + str(bucket / "photos/in/0.png"))
    result = quick_cli("enhance", *words, "-o", "s3://photos/out", "-t", "denoise", "--ray")
    fails(result, "would both write s3://photos/out/0.png", "different folders")


def test_an_address_prints_as_it_was_written_and_names_a_file_of_its_system() -> None:
    path = Address("s3:/bucket/a/b.png")
    assert str(path) == "s3://bucket/a/b.png"
    assert (path.scheme, path.inside) == ("s3", "bucket/a/b.png")
    assert str(path.parent / "c") == "s3://bucket/a/c"
    assert path.relative_to(path.parents[1]).as_posix() == "a/b.png"
    local = FileSystems().parse("a.png")
    assert str(local) == f"file://{Path.cwd()}/a.png"


class _Refusing:
    """A file system whose method of a name raises; everything else is that of the local one."""

    def __init__(self, refused: str) -> None:
        self._refused = refused
        self._system = fs.LocalFileSystem()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name == self._refused:
            raise OSError("the service is busy")
        return getattr(self._system, name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("step", ["open_output_stream", "move"])
def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(
    step: str, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_text("old")
    files = RemoteFiles({"file": _Refusing(step)})
    path: Any = Address(f"file:/{tmp_path.as_posix().lstrip('/')}/a.png")
    with pytest.raises(HyperguideError, match=r"Writing file:///\S+ failed: the service is busy"):
        files.write(path, b"new")
    assert contents(tmp_path) == {"a.png": b"old"}
