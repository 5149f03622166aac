"""The fuzzers themselves: the rule detects violations, and mutations keep a format's structure."""

from __future__ import annotations

import base64
import contextlib
import gc
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import yaml

from fuzz import rule
from fuzz.findings import Findings, smallest
from fuzz.mutation import archives, messages, pictures, values
from fuzz.rule import Finding, check, problem_of
from fuzz.targets import NAMES, find_target
from fuzz.targets.small_models import sealed
from fuzz.targets.small_models import seeds as models
from hyperguide.engines.proof import seal_breaks
from hyperguide.errors import HyperguideError
from hyperguide.model_format.model_file import ModelFile, read_model_file

# Their seeds are made by training or exporting, which is slow.
_SLOW = ("weights-onnx", "runs-state")


def _found(read: Callable[[bytes], object], data: bytes = b"", seconds: float = 5) -> Finding:
    with pytest.raises(Finding) as error:
        check(read, data, seconds)
    return error.value


def _refuse(sentence: str) -> Callable[[bytes], object]:
    def read(data: bytes) -> None:
        raise HyperguideError(sentence)

    return read


def test_reading_and_refusing_in_a_sentence_both_keep_the_rule() -> None:
    assert check(len, b"12") is None
    assert check(_refuse("a.png is empty: replace it."), b"") == "a.png is empty: replace it."


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        ("a.png is empty", "no stop"),
        ("a.png is\nempty.", "not printable"),
        ("a\x1b[31m.png is empty.", "not printable"),
        ("a.png is empty." + " Very." * 80, "longer"),
        (f"/tmp/{'a' * 500}.png is empty.", ""),
    ],
)
def test_refusals_must_be_plain_sentences(sentence: str, problem: str) -> None:
    assert problem in problem_of(sentence)
    assert bool(problem) == bool(problem_of(sentence))
    if problem == "longer":  # HyperguideError fixes the others itself
        assert _found(_refuse(sentence)).kind == "message"


def test_other_exceptions_and_wrong_results_are_findings_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        ModelFile(path, data, {}, (), ()).weights()

    finding = _found(read, b"\x3a\x02\x28\x01")  # a number where a message belongs
    assert finding.key == "MalformedError onnx_outline.py:read_outline"

    def wrong(data: bytes) -> None:
        raise AssertionError("upside down")

    assert _found(wrong).kind == "wrong"


def test_endless_readers_are_stopped_though_they_catch_everything() -> None:
    def endless(data: bytes) -> None:
        while True:
            with contextlib.suppress(Exception):
                sum(range(1000))

    assert _found(endless, seconds=0.05).kind == "time"


@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system tells no peaks")
def test_memory_out_of_proportion_is_a_finding_though_it_was_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rule, "BYTES", 16 << 20)

    def read(data: bytes) -> None:
        np.ones(64 << 20, np.uint8)

    gc.collect()  # what other tests left would be let go in the middle of a reading
    assert _found(read, b"few").kind == "memory"
    assert check(read, bytes(4 << 20)) is None  # within twenty times the size
    assert _found(read, b"few").kind == "memory"  # even though the peak has been as high before


def test_inputs_of_findings_are_made_as_small_as_they_can_be() -> None:
    def read(data: bytes) -> None:
        if b"x" in data and b"y" in data:
            raise ValueError("both")

    assert (
        smallest(read, b"a" * 40 + b"x" + b"b" * 21 + b"y" + b"c" * 3, _found(read, b"xy").key)
        == b"xy"
    )


def test_findings_are_counted_by_their_cause_and_the_smallest_input_kept(tmp_path: Path) -> None:
    found = Findings(tmp_path)
    for kind, data in (("ValueError", b"long"), ("ValueError", b"s"), ("KeyError", b"k")):
        found.note(Finding(kind, "a.py:read", "why"), data)
    found.write()
    again = Findings(tmp_path)
    assert {key: cause.count for key, cause in again.causes.items()} == {
        "ValueError a.py:read": 2,
        "KeyError a.py:read": 1,
    }
    assert (tmp_path / again.causes["ValueError a.py:read"].file).read_bytes() == b"s"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in _SLOW])
