"""Only regular files are opened: no pipe, device or link loop can block the program."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import Cli, enhance, fails, nothing_left
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_kernel
from hyperguide.storage.atomic import refuse_existing, write_atomically
from hyperguide.storage.file_content import first_bytes, read_content
from hyperguide.storage.npy import parse_npy


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")  # which never ends


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


SPECIAL = {
    "a named pipe": _pipe,
    "a socket": _socket,
    "a device": _device,
    "a folder": Path.mkdir,
    "lead in a circle": _circle,
}


@pytest.fixture(params=SPECIAL)
def special(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[str, str]]:
    """A function that makes a special file, and returns its name and what errors call it."""
    monkeypatch.chdir(tmp_path)  # socket names must be short

    def make(name: str) -> tuple[str, str]:
        SPECIAL[request.param](Path(name))
        return name, request.param

    return make


def test_only_regular_files_are_read(special: Callable[[str], tuple[str, str]]) -> None:
    name, kind = special("a.png")
    with pytest.raises(HyperguideError, match=kind):
        read_content(Path(name), "picture")
    assert first_bytes(Path(name), 4) == b""


def test_every_option_that_takes_a_picture_refuses_what_is_no_file(
    special: Callable[[str], tuple[str, str]], quick_cli: Cli, photo: Path
) -> None:
    name, kind = special("a.png")
    if kind != "a folder":  # which is valid input
        fails(enhance(quick_cli, Path(name), "out.png"), name, kind)
    for option in ("-g", "--mask", "--kernel"):
        fails(enhance(quick_cli, photo, "out.png", option, name), name, kind)
    assert not Path("out.png").exists()


def test_a_pipe_among_the_pictures_of_a_folder_fails_alone(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    photo.rename(source / "good.png")
    for i, make in enumerate(SPECIAL.values()):
        if make not in (Path.mkdir, _socket):
            make(source / f"{i}.png")
    result = enhance(quick_cli, source, tmp_path / "out")
    fails(result, "3 of 4 pictures failed")
    for kind in ("a named pipe", "a device", "in a circle"):
        assert kind in result.err
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["good.png"]


def test_a_file_is_read_as_long_as_it_was_when_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123")
    fstat = os.fstat

    def grow(handle: int) -> os.stat_result:
        status = fstat(handle)
        with path.open("ab") as file:
            file.write(b"4567")
        return status

    monkeypatch.setattr(os, "fstat", grow)
    assert read_content(path, "text") == b"0123"


def test_files_beyond_the_bound_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no disk space
    with pytest.raises(HyperguideError, match="larger than 8 MiB"):
        read_kernel(path)
    with pytest.raises(HyperguideError, match="larger than 2048 MiB"):
        read_content(path, "model file")


@pytest.mark.parametrize("through_links", [True, False])
def test_outputs_that_are_no_files_are_not_replaced(through_links: bool, tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe.png", tmp_path / "null.png"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for path, kind in ((pipe, "a named pipe"), (link, "a device")):
        with pytest.raises(HyperguideError, match=kind):
            refuse_existing(path, force=True)
    with pytest.raises(HyperguideError, match="a named pipe"):
        write_atomically(pipe, lambda path: path.write_bytes(b"new"), through_links)
    assert pipe.is_fifo()
    nothing_left(tmp_path, "pipe.png", "null.png")


def _saved(array: np.ndarray, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "u1", ">i2", "<u8"])
@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (0,), (), (2, 3, 4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_files_are_read_as_numpy_reads_them(
    dtype: str, shape: tuple[int, ...], order: str
) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype, order=order)
    content = _saved(array)
    read = parse_npy(content)
    expected = np.load(io.BytesIO(content))
    assert read.dtype == expected.dtype
    np.testing.assert_array_equal(read, expected)


def _npy(header: str, numbers: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + numbers


_HEADER = "{{'descr': {}, 'fortran_order': False, 'shape': {}}}\n"

DAMAGED = {
    "no header": b"\x93NUMPY",
    "tokens": _npy("{" + "\xff" * 40),
    "syntax": _npy(_HEADER.format("'<,i8'", "(1, 1)"), bytes(8)),
    "brackets": _npy("(" * 9000),
    "huge": _npy(_HEADER.format("'<f8'", f"({10**9}, {10**9})"), bytes(8)),
    "endless": _npy(_HEADER.format("'<f8'", f"({'9' * 4000},)"), bytes(8)),
    "negative": _npy(_HEADER.format("'<f8'", "(-1, -1)"), bytes(8)),
    "truth": _npy(_HEADER.format("'<f8'", "(True, True)"), bytes(8)),
    "short": _npy(_HEADER.format("'<f8'", "(3, 3)"), bytes(8 * 8)),
    "long": _npy(_HEADER.format("'<f8'", "(3, 3)"), bytes(8 * 10)),
    "records": _npy(_HEADER.format("[('a', '<f8')]", "(1,)"), bytes(8)),
    "objects": _saved(np.array([{}], object), allow_pickle=True),
    "text": _saved(np.array(["a"])),
    "complex": _saved(np.ones((3, 3), complex)),
    "archive": b"PK\x03\x04" + bytes(40),
    "pickle": b"\x80\x04N.",
    "a list": _npy("[1, 2]\n"),
    "null": _npy("\0" * 20),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_npy_files_are_refused_with_a_sentence(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
        parse_npy(content)
    path = tmp_path / "kernel.npy"
    path.write_bytes(content)
    with pytest.raises(HyperguideError, match=r"kernel\.npy is not a numeric array"):
        read_kernel(path)


def test_a_kernel_in_text_may_begin_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "kernel.txt"
    path.write_bytes(b"\xef\xbb\xbf0 0 0\r\n0;1,0\r\n0 0 0\r\n")
    np.testing.assert_array_equal(read_kernel(path), np.eye(3) * [[0], [1], [0]])
    path.write_bytes("0 1 0".encode("utf-16"))
    with pytest.raises(HyperguideError, match="not a matrix of numbers"):
        read_kernel(path)
    path.write_text(f"{'1e308 ' * 3}")
    with pytest.raises(HyperguideError, match="sums up to inf"):
        read_kernel(path)
