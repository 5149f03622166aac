"""Bad input gives one sentence and exit code 1, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import Cli, Outcome, enhance, fails, nothing_left
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_picture, write_picture
from hyperguide.storage.atomic import refuse_existing


@pytest.fixture
def bound(quick_cli: Cli) -> Cli:
    """Run the command line as a user who is subject to permissions, in a world-writable folder."""

    def call(*arguments: object) -> Outcome:
        if os.geteuid() != 0:
            return quick_cli(*arguments)
        script = (
            "import os, sys\n"
            "from hyperguide.cli.main import run\n"
            "import hyperguide.cli.enhance\n"  # loaded while everything can be read
            "os.seteuid(65534)\n"
            "run(sys.argv[1:])\n"
        )
        words = [sys.executable, "-c", script, *map(str, arguments)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        return Outcome(result.returncode, result.stdout, result.stderr)

    return call


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
        for path in folder.rglob("*"):
            path.chmod(0o755)


def test_missing_file(quick_cli: Cli, tmp_path: Path) -> None:
    fails(
        enhance(quick_cli, tmp_path / "no.png", tmp_path / "out.png"),
        "There is no picture",
        "no.png",
    )
    nothing_left(tmp_path)


def test_folder_instead_of_a_model(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    result = quick_cli("enhance", "-i", photo, "-o", tmp_path / "out.png", "-m", tmp_path)
    fails(result, "is a folder, not a model file")


def test_folder_instead_of_an_output_file(tmp_path: Path) -> None:
    with pytest.raises(HyperguideError, match="is a folder"):
        refuse_existing(tmp_path, force=True)


def test_folder_instead_of_a_map(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    result = enhance(quick_cli, photo, tmp_path / "out.png", "-g", tmp_path)
    fails(result, "is a folder, not a picture")


def test_empty_picture(quick_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    fails(enhance(quick_cli, tmp_path / "empty.png", tmp_path / "out.png"), "is empty (0 bytes)")
    nothing_left(tmp_path, "empty.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_picture(
    suffix: str, share: float, tmp_path: Path, astronaut: np.ndarray
) -> None:
    path = tmp_path / f"photo{suffix}"
    write_picture(path, astronaut[:64, :96])
    assert read_picture(path).shape == (64, 96, 3)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(HyperguideError, match=r"truncated|damaged"):
        read_picture(path)


def test_truncated_jpeg_whose_header_holds_a_whole_thumbnail(
    tmp_path: Path, astronaut: np.ndarray
) -> None:
    small = cv2.imencode(".jpg", astronaut[:16, :16])[1].tobytes()
    large = cv2.imencode(".jpg", astronaut)[1].tobytes()
    segment = b"Exif\x00\x00" + small
    marker = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big")
    content = large[:2] + marker + segment + large[2:]
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    assert read_picture(path).shape == astronaut.shape
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(HyperguideError, match="truncated"):
        read_picture(path)


def test_text_named_png(quick_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("This is no picture.\n" * 20)
    fails(enhance(quick_cli, tmp_path / "text.png", tmp_path / "out.png"), "is not a picture")


def test_no_permission_to_read(bound: Cli, open_folder: Path, photo: Path) -> None:
    closed = open_folder / "closed.png"
    closed.write_bytes(photo.read_bytes())
    out = open_folder / "out.png"
    assert enhance(bound, closed, out).code == 0  # only the permission makes the difference
    out.unlink()
    closed.chmod(0)
    fails(enhance(bound, closed, out), "No permission to read")
    (open_folder / "in").mkdir(mode=0)
    fails(enhance(bound, open_folder / "in", open_folder / "out"), "Cannot read the folder")
    fails(enhance(bound, open_folder / "in" / "a.png", out), "Cannot look at", "denied")


def test_no_permission_to_write(bound: Cli, open_folder: Path, photo: Path) -> None:
    source = open_folder / "a.png"
    source.write_bytes(photo.read_bytes())
    source.chmod(0o644)
    (open_folder / "closed").mkdir(mode=0o555)
    fails(enhance(bound, source, open_folder / "closed" / "out.png"), "Cannot write in")
    fails(enhance(bound, source, f"{open_folder}/closed/new/"), "Cannot create the folder")


def test_names_that_are_too_long(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    long = tmp_path / f"{'x' * 300}.png"
    fails(enhance(quick_cli, long, tmp_path / "out.png"), "name too long")
    fails(enhance(quick_cli, photo, long), "name too long")


def test_the_longest_legal_name(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / f"{'x' * 251}.png"
    assert enhance(quick_cli, photo, out).code == 0
    assert out.exists()


def _write_tiff(path: Path, picture: np.ndarray) -> None:
    """Write a TIFF; OpenCV's own writer is limited to file names of the locale."""
    path.write_bytes(cv2.imencode(".tif", picture)[1].tobytes())