def test_every_target_reads_its_seeds(name: str) -> None:
    target = find_target(name)
    seeds = target.seeds()
    assert seeds
    refusals = [check(target.read, data) for data in seeds.values()]
    # Some seeds are refused (several pages, other tasks), but never all.
    assert None in refusals or name in ("weights-pth", "pictures-other")
    assert max(map(len, seeds.values())) <= target.longest


def _change(piece: bytes) -> bytes:
    return piece[:-1] + bytes([piece[-1] ^ 1]) if piece else b"x"


def _many(mutate: Callable[..., bytes], data: bytes, times: int = 60) -> list[bytes]:
    """The distinct results of a mutator that differ from its input."""
    found = set()
    for seed in range(times):
        try:
            found.add(mutate(data, Random(seed), _change))
        except ValueError:
            continue
    assert len(found - {data}) > 10
    return sorted(found - {data})


def test_changed_png_files_have_right_checksums_and_some_another_size() -> None:
    (data,) = (d for n, d in find_target("pictures-png").seeds().items() if n == "carries.png")
    sizes = set()
    for changed in _many(pictures.png, data):
        at = 8
        while at < len(changed):
            (size,) = struct.unpack_from(">I", changed, at)
            body = changed[at + 4 : at + 8 + size]
            assert struct.unpack_from(">I", changed, at + 8 + size) == (zlib.crc32(body),)
            if body[:4] == b"IHDR":
                sizes.add(body[4:12])
            at += 12 + size
        assert at == len(changed)
    assert len(sizes) > 3


def test_changed_model_files_can_still_be_walked_and_have_the_seal_of_what_they_hold(
    tmp_path: Path,
) -> None:
    data = models()["rgb.onnx"]
    path = tmp_path / "model.onnx"
    whole = 0
    for changed in _many(messages.message, data):
        assert messages.joined(messages.parsed(changed)) == changed
        try:
            path.write_bytes(sealed(changed))
            whole += not seal_breaks(read_model_file(path))
        except (ValueError, HyperguideError):
            continue
    assert whole > 5
    path.write_bytes(sealed(data))
    assert not seal_breaks(read_model_file(path))


def test_changed_archives_arrays_and_texts_stay_what_they_are() -> None:
    weights = find_target("weights-pth").seeds()["plain-zip.pth"]
    for changed in _many(archives.zipped, weights):
        with zipfile.ZipFile(io.BytesIO(changed)) as archive:
            assert archive.testzip() is None
    array = find_target("kernels-npy").seeds()["f4-little.npy"]
    for changed in _many(archives.npy, array):
        assert changed[:6] == b"\x93NUMPY"
    table = next(iter(find_target("backgrounds").seeds().values()))
    for changed in _many(values.json_text, table):
        if len(changed) < 2000:  # deeply nested ones are left for readers to refuse
            json.loads(changed)


def test_huge_numbers_deep_nesting_and_multiplying_aliases_are_put_into_texts() -> None:
    marks = [values.HUGE, values.DEEP]
    assert values.as_json(marks) == b"[1" + b"0" * 400 + b", " + b"[" * 3000 + b"]" * 3000 + b"]"
    huge, deep, bomb = yaml.safe_load(values.as_yaml([values.HUGE, [], values.BOMB]))
    assert (huge, deep) == (10**400, [])
    counts = []
    for level in bomb:  # each is nine of the previous one
        counts.append(9 * counts[-1] if counts else len(level))
        assert len(level) == 9
    assert all(item is bomb[0] for item in bomb[1])
    assert counts[-1] == 9**8
    assert values.as_yaml([values.DEEP]).count(b"[") == 1500


def test_mutation_is_the_same_for_the_same_seed() -> None:
    data = models()["gray.onnx"]
    digests = {
        hashlib.sha256(base64.b64encode(messages.message(data, Random(7), _change))).hexdigest()
        for _ in range(3)
    }
    assert len(digests) == 1
