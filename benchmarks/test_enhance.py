"""What one picture costs: the whole call, the bare engine under it, torch, and a classical filter.

python -m pytest benchmarks --benchmark-enable
"""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
import pytest
import skimage.data
import torch

import hyperguide
from hyperguide.bundled import bundled_path
from hyperguide.pixels import to_tensor
from hyperguide.training.model import build_model
from hyperguide.training.preset import load_preset

TASKS = ("denoise", "derain", "dehaze")
HEIGHT, WIDTH = 352, 640  # multiples of every network's, so that nothing is padded


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return cv2.resize(skimage.data.coffee(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("task", TASKS)
def test_enhancer(benchmark, task: str, frame: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    benchmark.group = task
    enhancer = hyperguide.load(task)
    result = benchmark(enhancer, frame)
    assert result.image.shape == frame.shape


@pytest.mark.parametrize("task", TASKS)
def test_bare_engine(benchmark, task: str, frame: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    benchmark.group = task
    session = onnxruntime.InferenceSession(bundled_path(task, "fast").read_bytes())
    tensor, _ = to_tensor(frame, 3)
    enhanced, _ = benchmark(session.run, None, {"image": tensor})
    assert enhanced.shape == tensor.shape


@pytest.mark.parametrize("task", TASKS)
def test_torch_eager(benchmark, task: str, frame: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    benchmark.group = task
    model = build_model(load_preset(task, "fast")).eval()
    tensor = torch.from_numpy(to_tensor(frame, 3)[0])
    assert model.proxy is not None

    @torch.inference_mode()
    def run() -> torch.Tensor:
        assert model.proxy is not None
        return model.reconstruction(tensor, model.proxy(tensor))

    assert benchmark(run).shape == tensor.shape


def test_opencv_non_local_means(benchmark, frame: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    benchmark.group = "denoise"
    result = benchmark(cv2.fastNlMeansDenoisingColored, frame, None, 10, 10)
    assert result.shape == frame.shape
