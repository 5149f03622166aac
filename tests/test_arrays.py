"""Arrays accepted as pictures, maps and kernels, and the errors for others."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hyperguide
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import gray_plane

pytestmark = pytest.mark.lowest


@pytest.fixture(scope="module")
def enhancer() -> hyperguide.Enhancer:
    return hyperguide.load("denoise", device="cpu", threads=1)


class _Tagged(np.ndarray):
    """A subclass, such as libraries for units and medical pictures define."""


def _picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_arrays_of_subclasses_are_plain_arrays(
    enhancer: hyperguide.Enhancer, tmp_path: Path
) -> None:
    picture = _picture(24, 32)
    stored = np.memmap(tmp_path / "picture", np.uint8, "w+", shape=picture.shape)
    stored[...] = picture
    expected = enhancer(picture)
    for given in (np.matrix(picture), picture.view(_Tagged), stored, np.ma.array(picture)):
        result = enhancer(given)
        assert type(result.image) is type(result.guidance) is np.ndarray
        np.testing.assert_array_equal(result.image, expected.image)
        assert type(enhancer(given, strength=0).image) is np.ndarray
        with enhancer.stream() as stream:
            np.testing.assert_array_equal(stream(given).image, expected.image)
    assert expected.guidance is not None
    for map_ in (np.matrix(expected.guidance), np.ma.array(expected.guidance)):
        again = enhancer(picture, guidance=map_)
        np.testing.assert_allclose(again.image.astype(int), expected.image, atol=1)


def test_a_numpy_matrix_is_enhanced_and_python_ends_without_a_crash() -> None:
    script = (
        "import numpy, hyperguide; e = hyperguide.load('denoise', device='cpu', threads=1); "
        "print(e(numpy.matrix(numpy.zeros((16, 16), numpy.uint8))).image.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "(16, 16)\n"), done.stderr


@pytest.mark.parametrize("what", ["picture", "guidance map", "strength", "kernel"])
def test_masked_values_are_refused(what: str, enhancer: hyperguide.Enhancer) -> None:
    shape = (3, 3) if what == "kernel" else (24, 32)
    values = np.ma.array(np.full(shape, 1 / 9, np.float32), mask=np.eye(*shape, dtype=bool))
    loaded = hyperguide.load("deblur", device="cpu", threads=1) if what == "kernel" else enhancer
    name = {"guidance map": "guidance"}.get(what, what)
    picture, dials = (values, {}) if what == "picture" else (_picture(24, 32), {name: values})
    with pytest.raises(HyperguideError, match=rf"The {what} is an array with masked values.*fill"):
        loaded(picture, **dials)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ([[0, 1], [2, 3]], r"not list: make an array of it, numpy.asarray"),
        ("photo.png", "not str: read the file first"),
        (torch.zeros(8, 8, requires_grad=True), r"give picture.detach\(\)"),
        (torch.zeros(8, 8, dtype=torch.bfloat16), r"knows no bfloat16, give picture.float\(\)"),
        (torch.zeros(8, 8, dtype=torch.bfloat16, requires_grad=True), r"detach"),
        (torch.zeros(8, 8).to_sparse(), "copy it to the CPU as a dense array"),
        (torch.zeros(8, 8, device="meta"), "copy it to the CPU as a dense array"),
        (np.zeros((8, 8), bool), "type bool"),
        (np.zeros((8, 8), complex), "type complex128"),
        (np.zeros((8, 8), np.int64), "type int64"),
        (np.zeros((8, 8), object), "type object"),
        (np.zeros((8, 8), "U3"), "type <U3"),
        (np.zeros((8, 8), [("r", "u1")]), "type"),
        (np.zeros((8, 8), "M8[s]"), "type datetime64"),
        (np.uint8(3), "not uint8"),
        (np.array(3, np.uint8), r"shape \(\)"),
        (np.zeros((0, 8), np.uint8), "is empty"),
        (np.zeros((0, 8, 8, 3), np.uint8), "is empty"),
        (np.zeros((8, 0, 3), np.float32), "is empty"),
        (np.zeros(8, np.uint8), r"shape \(8,\)"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused_with_a_remedy(
    picture: Any, words: str, enhancer: hyperguide.Enhancer
) -> None:
    with pytest.raises(HyperguideError, match=words):
        enhancer(picture)
    with enhancer.stream() as stream, pytest.raises(HyperguideError, match=words):
        stream(picture)


@pytest.mark.parametrize(
    "values",
    [
        torch.zeros(24, 32, requires_grad=True),
        np.zeros((24, 32), complex),
        1j,
        "half",
        [[1], [1, 2]],
        np.zeros((24, 32), "M8[s]"),
        {"a": 1},
    ],
)
@pytest.mark.parametrize("dial", ["strength", "guidance", "guidance_scale", "guidance_mix"])
def test_dials_that_are_no_numbers_are_refused_by_name(
    dial: str, values: Any, enhancer: hyperguide.Enhancer
) -> None:
    dials = {dial: values} if dial != "guidance_mix" else {dial: values, "guidance": 0.1}
    with pytest.raises(HyperguideError, match="must be a number or an array of numbers"):
        enhancer(_picture(24, 32), **dials)


def test_arrays_may_have_any_memory_layout(enhancer: hyperguide.Enhancer) -> None:
    picture = _picture(24, 32, 3)
    expected = enhancer(picture).image
    backwards = picture[::-1, ::-1].copy()[::-1, ::-1]
    wide = np.zeros((48, 64, 3), np.uint8)
    wide[::2, ::2] = picture
    locked = picture.copy()
    locked.setflags(write=False)
    for given in (backwards, wide[::2, ::2], locked, np.asfortranarray(picture)):
        before = given.copy()
        np.testing.assert_array_equal(enhancer(given).image, expected)
        np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("action", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_enhancer_is_not_pickled_but_loaded_again(
    action: Any, enhancer: hyperguide.Enhancer
) -> None:
    held = [] if action is copy.copy else [enhancer.stream()]
    for what in (enhancer, *held):
        with pytest.raises(HyperguideError, match=r"hyperguide.load on .*denoise-fast.onnx"):
            action(what)


def test_a_mask_may_be_drawn_as_transparency() -> None:
    alpha = np.arange(12, dtype=np.uint8).reshape(3, 4)
    gray = alpha * 3

    def rgba(plane: np.ndarray, opacity: np.ndarray) -> np.ndarray:
        return np.dstack([plane, plane, plane, opacity])

    black, opaque = np.zeros_like(alpha), np.full_like(alpha, 255)
    np.testing.assert_array_equal(gray_plane(rgba(black, alpha), "It"), alpha)
    np.testing.assert_array_equal(gray_plane(rgba(gray, opaque), "It"), gray)
    np.testing.assert_array_equal(gray_plane(rgba(gray, black), "It"), gray)
    red = np.dstack([opaque, black, black, alpha])
    np.testing.assert_array_equal(gray_plane(red, "It"), alpha)
    with pytest.raises(HyperguideError, match="It has both gray levels and transparency"):
        gray_plane(rgba(gray, alpha), "It")
    with pytest.raises(HyperguideError, match="colour picture"):
        gray_plane(np.dstack([gray, black, black, opaque]), "It")
