"""Damaged or edited sidecars of TensorRT engines: read correctly, or refused in one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_models import tiny_model

from conftest import Cli, fails
from hyperguide.engines import fastest, open_engine
from hyperguide.engines.opening import Settings
from hyperguide.engines.proof import seal_breaks
from hyperguide.errors import HyperguideError
from hyperguide.model_format.engine_file import EngineFile, digest, read_engine, read_sidecar

CONTENT = b"an engine"


def _sidecar() -> dict[str, Any]:
    shape = [1, 1, 16, 16]
    return {
        "format": 1,
        "engine": digest(CONTENT),
        "model": "0" * 64,
        "metadata": {e.key: e.value for e in tiny_model().metadata_props},
        "builder": "tensorrt",
        "version": "10.15",
        "targets": ["sm89"],
        "precision": "fp32",
        "steerable": False,
        "profiles": {"image": {"least": shape, "best": shape, "most": [4, 1, 64, 64]}},
        "options": {"workspace": None, "tf32": False},
    }


def _write(folder: Path, sidecar: object) -> Path:
    path = folder / "model.engine"
    path.write_bytes(CONTENT)
    text = sidecar if isinstance(sidecar, str) else json.dumps(sidecar)
    (folder / "model.engine.json").write_text(text)
    return path


def test_a_whole_sidecar_is_read(tmp_path: Path) -> None:
    file = read_engine(_write(tmp_path, _sidecar()), trust=True)
    assert file.info.task == "denoise"
    assert file.sidecar.profiles["image"].most == (4, 1, 64, 64)
    assert seal_breaks(file) == []


PROFILE = {"least": [1, 1, 16, 16], "best": [1, 1, 16, 16], "most": [1, 1, 16, 16]}


@pytest.mark.parametrize(
    "changed",
    [
        *({"engine": 3}, {"model": None}, {"builder": []}, {"version": {}}, {"precision": 32}),
        *({"steerable": "yes"}, {"steerable": 1}, {"options": []}, {"targets": "sm89"}),
        *({"targets": [89]}, {"metadata": []}, {"metadata": {"hyperguide.format": 1}}),
        *({"profiles": []}, {"profiles": {"image": []}}, {"profiles": {"image": {}}}, {"more": 1}),
        {"profiles": {"image": PROFILE | {"more": [1, 1, 1, 1]}}},
        {"profiles": {"image": PROFILE | {"most": [1, 1, 8, 16]}}},
        {"profiles": {"image": PROFILE | {"most": [1, 1, 16]}}},
        {"profiles": {"image": PROFILE | {"most": [1, 1, 16, 1e400]}}},
        {"profiles": {"image": PROFILE | {"most": [1, 1, 16, 16.5]}}},
        {"profiles": {"image": PROFILE | {"least": [True, 1, 16, 16]}}},
        {"profiles": {"image": PROFILE | {"least": [0, 1, 16, 16]}}},
        {"profiles": {"image": PROFILE | {"most": [1, 1, 16, 10**30]}}},
    ],
)
def test_a_sidecar_of_other_types_is_one_sentence(changed: dict[str, Any], tmp_path: Path) -> None:
    path = _write(tmp_path, _sidecar() | changed)
    with pytest.raises(HyperguideError, match=r"model\.engine\.json is damaged"):
        read_engine(path, trust=True)


@pytest.mark.parametrize("missing", [*_sidecar()])
def test_a_sidecar_that_lacks_an_entry_is_refused(missing: str, tmp_path: Path) -> None:
    sidecar = _sidecar()
    del sidecar[missing]
    with pytest.raises(HyperguideError, match=r"model\.engine\.json is damaged"):
        read_sidecar(_write(tmp_path, sidecar))


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "{", "[" * 100_000, '{"format": 1' + "0" * 5000 + "}"),
        *('{"format": 1, "format": 1}', '{"format": {"format": "\\u001b"}}', "\udcff"),
    ],
)
def test_texts_that_are_no_sidecar_are_refused(text: str, tmp_path: Path) -> None:
    path = _write(tmp_path, "{}")
    (tmp_path / "model.engine.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(HyperguideError, match=r"model\.engine\.json (is damaged|has format)") as e:
        read_sidecar(path)
    assert str(e.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_are_neither_engines_nor_sidecars(tmp_path: Path) -> None:
    path = _write(tmp_path, _sidecar())
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(HyperguideError, match=r"a named pipe|a device"):
        read_engine(path, trust=True)


def test_an_edited_sidecar_is_not_run(tmp_path: Path, quick_cli: Cli) -> None:
    sidecar = _sidecar()
    sidecar["metadata"]["hyperguide.tier"] = "paper"
    path = _write(tmp_path, sidecar)
    file = read_engine(path, trust=True)
    with pytest.raises(HyperguideError, match="the metadata was edited"):
        open_engine(file, "tensorrt")
    with pytest.raises(HyperguideError, match="the metadata was edited"):
        fastest(file, Settings())
    fails(quick_cli("verify", path, "--trust"), "the metadata was edited")


def test_any_change_of_a_sidecar_is_refused_in_one_sentence_or_harmless(tmp_path: Path) -> None:
    text = json.dumps(_sidecar())
    rng = np.random.default_rng(0)
    tokens = ["null", "1e999", "-1", "[]", "{}", '"', "true", "[1, 2]", "\\", "NaN", "\x00"]
    refused = 0
    for _ in range(400):
        place, size = int(rng.integers(len(text))), int(rng.integers(0, 12))
        changed = text[:place] + str(rng.choice(tokens)) + text[place + size :]
        try:
            file = read_engine(_write(tmp_path, changed), trust=True)
            assert isinstance(file, EngineFile)
            assert isinstance(seal_breaks(file), list)
        except HyperguideError:
            refused += 1
    assert refused > 100
