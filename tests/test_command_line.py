"""The command line as a user sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import hyperguide
from conftest import TASKS, Outcome, fails
from hyperguide.cli.doctor import conflicts
from hyperguide.engines import KINDS
from hyperguide.model_format.bundled import FOLDER, bundled_models
from hyperguide.picture_files import (
    decode_map,
    encode_map,
    false_color,
    read_picture,
    write_picture,
)

pytestmark = pytest.mark.lowest

Cli = Callable[..., Outcome]


@pytest.mark.parametrize("task", TASKS)
def test_the_first_call_works_without_reading(
    task: str, quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    write_picture(tmp_path / "in.jpg", astronaut[:100, :150])
    result = quick_cli("enhance", "-i", tmp_path / "in.jpg", "-o", tmp_path / "out.png", "-t", task)
    assert result.code == 0, result.err
    expected = hyperguide.load(task)(read_picture(tmp_path / "in.jpg")).image
    np.testing.assert_array_equal(read_picture(tmp_path / "out.png"), expected)


def test_help_of_every_verb_has_an_example(quick_cli: Cli) -> None:
    verbs = ("enhance", "train", "export", "verify", "info", "models", "demo", "doctor")
    assert all(verb in quick_cli("--help").out for verb in verbs)
    for verb in verbs:
        result = quick_cli(verb, "--help")
        assert result.code == 0
        assert f"  hyperguide {verb}" in result.out.split("Example")[1]


def test_folders_keep_their_structure(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    write_picture(tmp_path / "in" / "a.png", astronaut[:32, :32])
    write_picture(tmp_path / "in" / "sub" / "b.jpg", astronaut[:48, :32])
    result = quick_cli(
        *("enhance", "-i", tmp_path / "in", "-o", tmp_path / "out", "-t", "derain"),
        *("--save-guidance", tmp_path / "maps"),
    )
    assert result.code == 0, result.err
    assert read_picture(tmp_path / "out" / "a.png").shape == (32, 32, 3)
    assert read_picture(tmp_path / "out" / "sub" / "b.jpg").shape == (48, 32, 3)
    assert read_picture(tmp_path / "maps" / "sub" / "b.jpg.guidance.png").dtype == np.uint16


def test_results_inside_the_source_folder_are_not_taken_as_pictures(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    write_picture(tmp_path / "a.png", astronaut[:32, :32])
    words = ("enhance", "-i", tmp_path, "-o", tmp_path / "clean", "-t", "denoise", "--force")
    for _ in range(2):
        result = quick_cli(*words, "--save-guidance", tmp_path / "maps")
        assert result.code == 0, result.err
    assert sorted(p.name for p in (tmp_path / "clean").glob("[!.]*")) == ["a.png"]
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_pictures_of_one_stem_have_maps_of_their_own(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    for suffix in ("png", "jpg"):
        write_picture(tmp_path / f"a.{suffix}", astronaut[:32, :32])
    result = quick_cli(
        *("enhance", "-i", tmp_path, "-o", tmp_path / "out", "-t", "denoise"),
        *("--save-guidance", tmp_path / "out"),
    )
    assert result.code == 0, result.err
    assert len(list((tmp_path / "out").glob("[!.]*"))) == 6
    assert read_picture(tmp_path / "out" / "a.png").dtype == np.uint8


def test_a_slash_makes_the_output_a_folder(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    write_picture(tmp_path / "a.png", astronaut[:32, :32])
    result = quick_cli(
        "enhance", "-i", tmp_path / "a.png", "-o", f"{tmp_path}/new/", "-t", "denoise"
    )
    assert result.code == 0, result.err
    assert (tmp_path / "new" / "a.png").exists()


def test_maps_and_masks_saved_as_rgb_by_an_editor_are_accepted(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    write_picture(tmp_path / "a.png", astronaut[:32, :32])
    write_picture(tmp_path / "gray.png", np.full((32, 32, 3), 90, np.uint8))
    write_picture(tmp_path / "color.png", astronaut[:32, :32])
    words = ("enhance", "-i", tmp_path / "a.png", "-o", tmp_path / "out.png", "-t", "denoise")
    for flag in ("-g", "--mask"):
        result = quick_cli(*words, flag, tmp_path / "gray.png", "--force")
        assert result.code == 0, result.err
        result = quick_cli(*words, flag, tmp_path / "color.png", "--force")
        assert result.code == 1
        assert "is a colour picture" in result.err


def test_several_inputs_behind_one_flag(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    names = [tmp_path / f"{i}.png" for i in range(3)]
    for name in names:
        write_picture(name, astronaut[:32, :32])
    result = quick_cli("enhance", "-i", *names, "-o", tmp_path / "out", "-t", "denoise")
    assert result.code == 0, result.err
    assert len(list((tmp_path / "out").glob("[!.]*"))) == 3


def test_strength_0_copies_the_pixels(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    sixteen = astronaut[:40, :50].astype(np.uint16) * 256 + 17
    write_picture(tmp_path / "in.png", sixteen)
    result = quick_cli(
        *("enhance", "-i", tmp_path / "in.png", "-o", tmp_path / "out.png"),
        *("-t", "denoise", "-s", 0),
    )
    assert result.code == 0, result.err
    np.testing.assert_array_equal(read_picture(tmp_path / "out.png"), sixteen)


def test_a_saved_map_can_be_fed_back(quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray) -> None:
    write_picture(tmp_path / "in.png", astronaut[:64, :80])
    common = ("enhance", "-i", tmp_path / "in.png", "-t", "denoise")
    first = quick_cli(*common, "-o", tmp_path / "a.png", "--save-guidance", tmp_path / "maps")
    second = quick_cli(
        *common, "-o", tmp_path / "b.png", "-g", tmp_path / "maps" / "in.png.guidance.png"
    )
    assert (first.code, second.code) == (0, 0), first.err + second.err
    a, b = (read_picture(tmp_path / name).astype(int) for name in ("a.png", "b.png"))
    assert np.abs(a - b).max() <= 1
    assert read_picture(tmp_path / "maps" / "in.png.guidance-color.png").shape[2] == 3


def test_a_mask_limits_the_change(quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    picture = (astronaut[:64, :64] + rng.normal(0, 20, (64, 64, 3))).clip(0, 255).astype(np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    write_picture(tmp_path / "in.png", picture)
    write_picture(tmp_path / "mask.png", mask)
    result = quick_cli(
        *("enhance", "-i", tmp_path / "in.png", "-o", tmp_path / "out.png"),
        *("-t", "denoise", "--mask", tmp_path / "mask.png"),
    )
    assert result.code == 0, result.err
    out = read_picture(tmp_path / "out.png")
    np.testing.assert_array_equal(out[:, :32], picture[:, :32])
    assert np.abs(out[:, 32:].astype(int) - picture[:, 32:]).mean() > 1


def test_info_tells_task_guidance_dials_and_training(quick_cli: Cli, exported: Path) -> None:
    facts = json.loads(quick_cli("info", exported, "--json").out)
    assert facts["task"] == "denoise"
    assert facts["guidance"]["name"] == "noise_level"
    assert facts["dials"]["strength"] == 1
    assert facts["training"]["data"]["description"] == "four small photos"
    assert facts["size"] == exported.stat().st_size
    assert "guidance.unit" in quick_cli("info", "derain").out


def test_models_lists_what_is_bundled(quick_cli: Cli) -> None:
    result = quick_cli("models")
    names = {line.split()[0] for line in result.out.splitlines()}
    assert names >= {f"{task}-fast" for task in TASKS}
    assert names == {path.stem for path in FOLDER.glob("*.onnx")}
    folder = Path(quick_cli("models", "--path").out.strip())
    assert (folder / "derain-fast.onnx").exists()


def test_doctor_runs_every_bundled_model_and_device(cli: Cli) -> None:
    result = cli("doctor")
    assert result.code == 0, result.out
    models = result.out.partition("models:")[2]
    assert all(f"{path.stem} " in models for path in bundled_models())
    devices = result.out.partition("devices:")[2].partition("models:")[0].splitlines()
    assert [line.split()[0] for line in devices if line] == list(KINDS)
    assert "worst deviation" in devices[1]


def test_doctor_names_packages_that_do_not_get_on() -> None:
    alone = dict.fromkeys(("onnxruntime", "onnxruntime-gpu", "tensorrt")) | {"tensorrt": "11.2.0"}
    assert conflicts(alone) == []
    assert conflicts(alone | {"onnxruntime-gpu": "1.31.0", "tensorrt": "10.14.1"}) == []
    (reason,) = conflicts(alone | {"onnxruntime-gpu": "1.31.0"})
    assert "pip install 'tensorrt>=10.13,<11'" in reason
    (reason,) = conflicts(dict.fromkeys(alone) | {"onnxruntime": "1", "onnxruntime-gpu": "1"})
    assert "pip uninstall onnxruntime onnxruntime-gpu" in reason


def test_enhance_says_what_the_output_format_cannot_hold(
    tmp_path: Path, astronaut: np.ndarray
) -> None:
    alpha = np.dstack([astronaut[:16, :16], np.full((16, 16), 9, np.uint8)])
    notes = write_picture(tmp_path / "a.jpg", alpha.astype(np.uint16) * 257)
    assert len(notes) == 2
    assert read_picture(tmp_path / "a.jpg").shape == (16, 16, 3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("planes", [None, 3, 4])
def test_png_keeps_depth_gray_and_alpha(tmp_path: Path, dtype: str, planes: int | None) -> None:
    shape = (9, 7) if planes is None else (9, 7, planes)
    high = np.iinfo(dtype).max
    picture = np.random.default_rng(0).integers(0, high, shape, dtype, endpoint=True)
    assert write_picture(tmp_path / "a.png", picture) == []
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), picture)


def test_the_cameras_orientation_is_applied(tmp_path: Path, astronaut: np.ndarray) -> None:
    content = cv2.imencode(".jpg", astronaut[:32, :64, ::-1])[1].tobytes()
    # A minimal EXIF segment: little-endian TIFF with one entry, orientation 6 (turn right).
    tiff = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
    segment = b"Exif\x00\x00" + tiff + b"\x00\x00\x00\x00"
    marker = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big")
    (tmp_path / "a.jpg").write_bytes(content[:2] + marker + segment + content[2:])
    turned = read_picture(tmp_path / "a.jpg")
    assert turned.shape == (64, 32, 3)
    expected = np.rot90(astronaut[:32, :64], -1).astype(int)
    assert np.abs(turned - expected).mean() < 6


def test_maps_saved_in_16_bits_are_read_back_within_a_level() -> None:
    for task in hyperguide.TASKS.values():
        meaning = task.guidance
        values = np.linspace(meaning.minimum, meaning.maximum, 1998, dtype=np.float32)
        values = values.reshape(666, 3)
        back = decode_map(encode_map(values, meaning), meaning, "map")
        np.testing.assert_allclose(back, values, atol=meaning.maximum / 65535)


def test_false_color_shows_the_range_and_has_a_legend() -> None:
    meaning = hyperguide.TASKS["denoise"].guidance
    ramp = np.linspace(0, meaning.maximum, 300, dtype=np.float32) * np.ones((520, 1), np.float32)
    picture = false_color(ramp, meaning)
    assert picture.shape == (576, 300, 3)
    assert (picture[:520] == picture[0]).all()
    first, last = picture[0, 0].astype(int), picture[0, -1].astype(int)
    assert first[2] > first[1]  # bluish
    assert last[0] > 200  # yellow
    assert last[1] > 200
    assert (picture[520:] < 100).any()  # the legend's text
    np.testing.assert_array_equal(false_color(ramp, meaning, legend=False), picture[:520])
    narrow = false_color(ramp[:, :30], meaning)
    np.testing.assert_array_equal(narrow[:520, :30], picture[:520, :30])
    assert narrow.shape[1] >= 200  # room for the legend
    assert (narrow[:520, 30:] == 255).all()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize(
    "words", [["models"], ["models", "--path"], ["--help"], ["info", "derain"]]
)
def test_a_full_disk_under_the_standard_output_is_one_sentence(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "hyperguide", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    fails(Outcome(done.returncode, "", done.stderr), "could not be written", "No space left")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["models"], ["--help"], ["info", "derain"]])
def test_a_closed_pipe_behind_the_output_is_no_internal_error(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "hyperguide", *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
