"""Tests of the GStreamer element: builds it with the C library, and runs its own tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import native
import pytest

from hyperguide.model_format.bundled import FOLDER

SOURCES = native.ROOT / "bindings"
BUILD = native.ROOT / "build" / "bindings"


def missing() -> list[str]:
    """What the element needs and is not here."""
    tools = [*native.MISSING, *(t for t in ("pkg-config", "gst-launch-1.0") if not shutil.which(t))]
    if not tools:
        done = subprocess.run(["pkg-config", "--exists", "gstreamer-video-1.0"], check=False)
        tools = ["gstreamer-video-1.0"] if done.returncode else []
    return tools


if absent := missing():
    pytest.skip(f"The GStreamer element needs {', '.join(absent)}.", allow_module_level=True)


@pytest.fixture(scope="module")
def folder() -> Path:
    native.built(BUILD, "-DHYPERGUIDE_EXAMPLES=OFF", source=SOURCES)
    return BUILD / "gstreamer"


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    found = {
        "GST_PLUGIN_PATH": str(folder),
        "GST_REGISTRY": str(folder / "registry.bin"),
        "HYPERGUIDE_MODELS": str(FOLDER),
        "VIRTUAL_ENV": sys.prefix,
    }
    return os.environ | found


def test_the_elements_own_tests_pass(folder: Path, environment: dict[str, str]) -> None:
    native.run_tests(folder, **environment)


@pytest.mark.long
def test_five_thousand_frames_take_no_more_memory(
    folder: Path, environment: dict[str, str]
) -> None:
    native.run_tests(folder, **environment, HYPERGUIDE_LONG="1")


def test_a_pipeline_writes_enhanced_frames(environment: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "frames.rgb"
    model = FOLDER / "denoise-live-int8.onnx"
    pipeline = (
        "videotestsrc num-buffers=3 pattern=snow ! video/x-raw,format=RGB,width=96,height=64 "
        f"! hyperguide model={model} ! filesink location={target}"
    )
    done = subprocess.run(
        ["gst-launch-1.0", "-q", *pipeline.split()],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert target.stat().st_size == 3 * 96 * 64 * 3


def test_the_element_is_documented(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["gst-inspect-1.0", "hyperguide"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    for word in ("Filter/Effect/Video", "strength", "guidance-scale", "smooth", "show-guidance"):
        assert word in done.stdout
    assert done.stdout.count("controllable") >= 4