def test_samples_of_a_type_that_cannot_be_enhanced(
    quick_cli: Cli, tmp_path: Path, astronaut: np.ndarray
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for i, dtype in enumerate(("float64", "int32", "int16")):
        _write_tiff(source / f"{i}.tif", astronaut[:16, :16].astype(dtype))
    write_picture(source / "last.png", astronaut[:16, :16])
    _write_tiff(source / "white.tif", astronaut[:16, :16].astype(np.float32))
    result = enhance(quick_cli, source, tmp_path / "out")
    fails(result, "4 of 5 pictures failed")
    assert result.err.count("has samples of type") == 3
    assert "float pictures go from 0 to 1" in result.err
    nothing_left(tmp_path / "out", "last.png")


def test_several_input_pictures_with_one_output_picture(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    result = quick_cli("enhance", "-i", photo, photo, "-o", tmp_path / "out.png", "-t", "denoise")
    fails(result, "give a folder's name")
    nothing_left(tmp_path, "photo.png")


def test_wrong_task_name_suggests_the_nearest(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    result = quick_cli("enhance", "-i", photo, "-o", tmp_path / "out.png", "-t", "denose")
    fails(result, "Unknown task 'denose'", "did you mean 'denoise'")
    result = quick_cli("train", "derian", "--data", tmp_path, "--out", tmp_path / "run")
    fails(result, "did you mean 'derain'")


def test_tier_without_a_model(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    arguments = ("-i", photo, "-o", tmp_path / "out.png", "-t", "deblur", "--tier", "paper")
    fails(quick_cli("enhance", *arguments), "No deblur model of the tier 'paper'", "-m MODEL.onnx")


def test_onnx_file_without_our_metadata(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("a", "b")]
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", value[:1], value[1:])
    onnx.save(helper.make_model(graph), tmp_path / "other.onnx")
    for result in (
        quick_cli(
            "enhance", "-i", photo, "-o", tmp_path / "out.png", "-m", tmp_path / "other.onnx"
        ),
        quick_cli("verify", tmp_path / "other.onnx"),
        quick_cli("info", tmp_path / "other.onnx"),
    ):
        fails(result, "is an ONNX file but not one of ours")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_damaged_model_file(quick_cli: Cli, model_copy: Path, share: float) -> None:
    content = model_copy.read_bytes()
    model_copy.write_bytes(content[: int(share * len(content))])
    fails(quick_cli("verify", model_copy), "is not an ONNX file or is damaged")


def test_text_named_onnx(quick_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    fails(quick_cli("info", tmp_path / "text.onnx"), "is not an ONNX file or is damaged")


def test_missing_model_file(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    result = quick_cli(
        "enhance", "-i", photo, "-o", tmp_path / "out.png", "-m", tmp_path / "no.onnx"
    )
    fails(result, "There is no model file")


def test_model_of_another_format(quick_cli: Cli, model_copy: Path) -> None:
    import onnx

    model = onnx.load(model_copy)
    next(e for e in model.metadata_props if e.key == "hyperguide.format").value = "99"
    onnx.save(model, model_copy)
    fails(quick_cli("info", model_copy), "model format 99")


def test_map_of_another_size_is_resized_and_said_so(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "map.png", np.full((10, 20), 20000, np.uint16))
    result = enhance(quick_cli, photo, tmp_path / "out.png", "-g", tmp_path / "map.png")
    assert result.code == 0, result.err
    assert "map of 20x10 pixels was resized to the picture's 96x64" in result.err
    assert read_picture(tmp_path / "out.png").shape == (64, 96, 3)


def test_map_with_nan_is_refused(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    holes = np.full((64, 96), 0.1, np.float32)
    holes[3, 4] = np.nan
    _write_tiff(tmp_path / "map.tif", holes)
    for given in (tmp_path / "map.tif", "nan"):
        result = enhance(quick_cli, photo, tmp_path / "out.png", "-g", given)
        fails(result, "contains NaN")
    nothing_left(tmp_path, "photo.png", "map.tif")


def test_output_in_a_missing_folder(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    fails(enhance(quick_cli, photo, tmp_path / "no" / "out.png"), "does not exist", "create it")


def test_output_that_is_no_picture(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    fails(enhance(quick_cli, photo, tmp_path / "out.mp3"), "no picture's suffix")


def test_bad_pictures_in_a_folder_are_named_and_the_others_done(
    quick_cli: Cli, photo: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    photo.rename(source / "good.png")
    (source / "bad.png").write_text("no picture")
    result = enhance(quick_cli, source, tmp_path / "out")
    fails(result, "1 of 2 pictures failed")
    assert "bad.png is not a picture" in result.err
    assert read_picture(tmp_path / "out" / "good.png").shape == (64, 96, 3)


def test_folder_without_pictures(quick_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    fails(enhance(quick_cli, tmp_path / "in", tmp_path / "out"), "holds no pictures")


def test_two_inputs_with_one_name(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.png").write_bytes(photo.read_bytes())
    result = quick_cli(
        *("enhance", "-i", photo, "-i", tmp_path / "other" / "photo.png"),
        *("-o", tmp_path / "out", "-t", "denoise"),
    )
    fails(result, "would both write")


def test_training_without_photos(quick_cli: Cli, tmp_path: Path) -> None:
    result = quick_cli("train", "denoise", "--data", tmp_path, "--out", tmp_path / "run")
    fails(result, "holds no photos")
    result = quick_cli("train", "denoise", "--data", tmp_path / "no", "--out", tmp_path / "run")
    fails(result, "does not exist")
    assert not (tmp_path / "run").exists()


def test_exporting_what_is_no_run(quick_cli: Cli, tmp_path: Path) -> None:
    fails(
        quick_cli("export", tmp_path, "-o", tmp_path / "m.onnx"), "There is no", "last.safetensors"
    )
    (tmp_path / "last.safetensors").write_bytes(b"no weights")
    fails(
        quick_cli("export", tmp_path, "-o", tmp_path / "m.onnx"), "is damaged or not a checkpoint"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["enhance", "-t", "denoise"],
        ["enhance", "-o", "x.png", "-t", "denoise"],
        ["enhance", "-i", "a.png", "-o", "x.png"],
        ["enhance", "-i", "a.png", "-o", "x.png", "-t", "denoise", "-m", "m.onnx"],
        ["enhance", "-i", "a.png", "-o", "x.png", "-t", "denoise", "-s", "-1"],
        ["enhance", "-i", "a.png", "-o", "x.png", "-t", "denoise", "-s", "nan"],
        ["enhance", "-i", "a.png", "-o", "x.png", "-t", "denoise", "--guidance-scale", "inf"],
        ["enhance", "--no-such-flag"],
        ["no-such-verb"],
        ["train", "denoise"],
        ["verify"],
    ],
)
def test_wrong_usage_exits_2(quick_cli: Cli, words: list[str]) -> None:
    result = quick_cli(*words)
    assert result.code == 2
    assert "Usage: hyperguide" in result.err


def test_debug_shows_the_traceback(quick_cli: Cli, tmp_path: Path) -> None:
    result = quick_cli("verify", tmp_path / "no.onnx", "--debug")
    assert result.code == 1
    assert "Traceback" in result.err
