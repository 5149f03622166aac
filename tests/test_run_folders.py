"""A run's folder: who owns it, and what happens if the disk or the data fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_picture
from hyperguide.storage.claim import claim
from hyperguide.training import cli as train_cli
from hyperguide.training.checkpoint import load_run, load_tensors, save_tensors
from hyperguide.training.logbook import Logbook, draw_curves, read_log
from hyperguide.training.mean_of_runs import write_mean
from hyperguide.training.run_folder import refuse_among_photos, refuse_run_folder
from hyperguide.training.trainer import Progress
from made_data import fill, numbers
from made_runs import make_run, same, silent, weights

_CASES = Path(os.environ.get("HYPERGUIDE_DATA", "nowhere")).parent / "cases"


def _refuses(out: Path, told: str, *, resume: bool = False, force: bool = False) -> None:
    with pytest.raises(HyperguideError, match=told):
        refuse_run_folder(out, resume, force)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", ["log.jsonl", "curves.png", "tensorboard/mine"])
def test_foreign_files_in_a_run_folder_are_not_touched_without_force(
    name: str, tmp_path: Path, photos: Path, quick_cli: Cli
) -> None:
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"precious")
    result = quick_cli("train", "denoise", "--data", photos, "--out", tmp_path / "out")
    fails(result, Path(name).parts[0], "no run that it belongs to", "--force")
    assert _content(tmp_path / "out") == {name: b"precious"}


def test_two_runs_do_not_write_into_one_folder(
    tmp_path: Path, photos: Path, quick_cli: Cli, small_presets: Callable[[str, str], Path]
) -> None:
    out = tmp_path / "out"
    words = ("--data", photos, "--out", out, "--preset", small_presets("denoise", "fast"))
    with claim(out):
        fails(quick_cli("train", "denoise", *words), "Another run is writing", str(out))
    assert not list(out.iterdir())
    assert quick_cli("train", "denoise", *words).code == 0
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


def test_force_replaces_what_a_run_writes_and_nothing_else(
    tmp_path: Path, photos: Path, quick_cli: Cli, small_presets: Callable[[str, str], Path]
) -> None:
    out = tmp_path / "out"
    (out / "tensorboard" / "inner").mkdir(parents=True)
    others = ("notes.txt", "tensorboard/mine", "tensorboard/inner/events.out.tfevents.9")
    replaced = ("log.jsonl", "curves.png", "tensorboard/events.out.tfevents.1.host")
    for name in (*others, *replaced):
        (out / name).write_bytes(b"old")
    words = ("--preset", small_presets("denoise", "fast"), "--force")
    result = quick_cli("train", "denoise", "--data", photos, "--out", out, *words)
    assert result.code == 0, result.err
    after = _content(out)
    assert {name: after[name] for name in others} == dict.fromkeys(others, b"old")
    assert b"old" not in [after.get(name) for name in replaced]
    assert read_log(out)


@pytest.mark.parametrize(
    "name",
    [
        *("best.safetensors", "last.safetensors", "state.safetensors"),
        *("log.jsonl", "curves.png", "tensorboard"),
    ],
)
def test_links_and_folders_in_a_run_are_not_written_through(name: str, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "state.safetensors").write_bytes(b"")
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(elsewhere / "file")  # which need not exist
    for options in ({"force": True}, {"resume": True}):
        _refuses(out, f"{name} is a link", **options)
    (out / name).unlink()
    if name == "tensorboard":
        (out / name).write_bytes(b"")
        _refuses(out, "is not a folder", force=True)
    else:
        (out / name).mkdir()
        _refuses(out, "is a folder", force=True)
    assert not any(elsewhere.iterdir())


def test_a_mean_of_runs_does_not_follow_links(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "best.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HyperguideError, match="is a link"):
        write_mean([tmp_path / "run"], [photos], tmp_path / "out", force=True)


def test_a_run_does_not_put_its_curves_among_the_photos(tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "runs" / "mine"):
        with pytest.raises(HyperguideError, match=r"lies in the data folder .* count as a photo"):
            refuse_among_photos(out, [tmp_path])
    refuse_among_photos(tmp_path / "out", [tmp_path / "photos"])


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    _refuses(tmp_path / "out", "is not a folder")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("of", ["log", "events"])
def test_a_full_disk_of_the_log_stops_the_run_saved(
    of: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(photos, tmp_path / "whole").train(silent, log_steps=2)
    run = make_run(photos, tmp_path / "run")

    def fill_up(progress: Progress) -> None:
        if progress.step == 4:
            if of == "log":
                (run.folder / "log.jsonl").unlink()
                (run.folder / "log.jsonl").symlink_to("/dev/full")
            else:
                full = open("/dev/full", "ab")  # noqa: SIM115  # closed by the log
                for file in books[0]._events._records, books[0]._events:
                    name = "_writer" if hasattr(file, "_writer") else "_file"
                    monkeypatch.setattr(file, name, full)

    books: list[Any] = []
    first = Logbook.add

    def add(self: Any, figures: Any) -> None:
        books.append(self)
        first(self, figures)

    monkeypatch.setattr(Logbook, "add", add)
    with pytest.raises(HyperguideError, match=r"No space left.*step 4 is saved; make room"):
        run.train(fill_up, log_steps=2)
    assert load_tensors(run.folder / "state.safetensors")[1]["step"] == 4
    if of == "log":
        (run.folder / "log.jsonl").unlink()  # links to the full disk
    again = make_run(photos, tmp_path / "run")
    again.resume()
    again.train(silent, log_steps=2)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_that_ask_to_stop_save_the_run(
    number: signal.Signals, photos: Path, tmp_path: Path
) -> None:
    run = make_run(photos, tmp_path / "run")
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    outside = signal.signal(number, usual)  # background jobs ignore Ctrl-C
    before = signal.getsignal(number)

    def ask(progress: Progress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), number)

    with train_cli._stops(run), pytest.raises(KeyboardInterrupt):
        run.train(ask)
    assert load_tensors(run.folder / "state.safetensors")[1]["step"] in (3, 4)
    assert signal.getsignal(number) is before
    with train_cli._stops(run), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)  # the second one
    signal.signal(number, outside)


def _ended(lines: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(lines)
    with pytest.raises(HyperguideError, match=told):
        read_log(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"\xbb",
        b"0",
        b"{}",
        b"[]",
        b"null",
        b'{"step": "1"}',
        b'{"step": 1, "f": "x"}',
        b'{"step": 1, "f": [1]}',
        b'{"step": true}',
        b'{"step": -1}',
        b'{"step": 1e5}',
        b'{"step": 1' + b"0" * 30 + b"}",
        b'{"step": 1, "f": 1e999}',
        b'{"step": 1, "a": ' + b"[" * 10**5,
        b'{"step": 1, "step": 2}',
    ],
)
def test_a_damaged_log_is_refused_with_its_line(line: bytes, tmp_path: Path) -> None:
    good = b'{"step": 1, "f": NaN}\n'
    _ended(good + line + b"\n" + good, "Line 2 of .* is damaged", tmp_path)
    (tmp_path / "log.jsonl").write_bytes(good + line)  # cut off by a kill
    assert [line["step"] for line in read_log(tmp_path)] == [1]


@pytest.fixture(scope="module")
def short_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("short") / "run"
    make_run(photos, folder, steps=1).train(silent)
    return folder


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step", "3"),
        ("step", -1),
        ("step", 10**15),
        ("step", 1000),
        ("origin", None),
        ("running", [1]),
        ("window", {"f": 3}),
        ("best", "good"),
        ("validation", {"output_psnr": "x"}),
        ("skipped", [1]),
        ("data", {}),
        ("data", {"fingerprint": 3, "description": ""}),
        ("settings", {"strategy": "none"}),
        ("settings", {"strategy": ["strict"]}),
        ("settings", {"strategy": "strict", "level": "high"}),
        ("preset", []),
        ("seconds", None),
        (None, 5),
    ],
)
def test_a_record_that_a_run_cannot_go_on_from_is_refused(
    name: str | None, value: object, short_run: Path, photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(short_run, tmp_path / "run"))
    tensors, record = load_tensors(folder / "state.safetensors")
    changed: Any = value if name is None else record | {name: value}
    save_tensors({folder / "state.safetensors": tensors}, changed)
    with pytest.raises(HyperguideError, match=r"state\.safetensors"):
        make_run(photos, folder, steps=1).resume()


def _without(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: t for key, t in tensors.items() if key != name}


@pytest.mark.parametrize("change", ["lacks", "shape", "nan", "name", "index", "average"])
def test_a_state_that_does_not_fit_the_networks_is_refused(
    change: str, short_run: Path, photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(short_run, tmp_path / "run"))
    state = folder / "state.safetensors"
    tensors, record = load_tensors(state)
    key = next(key for key in tensors if key.startswith("omega.") and key.endswith("mean"))
    average = next(key for key in tensors if key.startswith("average."))
    tensors = {
        "lacks": lambda: _without(tensors, key),
        "shape": lambda: tensors | {key: torch.zeros(3)},
        "nan": lambda: tensors | {key: torch.full_like(tensors[key], torch.nan)},
        "name": lambda: tensors | {"omega.x.y": torch.zeros(1)},
        "index": lambda: tensors | {"omega.9999.momentum": torch.zeros(1)},
        "average": lambda: tensors | {average: torch.zeros(3)},
    }[change]()
    save_tensors({state: tensors}, record)
    with pytest.raises(HyperguideError, match=r"state\.safetensors"):
        make_run(photos, folder, steps=1).resume()


def _checkpoint(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        _checkpoint(b"[" * 10**5),
        _checkpoint(b"[]"),
        _checkpoint(b"{}"),
        _checkpoint(b'{"__metadata__": 3}'),
        _checkpoint(b'{"__metadata__": {"hyperguide": "3"}}'),
        _checkpoint(b'{"__metadata__": {"hyperguide": "{}"}}'),
        _checkpoint(b'{"__metadata__": {"hyperguide": "' + b"[" * 10**5 + b'"}}'),
        _checkpoint(b'{"__metadata__": {"hyperguide": "{\\"preset\\": {}}"}}'),
        _checkpoint(b'{"a": {"dtype": "F32", "shape": [0, 9223372036854775807], '
                    b'"data_offsets": [0, 0]}, "__metadata__": {"hyperguide": "{}"}}'),
    ],
)  # fmt: skip
def test_files_that_are_no_checkpoints_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(content)
    with pytest.raises(HyperguideError, match=r"best\.safetensors"):
        load_run(tmp_path)


def test_a_photo_replaced_under_its_name_is_noticed_by_a_resume(
    photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    make_run(folder, tmp_path / "run").save()
    make_run(folder, tmp_path / "run").resume()
    os.utime(folder / "0.png", (1, 1))  # a copy with another time is the same photo
    make_run(folder, tmp_path / "run").resume()
    shutil.copy(photos / "1.png", folder / "0.png")
    with pytest.raises(HyperguideError, match="a file was replaced under its name"):
        make_run(folder, tmp_path / "run").resume()


def test_runs_that_are_older_than_the_digest_of_contents_resume(
    photos: Path, tmp_path: Path
) -> None:
    make_run(photos, tmp_path / "run").save()
    state = tmp_path / "run" / "state.safetensors"
    tensors, record = load_tensors(state)
    del record["data"]["contents"]
    save_tensors({state: tensors}, record)
    make_run(photos, tmp_path / "run").resume()


def test_resuming_with_a_renamed_folder_names_the_option_that_helps(
    photos: Path, tmp_path: Path
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    shutil.copytree(photos, before)
    make_run(before, tmp_path / "run").save()
    before.rename(after)
    told = "was called 'before', now it is 'after': .* --describe-data 'before'"
    with pytest.raises(HyperguideError, match=told):
        make_run(after, tmp_path / "run").resume()


def test_digests_of_large_files_cover_size_and_parts(tmp_path: Path) -> None:
    from hyperguide.training.data.contents import digest_files

    file = tmp_path / "large.tif"
    content = bytearray(3 << 20)
    digests = set()
    for place in (None, 0, 1 << 20, (3 << 20) - 1):
        if place is not None:
            content[place] ^= 1
        file.write_bytes(content)
        digests.add(digest_files([file]))
    digests |= {digest_files([tmp_path / "missing"]), digest_files([])}
    assert len(digests) == 6


def test_names_that_are_no_utf8_are_photos_like_any(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", numbers(2), 40, 40)
    os.rename(os.fsencode(folder / "1.png"), os.fsencode(folder) + b"/caf\xe9.png")
    run = make_run(folder, tmp_path / "run", steps=1)
    run.train(silent)
    make_run(folder, tmp_path / "run", steps=1).resume()
    assert json.dumps(load_run(run.folder).record.to_json())


def test_a_log_without_figures_is_drawn_as_an_empty_picture(tmp_path: Path) -> None:
    draw_curves([{"step": 1}], tmp_path / "curves.png")
    assert read_picture(tmp_path / "curves.png").size


@pytest.mark.skipif(not _CASES.is_dir(), reason="there are no cases beside HYPERGUIDE_DATA")
def test_logs_that_broke_the_reader_before_are_refused_or_empty(tmp_path: Path) -> None:
    for path in (_CASES / "fuzz").glob("misc_[Lr]*og*"):
        for ending in (b"", b"\n"):
            (tmp_path / "log.jsonl").write_bytes(path.read_bytes() + ending)
            try:
                assert read_log(tmp_path) == []
                assert not ending
            except HyperguideError:
                assert ending
