"""`hyperguide eval --record` writes the results into the model file, and changes nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import hyperguide
from conftest import Cli, Outcome, fails, nothing_left
from hyperguide.model_format.model_file import read_model_file
from hyperguide.picture_files import write_picture


@pytest.fixture
def clean(tmp_path: Path, astronaut: np.ndarray) -> Path:
    folder = tmp_path / "clean"
    folder.mkdir()
    for i in range(2):
        write_picture(folder / f"{i}.png", astronaut[64 * i : 64 * i + 61, 100:170])
    return folder


def _record(quick_cli: Cli, model: Path, clean: Path, *more: object) -> Outcome:
    return quick_cli("eval", model, "--suite", f"clean:{clean}", "--record", *more)


def test_info_shows_the_figures_that_the_evaluation_printed(
    quick_cli: Cli, model_copy: Path, clean: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    result = _record(quick_cli, model_copy, clean, "--json", figures)
    assert result.code == 0, result.err
    (level,) = json.loads(figures.read_text())["levels"]
    info = json.loads(quick_cli("info", model_copy, "--json").out)
    kept = info["quality"]["clean clean"]
    assert kept["protocol"] == "rgb"
    assert kept["all"]["pictures"] == 2
    assert kept["all"]["output_psnr"] == pytest.approx(level["output_psnr"], abs=1e-4)
    assert kept["all"]["output_ssim"] == pytest.approx(level["output_ssim"], abs=1e-4)
    assert info["quality"]["validation"]  # what the export wrote is kept
    assert str(tmp_path) not in json.dumps(info)


def test_a_recorded_file_is_proven_as_before_and_computes_the_same(
    quick_cli: Cli, exported: Path, model_copy: Path, clean: Path, astronaut: np.ndarray
) -> None:
    assert _record(quick_cli, model_copy, clean).code == 0
    assert quick_cli("verify", model_copy, "--device", "cpu").code == 0
    onnx.checker.check_model(onnx.load(model_copy), full_check=True)
    before, after = read_model_file(exported), read_model_file(model_copy)
    assert after.digests["weights"] == before.digests["weights"]
    assert after.digests["graph"] == before.digests["graph"]
    assert after.digests["metadata"] != before.digests["metadata"]
    differing = {k for k in before.metadata if before.metadata[k] != after.metadata[k]}
    assert differing == {"hyperguide.quality", "hyperguide.sha256.metadata"}
    picture = astronaut[:64, :64]
    same = hyperguide.load(exported)(picture).image == hyperguide.load(model_copy)(picture).image
    assert same.all()
    nothing_left(model_copy.parent, model_copy.name, "clean")


def test_recording_a_suite_again_replaces_its_figures_only(
    quick_cli: Cli, model_copy: Path, clean: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    clean.rename(other)
    assert _record(quick_cli, model_copy, other).code == 0
    (other / "1.png").unlink()
    other.rename(clean)
    assert _record(quick_cli, model_copy, clean).code == 0
    assert _record(quick_cli, model_copy, clean).code == 0
    quality = read_model_file(model_copy).info.quality
    assert quality["clean other"]["all"]["pictures"] == 2
    assert quality["clean clean"]["all"]["pictures"] == 1


def test_recording_into_another_or_no_model_file_is_refused(
    quick_cli: Cli, run_folder: Path, model_copy: Path, clean: Path
) -> None:
    fails(_record(quick_cli, run_folder, clean), "--record writes into an .onnx file")
    content = model_copy.read_bytes()
    model_copy.write_bytes(content.replace(b"noise_level", b"noise_lever"))
    fails(_record(quick_cli, model_copy, clean), "changed since it was exported")


def test_recording_figures_of_a_part_of_a_suite_is_refused(
    quick_cli: Cli, model_copy: Path, clean: Path
) -> None:
    before = model_copy.read_bytes()
    fails(_record(quick_cli, model_copy, clean, "--limit", 1), "leave out --quadrants")
    assert model_copy.read_bytes() == before
