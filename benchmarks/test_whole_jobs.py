"""Whole jobs: a picture and a folder from file to file; the first frame of a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from folder import make_pictures, make_plans

import hyperguide
from conftest import InTurns
from hyperguide.batch.jobs import plan_jobs
from hyperguide.engines import why_absent
from hyperguide.picture_files import read_picture, write_picture


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_picture(suffix: str, tmp_path: Path, in_turns: InTurns) -> None:
    make_pictures(tmp_path / "in", 1, 720, suffix)
    source, output = tmp_path / "in" / f"0{suffix}", tmp_path / f"out{suffix}"
    enhancer = hyperguide.load("denoise", device="cpu")
    pixels = read_picture(source)
    in_turns(
        lambda: write_picture(output, enhancer(read_picture(source)).image),
        lambda: enhancer(pixels),
        group="denoise-fast, a picture of 1080x720 from file to file",
        against="the enhancement alone",
    )
    assert read_picture(output).shape == (720, 1080, 3)


@pytest.mark.parametrize("plan", list(make_plans("denoise"))[1:])
def test_folder(plan: str, tmp_path: Path, in_turns: InTurns) -> None:
    make_pictures(tmp_path / "in", 6, 400, ".png")
    jobs = plan_jobs([tmp_path / "in"], f"{tmp_path}/out", None)
    plans = make_plans("denoise")
    in_turns(
        lambda: plans[plan](jobs),
        lambda: plans["plain loop"](jobs),
        group="denoise-fast, a folder of six pictures of 600x400",
        against="one after the other",
        warm=False,
    )
    assert len(list((tmp_path / "out").glob("*.png"))) == 6


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_first_frame(device: str, in_turns: InTurns) -> None:
    """From process start to the first result."""
    missing = why_absent(device)
    if missing is not None:
        pytest.skip(missing)
    package = {"cpu": "onnxruntime", "openvino": "openvino"}[device]
    own = (
        "import numpy, hyperguide\n"
        "frame = numpy.zeros((480, 640, 3), numpy.uint8)\n"
        f"print(hyperguide.load('denoise', device='{device}')(frame).image.shape)"
    )
    result = in_turns(
        lambda: _python(own),
        lambda: _python(f"import numpy, cv2, {package}"),
        group="a new process until the first frame of 640x480",
        against=f"importing numpy, OpenCV and {package}",
        warm=False,
    )
    assert result.strip() == "(480, 640, 3)"


def _python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    ).stdout
