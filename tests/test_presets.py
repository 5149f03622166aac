"""Preset files: read within bounds, or refused with key, value and range."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, get_args, get_origin, get_type_hints

import pytest
import yaml

from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import bundled_models
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.degradations import DEGRADATIONS
from hyperguide.training.model import build_model
from hyperguide.training.model_weights import load_trained
from hyperguide.training.preset import (
    DilatedSettings,
    Preset,
    Proxy,
    Reconstruction,
    Schedule,
    Stage,
    UNetShape,
    load_preset,
    preset_from_dict,
)
from hyperguide.training.yaml_text import parse_yaml
from made_data import small_preset

_IN_FLOATS = [path for path in bundled_models() if "int8" not in path.stem]
_CASES = Path(os.environ.get("HYPERGUIDE_DATA", "nowhere")).parent / "cases"


def _fields() -> dict[str, object]:
    fields: dict[str, object] = json.loads(load_preset("denoise", "fast").to_json())
    return fields


def _changed(*path: object, to: object) -> dict[str, object]:
    """The fields of a preset with one of them changed."""
    fields = _fields()
    place: object = fields
    for name in path[:-1]:
        place = place[name]  # type: ignore[index]
    place[path[-1]] = to  # type: ignore[index]
    return fields


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("reconstruction", "middle"), 10**8, "middle must be from 1 to 32, not 100000000"),
        (("reconstruction", "widths"), [10**9], "widths must be from 1 to 1024, not 1000000000"),
        (("reconstruction", "widths"), [1] * 33, "widths must have at most 32 items, not 33"),
        (("reconstruction", "widths"), [1] * 9, "at most 8 widths"),
        (("schedule", "steps"), 10**18, "steps must be from 1 to 1000000000, not 10000"),
        (("schedule", "warmup"), -1, "warmup must be from 0 to 1000000000, not -1"),
        (("schedule", "warmup"), True, "warmup must be of type int, not True"),
        (("schedule", "clip"), float("inf"), "clip must be above 0 and at most .*, not inf"),
        (("schedule", "decay"), float("nan"), "decay must be from 0 to .*, not nan"),
        (("schedule", "milestones"), [2.0], "milestones must be from 0 to 1, not 2.0"),
        (("schedule", "stages", 0, "batch"), 10**10, "batch must be from 1 to 65536"),
        (("schedule", "stages", 0, "until"), 10**400, "until must be above 0 and at most 1"),
        (("schedule", "stages", 0, "crop"), [1], r"crop must be of type int, not \[1\]"),
        (("proxy", "network"), [], "the network must be one of compact, plain"),
        (("proxy", "smooth"), 3, "smooth must be of type bool, not 3"),
        (("border",), -1, "border must be from 0"),
        (("task",), {"a": "b" * 1000}, "task must be of type str, not {'a': 'bbb"),
    ],
)
def test_numbers_out_of_their_range_are_told_with_key_value_and_range(
    path: tuple[object, ...], value: object, told: str
) -> None:
    with pytest.raises(HyperguideError, match=told) as error:
        preset_from_dict(_changed(*path, to=value), "mine.yaml")
    assert len(str(error.value)) < 300


def _numbers_without_range(kind: type) -> list[str]:
    return [
        f"{kind.__name__}.{name}"
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if get_origin(hint) is not ClassVar
        for item in (get_args(hint) if get_origin(hint) is tuple else (hint,))
        if item in (int, float)
    ]


def test_every_number_of_a_preset_has_a_range() -> None:
    kinds = [
        *(Preset, Schedule, Stage, UNetShape, DilatedSettings, *DEGRADATIONS.values()),
        *(*get_args(Proxy), *get_args(Reconstruction)),
    ]
    assert [name for kind in kinds for name in _numbers_without_range(kind)] == []


def test_preset_values_set_in_code_are_held_to_the_ranges() -> None:
    with pytest.raises(HyperguideError, match="The preset's batch must be from 1 to 65536, not 0"):
        Stage(1.0, 16, batch=0)
    with pytest.raises(HyperguideError, match="A batch of 65536 crops of 8192 pixels is too large"):
        Stage(1.0, 8192, batch=65536)


@pytest.mark.parametrize(
    ("task", "degradation", "told"),
    [
        ("denoise", {"maximum": 1e9}, "maximum must be from 0 to 1, not 1000000000.0"),
        ("denoise", {"quality": [95, 60]}, "the lower one first, not 95, 60"),
        ("denoise", {"quality": [0, 60]}, "quality must be from 1 to 100, not 0"),
        ("derain", {"bank": [[1]]}, "unknown field 'bank'"),
        ("derain", {"threshold": -1}, "threshold must be from 0 to 1"),
        ("dehaze", {"airlight": [0.5, 10**400]}, "airlight must be from 0 to 10"),
        ("dehaze", {"beta": [2.0, 1.0]}, "the lower one first"),
        ("deblur", {"size": 10**9 + 1}, "size must be from 1 to 511"),
    ],
)
def test_preset_values_of_the_degradation_have_ranges(
    task: str, degradation: dict[str, object], told: str, photos: Path
) -> None:
    with pytest.raises(HyperguideError, match=told):
        open_data(small_preset(task, degradation=degradation), [photos])


def _widened(preset: Preset, width: int) -> Preset:
    return replace(
        preset,
        reconstruction=replace(
            preset.reconstruction, widths=(width,) * 8, blocks=(1,), encoder_blocks=None
        ),
    )


def test_networks_that_no_machine_holds_are_refused_before_they_are_built() -> None:
    with pytest.raises(HyperguideError, match=r"networks have \d{9,} weights, more than 100000000"):
        build_model(_widened(load_preset("denoise", "fast"), 1024))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &x [1]\nb: *x", "an alias in line 1"),
        ("a: 1\nb: *x", "an alias in line 2"),
        ("a: !!python/name:os.system x", "a tag in line 1"),
        ("!x {a: 1}", "a tag in line 1"),
        ("a: [" * 200, "nested too deeply in line 1"),
        ("[" * 16000, "nested too deeply"),
        ("- " * 8000, "nested too deeply"),
        ("? " * 8000, "nested too deeply"),
        ("a: " + "x" * 20000, "more than 16 KiB"),
        ("a: 2001-99-99", "month must be in 1..12"),
        ("a: 0x" + "f" * 5000, "more than 20 digits"),
        ("a: " + "1" * 5000, "limit"),
        ("a: 0b_", "invalid literal"),
        ("a: [1", "no YAML in line 1"),
        ("\x00", "no YAML"),
        ("{[a]: b}", "no YAML"),
    ],
)
def test_yaml_is_read_within_bounds(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=told):
        parse_yaml(text)
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(HyperguideError, match=r"mine\.yaml") as error:
        load_preset("denoise", "fast", path)
    assert "\n" not in str(error.value)


def test_plain_yaml_reads_as_the_library_reads_it() -> None:
    text = yaml.safe_dump(_fields())
    assert parse_yaml(text) == yaml.safe_load(text)
    assert preset_from_dict(parse_yaml(text), "x") == load_preset("denoise", "fast")


def test_preset_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"task: d\xe9noise")
    (tmp_path / "large.yaml").write_bytes(b" " * (65 << 10))
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, told in (
        ("latin.yaml", "no text|not a text in UTF-8"),
        ("large.yaml", "larger than 64 KiB"),
        ("pipe.yaml", "is a named pipe|is a folder"),
        (".", "is a named pipe|is a folder"),
        ("none.yaml", "There is no preset"),
    ):
        with pytest.raises(HyperguideError, match=told):
            load_preset("denoise", "fast", tmp_path / name)


@pytest.mark.skipif(not _CASES.is_dir(), reason="there are no cases beside HYPERGUIDE_DATA")
def test_presets_that_broke_readers_are_refused() -> None:
    for path in [_CASES / "hostile" / "lol2.yaml", *(_CASES / "fuzz").glob("preset_*")]:
        with pytest.raises(HyperguideError):
            load_preset("denoise", "fast", path)


def test_an_unknown_tier_names_those_that_there_are() -> None:
    with pytest.raises(HyperguideError, match="take one of fast, paper, paper-tiny, or give"):
        load_preset("deblur", "live")


@pytest.mark.parametrize("path", _IN_FLOATS, ids=[path.stem for path in _IN_FLOATS])
def test_a_bundled_model_has_the_networks_of_its_preset(path: Path) -> None:
    task, _, tier = path.stem.partition("-")
    preset, trained = load_preset(task, tier), load_trained(path)
    assert trained.preset.proxy == preset.proxy
    assert trained.preset.reconstruction == preset.reconstruction
