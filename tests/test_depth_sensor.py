"""The example that dehazes with the depth of a sensor."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import hyperguide

_EXAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "depth_sensor.py"))
_AsGuidance = Callable[[np.ndarray, tuple[int, int]], tuple[np.ndarray, np.ndarray]]
as_guidance: _AsGuidance = _EXAMPLE["as_guidance"]
_FOLDER = os.environ.get("HYPERGUIDE_DATA")


def test_distances_become_relative_and_are_trusted_everywhere() -> None:
    guidance, share = as_guidance(np.full((3, 4), 700, np.uint16), (30, 40))
    assert guidance.shape == share.shape == (30, 40)
    np.testing.assert_allclose(guidance, 1)
    np.testing.assert_allclose(share, 1)


def test_unknown_cells_are_not_trusted_and_do_not_pull_their_neighbours() -> None:
    distance = np.full((6, 8), 100, np.uint16)
    distance[:, 4:] = 0
    distance[0, 0] = 200
    guidance, share = as_guidance(distance, (60, 80))
    assert share[:, 60:].max() == 0
    assert share[:, :30].min() == 1
    np.testing.assert_allclose(guidance[30:, :44], 0.5, rtol=1e-5)  # up to the unknown ones


def test_a_sensor_that_saw_nothing_leaves_the_map_to_the_network() -> None:
    guidance, share = as_guidance(np.zeros((2, 2), np.uint8), (8, 8))
    assert not guidance.any()
    assert not share.any()


def test_the_example_writes_a_picture(tmp_path: Path) -> None:
    hazy, depth, output = (str(tmp_path / name) for name in ("hazy.png", "depth.png", "clean.png"))
    cv2.imwrite(hazy, np.full((64, 96, 3), 190, np.uint8))
    cv2.imwrite(depth, np.arange(12, dtype=np.uint16).reshape(3, 4) * 1000)
    _EXAMPLE["main"](hazy, depth, output)
    assert cv2.imread(output).shape == (64, 96, 3)


@pytest.mark.skipif(not _FOLDER, reason="HYPERGUIDE_DATA is not set: give the research data")
def test_coarse_depth_makes_dehazing_better() -> None:
    """20 pictures of NYU Depth v2 with the haze of SOTS, told 12x16 cells."""
    assert _FOLDER
    gains = []
    with hyperguide.load("dehaze", device="cpu") as enhancer:
        for number in range(1300, 1400, 5):
            clean, depth = _nyu(Path(_FOLDER) / "nyu", number)
            transmission = np.exp(-(0.6 + 0.1 * (number % 10)) * depth)[..., None]
            hazy = np.float32(clean * transmission + 1 - transmission)
            cells = cv2.resize(depth, (16, 12), interpolation=cv2.INTER_AREA)
            guidance, share = as_guidance(cells, depth.shape)
            told = enhancer(hazy, guidance=guidance * cells.max(), guidance_mix=share).image
            gains.append(_decibels(told, clean) - _decibels(enhancer(hazy).image, clean))
    assert np.mean(gains) > 2


def _nyu(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture in [0, 1] and its depth relative to the farthest point, as RESIDE cuts them."""
    picture = cv2.imread(str(folder / "rgb" / f"{number}.jpg"))[10:470, 10:630] / 255
    depth = cv2.imread(str(folder / "depth" / f"{number}.png"), cv2.IMREAD_UNCHANGED)
    return picture[..., ::-1], np.float32(depth / depth.max())[10:470, 10:630]


def _decibels(result: np.ndarray, clean: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(result - clean).mean()))
