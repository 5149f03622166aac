"""Which file a name means, and that gray pictures use the gray model."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import hyperguide
from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import (
    FOLDER,
    bundled_models,
    bundled_path,
    gray_path,
    model_path,
)
from hyperguide.model_format.model_file import read_model_file
from hyperguide.picture_files import write_picture

pytestmark = pytest.mark.lowest


def test_a_task_a_name_and_a_path_mean_files() -> None:
    assert model_path("denoise") == FOLDER / "denoise-fast.onnx"
    assert model_path("denoise-gray-fast") == FOLDER / "denoise-gray-fast.onnx"
    for name in ("denoise.onnx", "models/denoise", Path("denoise")):
        assert model_path(name) == Path(name)


def test_every_bundled_file_has_the_name_that_its_metadata_gives() -> None:
    for path in bundled_models():
        info = read_model_file(path).info
        assert path == bundled_path(info.task, info.tier, info.precision, info.color == "gray")


@pytest.mark.parametrize("name", ["denoize", "deblur-paper", "denoise-paper"])
def test_an_unknown_model_name_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(HyperguideError, match=r"did you mean|is bundled"):
        hyperguide.load(name)


def test_the_model_for_gray_stands_beside_that_for_colour() -> None:
    assert gray_path(FOLDER / "denoise-fast.onnx") == FOLDER / "denoise-gray-fast.onnx"
    assert gray_path(FOLDER / "denoise-live-int8.onnx") == FOLDER / "denoise-gray-fast-int8.onnx"
    assert gray_path(FOLDER / "denoise-gray-fast.onnx") is None
    assert gray_path(FOLDER / "derain-fast.onnx") is None
    assert gray_path(Path("denoise-fast.onnx")) is None  # not a bundled file


def test_gray_pictures_that_come_together_open_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    enhancer = hyperguide.load("denoise", threads=1, at_once=2)
    opened, open_gray = [], enhancer._open_gray
    assert open_gray is not None
    lock, asked = enhancer._opening, threading.Semaphore(0)

    class Watched:
        def __enter__(self) -> None:
            asked.release()
            lock.acquire()

        def __exit__(self, *error: object) -> None:
            lock.release()

    def open_behind_the_other() -> hyperguide.Enhancer:
        opened.append(1)
        assert all(asked.acquire(timeout=300) for _ in range(2)), "the other did not come"
        return open_gray()

    monkeypatch.setattr(enhancer, "_opening", Watched())
    monkeypatch.setattr(enhancer, "_open_gray", open_behind_the_other)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(enhancer, [np.zeros((16, 16), np.uint8)] * 2))
    assert len(opened) == 1


@pytest.mark.parametrize("shape", [(24, 32), (24, 32, 1), (24, 32, 2), (2, 24, 32, 1)])
def test_gray_pictures_go_to_the_model_for_gray(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    actual = hyperguide.load("denoise")(image, strength=0.7, guidance_scale=1.5)
    expected = hyperguide.load("denoise-gray-fast")(image, strength=0.7, guidance_scale=1.5)
    np.testing.assert_array_equal(actual.image, expected.image)
    np.testing.assert_array_equal(actual.guidance, expected.guidance)
    by_path = hyperguide.load(FOLDER / "denoise-fast.onnx")(image).image
    assert (by_path != hyperguide.load("denoise")(image).image).any()


def test_colour_pictures_go_to_the_model_for_colour() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    expected = hyperguide.load(FOLDER / "denoise-fast.onnx")(image).image
    np.testing.assert_array_equal(hyperguide.load("denoise")(image).image, expected)


def test_a_precision_that_is_not_bundled_names_what_is(quick_cli: Cli, tmp_path: Path) -> None:
    write_picture(tmp_path / "in.png", np.zeros((8, 8, 3), np.uint8))
    words = ("-t", "dehaze", "--tier", "paper", "--precision", "int8")
    result = quick_cli("enhance", "-i", tmp_path / "in.png", "-o", tmp_path / "out.png", *words)
    fails(result, "'paper' in int8", "dehaze-fast")


@pytest.mark.parametrize("verb", ["verify", "info"])
def test_verbs_take_the_name_of_a_bundled_file(verb: str, quick_cli: Cli) -> None:
    assert "gray" in quick_cli(verb, "denoise-gray-fast").out
