"""Time per frame: every bundled file, engine and size; the paper's networks; batches."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from untrained import untrained

import hyperguide
from conftest import InTurns, resized
from hyperguide.engines import why_absent
from hyperguide.export.model import export_model
from hyperguide.model_format.bundled import bundled_models, model_path
from hyperguide.model_format.model_file import read_model_file
from hyperguide.training.preset import load_preset

FILES = [path.stem for path in bundled_models()]
SIZES = {"640x480": (480, 640), "1280x720": (720, 1280)}
DEVICES = ("cpu", "openvino")
PAPER = ("denoise-paper", "derain-paper", "dehaze-paper", "deblur-paper-tiny", "deblur-paper")


@cache
def _enhancer(model: str | Path, device: str) -> hyperguide.Enhancer:
    missing = why_absent(device)
    if missing is not None:
        pytest.skip(missing)
    return hyperguide.load(model, device=device)


def _dials(enhancer: hyperguide.Enhancer) -> dict[str, Any]:
    """A kernel for deblurring: without one there is less work."""
    if enhancer.info.task != "deblur":
        return {}
    return {"kernel": np.full((15, 15), 1 / 225, np.float32)}


def _frames() -> list[object]:
    """Every file in every size; one size per file is quick, the smaller one for deblurring."""
    return [
        pytest.param(name, size, marks=() if size == quick else pytest.mark.long)
        for name in FILES
        for quick in ["640x480" if name.startswith("deblur") else "1280x720"]
        for size in SIZES
    ]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "size"), _frames())
def test_frame(name: str, size: str, device: str, photo: np.ndarray, in_turns: InTurns) -> None:
    enhancer = _enhancer(name, device)
    reference = _enhancer(name.removesuffix("-int8"), "cpu")
    frame = resized(photo, *SIZES[size], enhancer.info.channels)
    dials = _dials(enhancer)
    result = in_turns(
        lambda: enhancer(frame, **dials),
        None if enhancer is reference else lambda: reference(frame, **dials),
        group=f"{name.removesuffix('-int8')}, a frame of {size}",
        against="fp32 on ONNX Runtime",
        precision=enhancer.info.precision,
        engine=enhancer.engine,
    )
    assert result.image.shape == frame.shape


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
@pytest.mark.parametrize("device", DEVICES)
def test_batch(device: str, batch: int, photo: np.ndarray, in_turns: InTurns) -> None:
    enhancer = _enhancer("denoise", device)
    frame = resized(photo, 240, 320, 3)
    frames = np.stack([np.roll(frame, 16 * i, axis=1) for i in range(batch)])
    result = in_turns(
        lambda: enhancer(frames),
        lambda: [enhancer(one) for one in frames],
        group=f"denoise-fast, batches of 320x240, {enhancer.engine}",
        against="one by one",
        batch=batch,
    )
    assert result.image.shape == frames.shape


@pytest.mark.parametrize("device", DEVICES)
def test_stream(device: str, photo: np.ndarray, in_turns: InTurns) -> None:
    """A video frame, whose map is blended with that of the previous frame."""
    enhancer = _enhancer("denoise", device)
    frame = resized(photo, 480, 640, 3)
    stream = enhancer.stream()
    result = in_turns(
        lambda: stream(frame),
        lambda: enhancer(frame),
        group="denoise-fast, a frame of a video of 640x480",
        against="the picture alone",
        precision=enhancer.info.precision,
        engine=enhancer.engine,
    )
    assert result.image.shape == frame.shape


@pytest.mark.long
@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("device", DEVICES)
def test_paper_tier(
    name: str, device: str, photo: np.ndarray, in_turns: InTurns, tmp_path_factory: Any
) -> None:
    """The networks are untrained, which does not affect speed."""
    file = tmp_path_factory.getbasetemp() / f"{name}.onnx"
    if not file.exists():
        task, _, tier = name.partition("-")
        export_model(untrained(load_preset(task, tier), 0.01), file)
    enhancer = _enhancer(file, device)
    fast = hyperguide.load(model_path(enhancer.info.task), device=device)
    frame = resized(photo, 240, 320, enhancer.info.channels)
    dials = _dials(enhancer)
    in_turns(
        lambda: enhancer(frame, **dials),
        lambda: fast(frame, **dials),
        group=f"{read_model_file(file).info.task}, the paper's tier, a frame of 320x240",
        against="the fast tier on the same engine",
    )
